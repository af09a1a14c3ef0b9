package cli

import (
	"net/netip"
	"slices"

	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/doctor"
	"github.com/domain-route/domain-route/internal/netdev"
	"github.com/domain-route/domain-route/internal/pattern"
	"github.com/domain-route/domain-route/internal/procs"
	"github.com/domain-route/domain-route/internal/ruleset"
)

// selfTunnels finds programs with a tun device of their own that would connect to their servers by that device. Servers
// are what they have connected sockets to, which they have not bound or marked themselves.
func selfTunnels(s *dataplane.System, judgeBy func(dataplane.Finder) (*dataplane.Judge, error)) ([]doctor.Tunnel, error) {
	tuns := doctor.TunHolders()
	if len(tuns) == 0 {
		return nil, nil
	}
	sockets, holders, _, err := held(s)
	if err != nil {
		return nil, err
	}
	devices := newFinder()
	judge, err := judgeBy(devices.find)
	if err != nil {
		return nil, err
	}
	defer judge.Close()
	var all []doctor.Tunnel
	for _, k := range sockets {
		for _, p := range holders[k.Inode] {
			if len(tuns[p.PID]) == 0 {
				continue
			}
			if err := readStorage(s, &k, holders[k.Inode]); err != nil {
				return nil, err
			}
			by, err := anew(judge, k, p)
			if err != nil {
				return nil, err
			}
			if slices.Contains(tuns[p.PID], by) {
				all = withServer(all, doctor.Tunnel{Device: by, Program: p.Comm, PID: p.PID}, k.Remote.Addr())
			}
		}
	}
	return all, devices.err
}

// anew is the interface to which a process's socket would be bound if it was connected anew; empty: to none.
func anew(judge *dataplane.Judge, k netdev.Socket, p procs.Process) (string, error) {
	if hold := dataplane.HoldOf(k.Ifindex, k.Mark, k.Storage); hold.Theirs || k.Accepted && !hold.Ours {
		return "", nil
	}
	v, err := judge.Verdict(p.PID, p.UID, k.Remote.Addr())
	return v.Interface, err
}

// withServer adds a server to those of a tunnel, once.
func withServer(all []doctor.Tunnel, t doctor.Tunnel, server netip.Addr) []doctor.Tunnel {
	i := slices.IndexFunc(all, func(o doctor.Tunnel) bool { return o.Device == t.Device && o.PID == t.PID })
	if i < 0 {
		i, all = len(all), append(all, t)
	}
	if !slices.Contains(all[i].Servers, server) {
		all[i].Servers = append(all[i].Servers, server)
	}
	return all
}

// hasTailscale tells whether Tailscale's interface is there.
func hasTailscale() bool {
	_, err := netdev.ByName("tailscale0")
	return err == nil
}

// sweptWarnings tells what a rule for addresses or everything else, which is among set, sends along that may not be meant.
func sweptWarnings(s *dataplane.System, set *ruleset.Set, r ruleset.Rule) ([]string, error) {
	if r.Pattern.Kind != pattern.Prefix && r.Pattern.Kind != pattern.Default || r.Target.Kind == ruleset.Direct || r.Condition != (ruleset.Condition{}) {
		return nil, nil
	}
	f := &doctor.Facts{Home: true, Rules: set, Tailscale: hasTailscale()}
	f.Host.Resolver = doctor.ReadResolver("/")
	var err error
	if f.Links, err = netdev.AllFacts(r.Target.Chain()); err != nil {
		return nil, err
	}
	f.Tunnels, _ = selfTunnels(s, func(find dataplane.Finder) (*dataplane.Judge, error) { return s.JudgePlanned(set, find) })
	var all []string
	for _, c := range doctor.Swept(f, r.Pattern) {
		what := map[string]string{"name-server": "name server "}[c.ID]
		all = append(all, what+c.Subject+": "+c.Found+": "+c.Cure)
	}
	return all, nil
}
