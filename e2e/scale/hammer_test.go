package scale

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/routes/via"
	"github.com/domain-route/domain-route/internal/lab"
)

// A connection is one that a client opened.
type connection struct {
	actor        *actor
	uid          uint32
	kind         via.Kind
	name         string
	began, ended time.Duration // on clock
	way          string        // uplink whose address the server saw, or the error
}

func (c connection) String() string {
	return fmt.Sprintf("%s to %s of user %d, %v..%v: %s", c.kind, c.name, c.uid, c.began, c.ended, c.way)
}

// hammer is clients that connect without a pause until it is stopped.
type hammer struct {
	h        *harness.Host
	actors   []*actor
	made     chan connection
	stop     chan struct{}
	clients  sync.WaitGroup
	failures chan error // of the clients themselves
}

func newHammer(h *harness.Host, actors []*actor) *hammer {
	return &hammer{h: h, actors: actors, made: make(chan connection, 1<<16), stop: make(chan struct{}), failures: make(chan error, 64)}
}

// client has one more client do the same over and over.
func (m *hammer) client(a *lab.Agent, uid uint32, once func(c *client) error) {
	c := &client{m, a, uid, rand.New(rand.NewPCG(uint64(uid), uint64(a.PID)))}
	m.clients.Go(func() {
		for {
			select {
			case <-m.stop:
				return
			default:
			}
			if err := once(c); err != nil {
				m.failures <- err
				return
			}
		}
	})
}

// end waits for the clients' last connections and returns what went wrong with a client.
func (m *hammer) end() error {
	close(m.stop)
	m.clients.Wait()
	select {
	case err := <-m.failures:
		return err
	default:
		return nil
	}
}

type client struct {
	*hammer
	agent *lab.Agent
	uid   uint32
	rand  *rand.Rand
}

// unconnected is a datagram by a socket that never connects.
const unconnected via.Kind = "UDP/unconnected"

var kinds = append(slices.Clone(via.Kinds), unconnected)

func (c *client) connect(a *actor, name string, to lab.Host) {
	n := connection{actor: a, uid: c.uid, name: name, kind: kinds[c.rand.IntN(len(kinds))], began: time.Since(clock)}
	if n.kind == unconnected {
		n.way = c.send(to)
	} else {
		n.way = via.Out(c.h.Lab, c.agent, n.kind, to, newWay)
	}
	n.ended = time.Since(clock)
	c.made <- n
}

func (c *client) send(to lab.Host) string {
	seen, err := c.agent.DialUDPUnconnected(netip.AddrPortFrom(to.Addr4, lab.EchoPort))
	if err != nil {
		return err.Error()
	}
	for _, name := range []string{none, oldWay, newWay} {
		if seen == c.h.Uplink(name).Addr4.String() {
			return name
		}
	}
	return seen
}

// known connects to one of the servers whose names it learnt at the start.
func (c *client) known() error {
	a := c.actors[c.rand.IntN(len(c.actors))]
	c.connect(a, a.name, a.host)
	return nil
}

// newcomer resolves names that nobody has heard of, at addresses nobody has seen. To some it connects at once, to others
// at some later time. There are so many at most.
func newcomer(most int) func(*client) error {
	var waiting []string
	var hosts []lab.Host
	return func(c *client) error {
		for _, a := range []*actor{fresh, late} {
			if len(waiting) == most {
				break
			}
			name, host, err := c.resolve(a, len(waiting))
			if err != nil {
				return err
			}
			if a == fresh {
				c.connect(a, name, host)
				continue
			}
			waiting, hosts = append(waiting, name), append(hosts, host)
		}
		i := c.rand.IntN(len(waiting))
		c.connect(late, waiting[i], hosts[i])
		return nil
	}
}

// resolve makes up a name below an actor's, at a server of its own, and asks for it.
func (c *client) resolve(a *actor, number int) (string, lab.Host, error) {
	host, err := c.h.AddHost()
	if err != nil {
		return "", host, err
	}
	name := fmt.Sprintf("n%d-%d.%s", c.uid, number, a.name)
	c.h.DNS.Set(name, host.Addr4, host.Addr6)
	if err := via.Learn(c.agent, name); err != nil {
		return "", host, fmt.Errorf("user %d resolves %s: %w", c.uid, name, err)
	}
	return name, host, nil
}
