package doctor

import (
	"time"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// Facts are all that is known of a host.
type Facts struct {
	Now       time.Time
	Host      Host // from files
	Support   dataplane.Support
	Running   *Running         // nil: not started
	State     string           // dataplane.StateStarted, ...
	Said      []string         // what the state's warnings say, where it is neither started nor stopped
	Config    Config           // of /etc/domain-route
	Rules     *ruleset.Set     // the running ones, or of the configuration; nil: there are none to be had
	Home      bool             // interfaces, routes and sockets are those that are steered
	Cgroup    string           // attached to, or to be attached to; empty: not known
	Observe   []string         // the observers of the configuration; empty: the default ones
	Links     []netdev.Facts   // of the targets
	Goers4    map[string]Goers // by the interface they go by
	Goers6    map[string]Goers
	Policy    []netdev.Policy // routing rules
	Tables4   map[int]bool    // routing tables with a default route
	Tables6   map[int]bool
	Tunnels   []Tunnel          // whose servers they would get to through themselves
	Tailscale bool              // its interface is there
	Others    []dataplane.Other // other tools' programs on the same hooks
	Partly    bool              // there are more cgroups than were looked at for them
	Holders   map[uint32]string // who holds their programs
}

// hidden tells whether ip netns exec hides what is started, with the host's mounts below /sys.
func (f *Facts) hidden() bool { return f.State == dataplane.StateStopped && len(f.Said) > 0 }

// Goers are the learnt names that go by an interface, of one family.
type Goers struct {
	Names int
	Lost  []string // those with an address to which a socket that is bound there finds no route: www.example.com (192.0.2.1)
}

// Running is what there is to say of what is started.
type Running struct {
	Status  dataplane.Status
	Fill    []dataplane.Fill
	Hits    []dataplane.Hit
	Leaks   []dataplane.Leak
	Evicted int      // learnt addresses without the text of their name
	Learnt  int      // learnt names
	Old     []string // connections that would now go elsewhere
	OldErr  error    // why they are not known
}

// Config is what is to be said of the configuration.
type Config struct {
	Files    []string
	Error    string
	Differs  bool     // other rules run
	Settings []string // that run otherwise, each with what to do
	Findings int      // of `apply --dry-run`
}
