package spelling

import "testing"

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"rules", "rules", 0}, {"", "abc", 3}, {"rule", "rules", 1}, {"ruls", "rules", 1}, {"rolls", "rules", 2},
		{"tagret", "target", 1}, {"ab", "ba", 1}, {"abc", "ca", 3}, {"kitten", "sitting", 3}, {"GOOGEL", "GOOGLE", 1}, {"x", "ü", 2},
	} {
		for _, pair := range [][2]string{{tt.a, tt.b}, {tt.b, tt.a}} {
			if got := Distance(pair[0], pair[1]); got != tt.want {
				t.Errorf("from %q to %q it is %d, want %d", pair[0], pair[1], got, tt.want)
			}
		}
	}
}
