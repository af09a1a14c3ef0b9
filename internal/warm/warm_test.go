package warm

import (
	"net/netip"
	"slices"
	"testing"
)

// TestTeachable: what the programs in the kernel would not learn is not taught, nor counted.
func TestTeachable(t *testing.T) {
	for text, want := range map[string]bool{
		"198.51.100.1": true, "::ffff:198.51.100.1": true, "10.0.0.1": true, "2001:db8::1": true, "fd00::1": true,
		"0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false, "255.255.255.254": true, "::ffff:0.1.2.3": false,
		"127.0.0.2": false, "169.254.1.1": false, "224.0.0.1": false, "::": false, "::1": false, "fe80::1": false, "fe80::1%lo": false,
		"ff02::1": false,
	} {
		got := teachable([]netip.Addr{netip.MustParseAddr(text)})
		if wanted := []netip.Addr{netip.MustParseAddr(text).Unmap()}; want != slices.Equal(got, wanted) || !want && len(got) > 0 {
			t.Errorf("%s: %v", text, got)
		}
	}
	if got := teachable([]netip.Addr{{}}); len(got) > 0 {
		t.Errorf("none: %v", got)
	}
}
