package history

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// row is what these tests read of `rdns -o json`.
type row struct {
	harness.Learnt
	Decides, Conflict bool
}

func rows(h *harness.Host) []row {
	var data struct{ Names []row }
	h.JSON(&data, "rdns")
	return data.Names
}

// TestDecides: names of several rules and of none on one address, asked for in any order by several processes of several
// users. The name that rdns says decides at the first level that has one is the one whose rule the connection gets, and
// it says conflict where the kernel counts one.
func TestDecides(t *testing.T) {
	h := harness.Started(t)
	h.Must("rule", "add", "tunnel.example", "vpn0")
	h.Must("rule", "add", "forbidden.example", "block")
	h.Must("rule", "add", "left.example", "direct")
	outcome := map[string]string{"vpn0": "vpn0", "block": "EHOSTUNREACH", "direct": "wan0", "": "wan0"}
	domains := []string{"tunnel.example", "forbidden.example", "left.example", "plain.example"}
	agents := []*lab.Agent{
		h.MustAgent(lab.AgentOptions{UID: alice}), h.MustAgent(lab.AgentOptions{UID: alice}),
		h.MustAgent(lab.AgentOptions{UID: bob}), h.MustAgent(lab.AgentOptions{}),
	}
	uids := []uint32{alice, alice, bob, 0}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 40 {
		s := h.MustHost()
		h.DNS.SetTTL([]uint32{0, 60}[random.IntN(2)]) // past its TTL a name still counts
		said := ""
		for range 1 + random.IntN(6) {
			who, name := random.IntN(len(agents)), fmt.Sprintf("n%d-%d.%s", round, random.IntN(2), domains[random.IntN(len(domains))])
			h.DNS.Set(name, s.Addr4)
			resolve(t, agents[who], name)
			said += fmt.Sprintf(" %d:%s", who, name)
		}
		list := rows(h)
		for i, a := range agents {
			target, conflict := decided(t, list, s, a.PID, uids[i])
			before := h.Counters()["conflict"]
			expect(t, h, a, s.Addr4, outcome[target], fmt.Sprintf("agent %d after%s", i, said))
			if n := h.Counters()["conflict"] - before; n != map[bool]uint64{true: 1}[conflict] {
				t.Errorf("agent %d after%s: %d conflicts counted, rdns says %v", i, said, n, conflict)
			}
		}
	}
}

// decided is what rdns says of a process that connects to a server: the target that decides, "" for none.
func decided(t *testing.T, list []row, s lab.Host, pid int, uid uint32) (target string, conflict bool) {
	t.Helper()
	for _, level := range []string{"process", "user", "host"} {
		live, deciding := false, 0
		for _, r := range list {
			if r.Address != s.Addr4 || r.Level != level ||
				level == "process" && (r.PID != uint32(pid) || r.UID != uid) || level == "user" && r.UID != uid {
				continue
			}
			live = true
			if r.Decides {
				deciding++
				target = r.Target
			}
			conflict = r.Conflict
		}
		if live {
			if deciding != 1 {
				t.Errorf("%d names decide at the level %s: %+v", deciding, level, list)
			}
			return target, conflict
		}
	}
	return "", false
}
