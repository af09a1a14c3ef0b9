package netdev

import "testing"

func TestMarked(t *testing.T) {
	const all = ^uint32(0)
	for _, c := range []struct {
		rule Policy
		mark uint32
		want bool
	}{
		{Policy{Mark: 0x23, Mask: all}, 0x23, true},
		{Policy{Mark: 0x23, Mask: all}, 0x24, false},
		{Policy{Mark: 0x3, Mask: 0xf}, 0x23, true},
		{Policy{Mark: 0x23, Mask: all, Invert: true}, 0x23, false},
		{Policy{Mask: all}, 0x23, false}, // for all marks
	} {
		if got := c.rule.Marked(c.mark); got != c.want {
			t.Errorf("%+v, 0x%x: %v", c.rule, c.mark, got)
		}
	}
}
