package history

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
	"github.com/domain-route/domain-route/internal/pattern"
)

const pins = "/sys/fs/bpf/domain-route/live"

// allMaps opens every map that an attached program uses, pinned or not.
func allMaps(t *testing.T) []*ebpf.Map {
	t.Helper()
	links, err := filepath.Glob(pins + "/links/*")
	if err != nil || len(links) == 0 {
		t.Fatalf("links %v, %v", links, err)
	}
	ids := map[ebpf.MapID]bool{}
	for _, pin := range links {
		l, err := link.LoadPinnedLink(pin, nil)
		must(t, err)
		info, err := l.Info()
		must(t, err)
		p, err := ebpf.NewProgramFromID(info.Program)
		must(t, err)
		about, err := p.Info()
		must(t, err)
		of, _ := about.MapIDs()
		for _, id := range of {
			ids[id] = true
		}
		p.Close()
		l.Close()
	}
	var all []*ebpf.Map
	for id := range ids {
		m, err := ebpf.NewMapFromID(id)
		must(t, err)
		t.Cleanup(func() { m.Close() })
		all = append(all, m)
	}
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contents are the bytes of all elements of a map; none of those that cannot be listed, which hold no names.
func contents(t *testing.T, m *ebpf.Map) []byte {
	t.Helper()
	switch m.Type() {
	case ebpf.SkStorage, ebpf.ArrayOfMaps:
		return nil
	}
	var all []byte
	it := m.Iterate()
	var key []byte
	var value any = new([]byte)
	if m.Type() == ebpf.PerCPUArray {
		value = new([][]byte)
	}
	for it.Next(&key, value) {
		all = append(all, key...)
		switch v := value.(type) {
		case *[]byte:
			all = append(all, *v...)
		case *[][]byte:
			all = append(all, bytes.Join(*v, nil)...)
		}
	}
	must(t, it.Err())
	return all
}

// traces lists the maps in which there is anything of a name or its address: the name as it is on the wire, its keyed
// hash, or the address.
func traces(t *testing.T, name string, addr netip.Addr) []string {
	t.Helper()
	n, err := pattern.ParseName(name)
	must(t, err)
	wide := addr.As16()
	var found []string
	for _, m := range allMaps(t) {
		info, err := m.Info()
		must(t, err)
		text := contents(t, m)
		for what, part := range map[string][]byte{
			"name": []byte(n), "hash": binary.NativeEndian.AppendUint64(nil, hashKey(t).Hash(n)), "address": wide[:],
		} {
			if bytes.Contains(text, part) {
				found = append(found, info.Name+": "+what)
			}
		}
	}
	return found
}

// hashKey is the key of this installation; struct state in bpf/abi.h.
func hashKey(t *testing.T) pattern.HashKey {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(pins+"/maps/states", nil)
	must(t, err)
	defer m.Close()
	raw, err := m.LookupBytes(uint32(0))
	must(t, err)
	const key = 2*4 + 4*8
	return pattern.HashKey(raw[key : key+16])
}

// TestNoHistory: with --history=no nothing of a name without a rule is in any map of any program, be it asked for by a user
// or by root, and rules work as ever. With yes the same look finds it.
func TestNoHistory(t *testing.T) {
	for _, keep := range []string{"yes", "no"} {
		t.Run(keep, func(t *testing.T) {
			h := harness.Started(t, "--history="+keep)
			h.Must("rule", "add", "ruled.example", "vpn0")
			ruled, plain := h.MustHost("www.ruled.example"), h.MustHost("private.plain.example")
			for _, uid := range []uint32{0, alice} {
				a := h.MustAgent(lab.AgentOptions{UID: uid})
				resolve(t, a, "www.ruled.example")
				resolve(t, a, "private.plain.example")
				expect(t, h, a, ruled.Addr4, "vpn0", "ruled")
				expect(t, h, a, plain.Addr4, "wan0", "plain")
			}
			if got := traces(t, "www.ruled.example", ruled.Addr4); len(got) < 3 {
				t.Errorf("the name with a rule is found in %v only: the test looks in the wrong places", got)
			}
			got := traces(t, "private.plain.example", plain.Addr4)
			if keep == "no" && len(got) > 0 || keep == "yes" && len(got) < 3 {
				t.Errorf("the name without a rule is found in %v", got)
			}
			if names := h.Names(plain.Addr4); len(names) != map[string]int{"yes": 1}[keep] {
				t.Errorf("rdns shows %v", names)
			}
			if n := h.Counters()["not_kept"]; (n == 2) != (keep == "no") {
				t.Errorf("%d addresses counted as not kept", n)
			}
			statusSays(t, h, keep)
		})
	}
}

func statusSays(t *testing.T, h *harness.Host, keep string) {
	t.Helper()
	var st struct{ History bool }
	h.JSON(&st, "status")
	if text := h.Must("status"); st.History != (keep == "yes") || !strings.Contains(text, "\nhistory: "+keep+"; ") {
		t.Errorf("status says %v and %q, want %s", st.History, text, keep)
	}
}

// TestHistorySwitched: `no` on a started system forgets what is kept, stays until told otherwise, and a name whose rule is
// deleted goes with it. After `yes` names are kept again.
func TestHistorySwitched(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "ruled.example", "vpn0")
	h.Must("rule", "add", "other.example", "vpn0")
	ruled, other, plain := h.MustHost("ruled.example"), h.MustHost("other.example"), h.MustHost("plain.example")
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	for _, n := range []string{"ruled.example", "other.example", "plain.example"} {
		resolve(t, a, n)
	}
	statusSays(t, h, "yes")
	h.Must("start", "--history=no")
	statusSays(t, h, "no")
	if got := traces(t, "plain.example", plain.Addr4); len(got) > 0 {
		t.Errorf("after the switch the name without a rule is found in %v", got)
	}
	expect(t, h, a, ruled.Addr4, "vpn0", "after the switch")
	h.Must("start")
	statusSays(t, h, "no")
	h.Must("rule", "del", "other.example")
	if got := traces(t, "other.example", other.Addr4); len(got) > 0 {
		t.Errorf("after its rule was deleted the name is found in %v", got)
	}
	expect(t, h, a, other.Addr4, "wan0", "its rule was deleted")
	expect(t, h, a, ruled.Addr4, "vpn0", "another rule was deleted")
	// As `start --help` says: a rule added later counts once its names are asked for again.
	resolve(t, a, "plain.example")
	h.Must("rule", "add", "plain.example", "vpn0")
	expect(t, h, a, plain.Addr4, "wan0", "a later rule")
	resolve(t, a, "plain.example")
	expect(t, h, a, plain.Addr4, "vpn0", "a later rule, asked for again")
	h.Must("start", "--history=yes")
	statusSays(t, h, "yes")
	late := h.MustHost("late.example")
	resolve(t, a, "late.example")
	h.Must("rule", "add", "late.example", "vpn0")
	expect(t, h, a, late.Addr4, "vpn0", "a later rule, with history")
}

// TestNoHistorySharedAddress: what `start --help` says of addresses that names with a rule and without share.
func TestNoHistorySharedAddress(t *testing.T) {
	for keep, want := range map[string]string{"yes": "wan0", "no": "vpn0"} {
		h := harness.Started(t, "--history="+keep)
		h.Must("rule", "add", "ruled.example", "vpn0")
		s := h.MustHost("ruled.example", "plain.example")
		a, b := h.MustAgent(lab.AgentOptions{UID: alice}), h.MustAgent(lab.AgentOptions{UID: alice})
		resolve(t, a, "ruled.example")
		resolve(t, b, "plain.example")
		expect(t, h, a, s.Addr4, "vpn0", "history "+keep)
		expect(t, h, b, s.Addr4, want, "history "+keep)
		h.Must("stop")
	}
}

// TestFlushLeavesNothing: after `flush` there is nothing of any name in any map, except the last answer on each CPU, which
// stays in the buffer it was read in until the next one.
func TestFlushLeavesNothing(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "ruled.example", "vpn0")
	ruled, plain := h.MustHost("www.ruled.example"), h.MustHost("plain.example")
	a := h.MustAgent(lab.AgentOptions{UID: alice})
	resolve(t, a, "www.ruled.example")
	resolve(t, a, "plain.example")
	h.Must("flush")
	for name, addr := range map[string]netip.Addr{"www.ruled.example": ruled.Addr4, "plain.example": plain.Addr4} {
		for _, at := range traces(t, name, addr) {
			if !strings.HasPrefix(at, "scratches: ") {
				t.Errorf("%s: %s", name, at)
			}
		}
	}
}
