package pattern

import (
	"strings"
	"testing"
)

func TestULabels(t *testing.T) {
	tests := []struct{ in, text string }{
		{"München.DE", "xn--mnchen-3ya.de"},
		{"xn--mnchen-3ya.de", "xn--mnchen-3ya.de"},
		{"mu\u0308nchen.de", "xn--mnchen-3ya.de"},
		{"_sip._tcp.münchen.de.", "_sip._tcp.xn--mnchen-3ya.de"},
		{"例え。テスト", "xn--r8jz45g.xn--zckzah"},
		{"例え。com。", "xn--r8jz45g.com"},
		{"ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"},
		{"straße.de", "xn--strae-oqa.de"},
		{"президент.рф", "xn--d1abbgf6aiiy.xn--p1ai"},
	}
	for _, tt := range tests {
		if n, err := ParseName(tt.in); err != nil || n.String() != tt.text {
			t.Errorf("ParseName(%q) = %s, %v; want %s", tt.in, n, err, tt.text)
		}
	}
}

func TestULabelErrors(t *testing.T) {
	tests := []struct {
		in     string
		offset int
		reason string
	}{
		{"a.\u00ad.c", 2, "empty label"},
		{"a。。c", 4, "empty label"},
		{"a.ü*.c", 2, "IDNA"},
		{"b.℀.c", 2, "IDNA"},
		{"a.-ü.c", 2, "IDNA"},
		{"a.xn--ü.c", 2, "IDNA"},
		{"a." + strings.Repeat("ü", 64) + ".c", 2, "longer than 63"},
		{"a.\u202eb.c", 2, "IDNA"},
	}
	for _, tt := range tests {
		_, err := ParseName(tt.in)
		wantSyntax(t, tt.in, err, tt.offset, tt.reason)
	}
	// No spelling of an address is a name.
	_, err := Parse("１９２.0.2.１")
	wantSyntax(t, "１９２.0.2.１", err, 0, "write 192.0.2.1")
}
