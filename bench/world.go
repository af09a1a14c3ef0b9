package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/domain-route/domain-route/internal/lab"
)

// Ports of the server child, beside those of the lab.
const (
	connectPort = 7100
	streamPort  = 7101
)

// Clients run on one CPU, servers on another, so that the scheduler moves nothing.
const (
	serverCPU = "0"
	clientCPU = "1"
)

// userUID is an ordinary user: what he has not resolved himself he goes to the host's evidence for.
const userUID = 1000

func (b *bench) findBinary() error {
	path, err := filepath.Abs(b.bin)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("no binary, run `make build`: %w", err)
	}
	b.bin = path
	return nil
}

// world is a lab with a client and a server child.
type world struct {
	*lab.Lab
	bin    string
	client *child // root, in the lab's cgroup
	server *child // in the internet, outside of the cgroup
}

func (b *bench) newWorld() (*world, error) {
	l, err := lab.New(lab.Options{NoSniffer: true})
	if err != nil {
		return nil, err
	}
	if err := os.Setenv("CACHE_DIRECTORY", filepath.Join(l.Dir, "cache")); err != nil { // nothing of the host's
		return nil, errors.Join(err, l.Close())
	}
	w := &world{Lab: l, bin: b.bin}
	if err := w.populate(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *world) populate() (err error) {
	ctx := context.Background()
	if w.client, err = startChild(w.Command(ctx, "/proc/self/exe"), clientCPU); err != nil {
		return err
	}
	if w.server, err = startChild(w.CommandIn(ctx, w.Internet, "/proc/self/exe"), serverCPU); err != nil {
		return err
	}
	if _, err := w.server.do(order{Op: "listen", Addr: netip.AddrPortFrom(netip.IPv6Unspecified(), connectPort)}); err != nil {
		return err
	}
	_, err = w.server.do(order{Op: "stream-listen", Addr: netip.AddrPortFrom(netip.IPv6Unspecified(), streamPort)})
	return err
}

// close stops domain-route, if it runs, and takes the lab down.
func (w *world) close() error {
	_, err := w.command("stop")
	return errors.Join(err, w.Close())
}

// command runs domain-route in the client's namespace and returns its standard output.
func (w *world) command(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := w.HostCommand(ctx, w.bin, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("domain-route %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return string(out), nil
}

// commands runs several.
func (w *world) commands(all ...[]string) error {
	for _, args := range all {
		if _, err := w.command(args...); err != nil {
			return err
		}
	}
	return nil
}

// host adds a server under a name and returns its addresses.
func (w *world) host(name string) (lab.Host, error) {
	h, err := w.AddHost()
	if err == nil && name != "" {
		w.DNS.Set(name, h.Addr4, h.Addr6)
	}
	return h, err
}

func (w *world) resolver() netip.AddrPort { return netip.AddrPortFrom(w.DNS.Addr4, lab.DNSPort) }

// child is a copy of this binary that does what it is asked.
type child struct {
	cmd *lab.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

func startChild(cmd *lab.Cmd, cpu string) (*child, error) {
	// The runtime must not interrupt a system call that is being timed.
	cmd.Env = append(os.Environ(), childEnv+"="+cpu, "GODEBUG=asyncpreemptoff=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a child: %w", err)
	}
	return &child{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}, nil
}

// do has the child do one thing. One child is used from one goroutine.
func (c *child) do(o order) (outcome, error) {
	if err := c.enc.Encode(o); err != nil {
		return outcome{}, fmt.Errorf("ask a child to %s: %w", o.Op, err)
	}
	var done outcome
	if err := c.dec.Decode(&done); err != nil {
		return outcome{}, fmt.Errorf("ask a child to %s: %w", o.Op, err)
	}
	if done.Error != "" {
		return done, errors.New(done.Error)
	}
	return done, nil
}

// sent is how many packets have left by an interface of the client.
func (w *world) sent(iface string) (uint64, error) {
	link, err := w.Client.NL.LinkByName(iface)
	if err != nil {
		return 0, fmt.Errorf("count the packets by %s: %w", iface, err)
	}
	return link.Attrs().Statistics.TxPackets, nil
}

// by does something and fails unless at least n packets went by the one uplink and none by the other.
func (w *world) by(uplink string, n int, f func() (outcome, error)) (outcome, error) {
	other := map[string]string{"wan0": "vpn0", "vpn0": "wan0"}[uplink]
	before, err := w.sent(uplink)
	if err != nil {
		return outcome{}, err
	}
	otherBefore, err := w.sent(other)
	if err != nil {
		return outcome{}, err
	}
	done, err := f()
	if err != nil {
		return done, err
	}
	after, err := w.sent(uplink)
	if err != nil {
		return done, err
	}
	otherAfter, err := w.sent(other)
	if err != nil {
		return done, err
	}
	// A neighbour's solicitation may come along by the other.
	if after-before < uint64(n) || otherAfter-otherBefore > uint64(max(8, n/4)) {
		return done, fmt.Errorf("%d packets by %s, %d by %s, and %d connections should have gone by %s",
			after-before, uplink, otherAfter-otherBefore, other, n, uplink)
	}
	return done, nil
}

// userChild starts a client that is an ordinary user.
func (w *world) userChild() (*child, error) {
	dir, err := os.Open(w.Cgroup)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	cmd := w.CommandIn(context.Background(), w.Client, "/proc/self/exe").InCgroup(dir).AsUser(userUID)
	return startChild(cmd, clientCPU)
}
