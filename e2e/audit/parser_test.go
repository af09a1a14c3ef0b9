package audit

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/dataplane"
	"github.com/domain-route/domain-route/internal/pattern"
)

const (
	parserHellos = 3000
	// envHellos and envSeed are for more and other hellos than usual.
	envHellos = "DOMAIN_ROUTE_AUDIT_HELLOS"
	envSeed   = "DOMAIN_ROUTE_AUDIT_SEED"

	pins = "/sys/fs/bpf/domain-route/live/maps/"
)

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	check(t, err)
	return n
}

// job is one connection to make, result what the audit made of it.
type (
	job struct {
		To   netip.AddrPort
		Data []byte
	}
	result struct {
		Moved []string // counters of the audit
		Name  uint64   // hash of the name, if it leaked
		Addr  [16]byte
	}
)

// TestParser has hellos sent, each to an address of its own, and compares what the audit makes of them with another reading.
func TestParser(t *testing.T) {
	h := harness.Started(t, "--audit")
	h.Must("rule", "add", ruled, "vpn0")
	acceptAll(t, h)
	g := generator{rand.New(rand.NewPCG(uint64(setting(t, envSeed, 1)), 0))}
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	var jobs []job
	add := func(data []byte) {
		n := len(jobs)
		to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n>>8) + 1, byte(n)}), tlsPort)
		jobs = append(jobs, job{to, data})
		check(t, enc.Encode(jobs[n]))
	}
	for _, v := range []uint16{tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS13} {
		add(tlsHello(t, &tls.Config{ServerName: fmt.Sprintf("go%x.%s", v, ruled), MinVersion: v, MaxVersion: v}))
		add(tlsHello(t, &tls.Config{ServerName: "192.0.2.1", MinVersion: v, MaxVersion: v}))
	}
	for range setting(t, envHellos, parserHellos) {
		add(g.packet())
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := h.Command(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), envChild+"=hellos", envCounters+"="+strings.Join(look(t).names, ","))
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	check(t, err)
	dec := json.NewDecoder(bytes.NewReader(out))
	key := hashKey(t)
	seen := map[string]int{}
	for _, j := range jobs {
		var got result
		check(t, dec.Decode(&got))
		want := read(j.Data)
		seen[want.counter]++
		compare(t, j, got, want, key)
	}
	t.Logf("%v", seen)
	for _, c := range []string{"name", "cut", "malformed", "no_name", "bad_name", "no_tls"} {
		if seen[c] == 0 {
			t.Errorf("no hello of kind %s was tried", c)
		}
	}
}

func compare(t *testing.T, j job, got result, want reading, key pattern.HashKey) {
	t.Helper()
	counters := map[string][]string{"no_tls": {"no_tls"}}[want.counter]
	var hash uint64
	switch {
	case want.counter == "name":
		n, err := pattern.ParseName(want.name)
		check(t, err)
		p, err := pattern.Parse(ruled)
		check(t, err)
		counters = []string{"hellos", "no_rule"}
		if p.Matches(n) {
			counters, hash = []string{"hellos", "leaked"}, key.Hash(n)
		}
	case counters == nil:
		counters = []string{"hellos", want.counter}
	}
	if fmt.Sprint(got.Moved) != fmt.Sprint(counters) || got.Name != hash || hash != 0 && got.Addr != j.To.Addr().As16() {
		t.Errorf("to %v: counted %v, hash %x; want %v, %q (%x)\n%x", j.To, got.Moved, got.Name, counters, want.name, hash, j.Data)
	}
}

// hashKey is the key of this installation; struct state in bpf/abi.h.
func hashKey(t *testing.T) pattern.HashKey {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(pins+"states", nil)
	check(t, err)
	defer m.Close()
	raw, err := m.LookupBytes(uint32(0))
	check(t, err)
	const key = 2*4 + 4*8
	return pattern.HashKey(raw[key : key+16])
}

// sendHellos is the child that does the jobs.
func sendHellos() error {
	counters, err := ebpf.LoadPinnedMap(pins+"counters", nil)
	if err != nil {
		return err
	}
	leaks, err := ebpf.LoadPinnedMap(pins+"leaks", nil)
	if err != nil {
		return err
	}
	names := strings.Split(os.Getenv(envCounters), ",")
	dec, enc := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	last, err := countsOf(counters, names)
	for err == nil {
		var j job
		var r result
		if err = dec.Decode(&j); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = sendOne(j)
		}
		if err != nil {
			return fmt.Errorf("to %v: %w", j.To, err)
		}
		var now []uint64
		if now, err = countsOf(counters, names); err != nil {
			return err
		}
		r.Moved = moved(names, last, now)
		if slices.Contains(r.Moved, "leaked") {
			r.Name, r.Addr, err = lastLeak(leaks)
		}
		last = now
		if err == nil {
			err = enc.Encode(r)
		}
	}
	return err
}

// sendOne connects, sends and closes with a reset, so that no port waits.
func sendOne(j job) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(j.To.Port()), Addr: j.To.Addr().As4()}); err != nil {
		return err
	}
	_, err = unix.Write(fd, j.Data)
	return err
}

const envCounters = "DOMAIN_ROUTE_AUDIT_COUNTERS"

// counterNames are those of all counters, by their place in the map.
func counterNames(t *testing.T) (names []string) {
	t.Helper()
	st, err := dataplane.Inspect(nil)
	check(t, err)
	for _, c := range st.Counters {
		names = append(names, c.Name)
	}
	return names
}

// countsOf are the audit's counters; those of others are 0.
func countsOf(m *ebpf.Map, names []string) ([]uint64, error) {
	all := make([]uint64, len(names))
	for i, name := range names {
		if !strings.HasPrefix(name, "audit_") {
			continue
		}
		var perCPU []uint64
		if err := m.Lookup(uint32(i), &perCPU); err != nil {
			return nil, err
		}
		for _, n := range perCPU {
			all[i] += n
		}
	}
	return all, nil
}

// moved names the counters that differ, each as often as it was counted.
func moved(names []string, from, to []uint64) (all []string) {
	for i, n := range to {
		for range n - from[i] {
			all = append(all, strings.TrimPrefix(names[i], "audit_"))
		}
	}
	return all
}

// lastLeak is name and address of the latest leak; struct leak_list in bpf/abi.h.
func lastLeak(m *ebpf.Map) (name uint64, addr [16]byte, err error) {
	raw, err := m.LookupBytes(uint32(0))
	if err != nil {
		return 0, addr, err
	}
	const leaks, size, nameAt, addrAt = 64, 104, 16, 64
	next := binary.NativeEndian.Uint64(raw)
	last := raw[8+(next-1)%leaks*size:]
	return binary.NativeEndian.Uint64(last[nameAt:]), [16]byte(last[addrAt:]), nil
}

// acceptAll has the lab's internet serve all of 198.18.0.0/16, by closing whatever comes.
func acceptAll(t *testing.T, h *harness.Host) {
	t.Helper()
	lo, err := h.Internet.NL.LinkByName("lo")
	check(t, err)
	const local = 255 // table
	_, all, err := net.ParseCIDR("198.18.0.0/16")
	check(t, err)
	check(t, h.Internet.NL.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: all, Table: local, Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST}))
	var l net.Listener
	check(t, h.Internet.Do(func() (err error) {
		l, err = net.Listen("tcp4", fmt.Sprintf(":%d", tlsPort))
		return err
	}))
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
}
