package dataplane

import "testing"

func TestFirstLines(t *testing.T) {
	tests := []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "a\nb\n"},
		{"a\nb\nc\n", 3, "a\nb\nc\n"},
		{"a\nb\nc\n", 4, "a\nb\nc\n"},
		{"a\nb", 2, "a\nb"},
		{"a\nb", 0, ""},
		{"", 5, ""},
	}
	for _, tt := range tests {
		if got := string(firstLines([]byte(tt.text), tt.n)); got != tt.want {
			t.Errorf("%q, %d: %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}
