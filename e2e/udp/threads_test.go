package udp

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/domain-route/domain-route/internal/lab"
)

// play runs a role of this binary as a user, and fails the test unless it ends well.
func (w *world) play(t testing.TB, uid uint32, role string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := w.Command(ctx, "/proc/self/exe", args...)
	if uid != 0 {
		cmd.AsUser(uid)
	}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), envRole+"="+role)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", role, err, out)
	}
	return string(out)
}

// Two threads send by one socket at once: while one has it bound, the other may be between the moment at which the
// kernel took the output interface from the socket and the hook, and would leave by the wrong one.
func TestThreadsShareSocket(t *testing.T) {
	w := newWorld(t)
	for _, uid := range []uint32{0, alice} {
		w.agent(t, uid)
		k := &talker{world: w, t: t, way: ways[0]}
		w.ResetPackets()
		const sockets = 3000
		w.play(t, uid, "hammer", port(k.addr("bank"), lab.DNSPort).String(), "3000")
		right, err := w.UplinkPackets("vpn0", k.addr("bank"))
		check(t, err)
		wrong, err := w.UplinkPackets("wan0", k.addr("bank"))
		check(t, err)
		t.Logf("uid %d: %d by vpn0, %d by wan0", uid, right, wrong)
		if wrong > 0 || right < sockets {
			t.Errorf("uid %d: %d packets by vpn0, %d by wan0", uid, right, wrong)
		}
	}
}
