package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/domain-route/domain-route/internal/lab"
)

// The uplinks of the lab.
const (
	defaultUplink = "wan0"
	vpn           = "vpn0"
)

var uplinks = []string{defaultUplink, vpn}

// stage is where the story plays: the lab, its servers, and the product.
type stage struct {
	*screen
	ctx    context.Context
	lab    *lab.Lab
	bin    string
	client string
	// servers by the names that the lab's name server has for them.
	servers  map[string]lab.Host
	started  bool // the product is, as far as the story goes
	vpnIndex int  // of vpn0 before it was deleted
}

func newStage(ctx context.Context, out *screen, bin string) (*stage, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath(bin); err != nil {
		return nil, fmt.Errorf("%w; build it first: make build", err)
	}
	l, err := lab.New(lab.Options{})
	if err != nil {
		return nil, err
	}
	s := &stage{screen: out, ctx: ctx, lab: l, bin: bin, client: filepath.Join(l.Dir, clientName), servers: map[string]lab.Host{}}
	if err := errors.Join(s.addServers(), s.installClient()); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return s, nil
}

func (s *stage) addServers() error {
	for _, name := range names {
		host, err := s.lab.AddHost()
		if err != nil {
			return err
		}
		s.lab.DNS.Set(name, host.Addr4, host.Addr6)
		s.servers[name] = host
	}
	return nil
}

// installClient copies this binary to where its user may execute it: `go run` builds in a private directory.
func (s *stage) installClient() error {
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(s.client, self, 0o755)
	}
	if err != nil {
		return fmt.Errorf("install client: %w", err)
	}
	return nil
}

// root runs domain-route as root on the client, shows it, and fails unless it exits with this status.
func (s *stage) root(status int, args ...string) (string, error) {
	out, err := s.perform(s.domainRoute(args), status)
	s.output(out)
	return out, err
}

// rootExcerpt is root for output of any length.
func (s *stage) rootExcerpt(most int, args ...string) (string, error) {
	out, err := s.perform(s.domainRoute(args), 0)
	s.excerpt(out, most)
	return out, err
}

func (s *stage) domainRoute(args []string) *lab.Cmd {
	s.prompt("#", "domain-route "+strings.Join(args, " "))
	return s.lab.HostCommand(s.ctx, s.bin, args...)
}

// user runs an ordinary program as an ordinary user on the client and shows it.
func (s *stage) user(program string, args ...string) (string, error) {
	s.prompt("$", program+" "+strings.Join(args, " "))
	out, err := s.perform(s.asUser(program, args...), 0)
	s.output(out)
	return out, err
}

// asUser prepares a program with an environment that says nothing of proxies, languages or anyone's configuration.
func (s *stage) asUser(program string, args ...string) *lab.Cmd {
	cmd := s.lab.Command(s.ctx, program, args...).AsUser(clientUser)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.lab.Dir, "LC_ALL=C"}
	cmd.Dir = "/"
	return cmd
}

// perform runs a command and fails unless it exits with this status.
func (s *stage) perform(cmd *lab.Cmd, status int) (string, error) {
	out, got, err := runOnTerminal(cmd)
	name := strings.Join(append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...), " ")
	if err != nil {
		return out, fmt.Errorf("%s: %w", name, err)
	}
	if got != status {
		return out, fmt.Errorf("%s: exit status %d, expected %d", name, got, status)
	}
	return out, nil
}

// ask has domain-route answer in JSON, without showing that. Whatever the exit status, data is filled.
func (s *stage) ask(data any, args ...string) error {
	cmd := s.lab.HostCommand(s.ctx, s.bin, append(args, "-o", "json")...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("domain-route %s: %w", args[0], err)
	}
	envelope := struct{ Data any }{data}
	if bad := json.Unmarshal(out, &envelope); bad != nil {
		var said []byte
		if exit != nil {
			said = bytes.TrimSpace(exit.Stderr)
		}
		return fmt.Errorf("domain-route %s: unreadable JSON: %w; it said: %s", args[0], bad, said)
	}
	return nil
}

// uplinkOf finds the uplink whose address a server saw.
func (s *stage) uplinkOf(seen netip.Addr) string {
	for _, name := range uplinks {
		if u := s.lab.Uplink(name); seen == u.Addr4 || seen == u.Addr6 {
			return name
		}
	}
	return seen.String()
}

// processes lists what runs in the client's network namespace.
func (s *stage) processes() ([]string, error) {
	spaces, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		return nil, err
	}
	var running []string
	for _, path := range spaces {
		// a process that ends meanwhile does not count
		if id, err := os.Readlink(path); err == nil && id == s.lab.Client.ID() {
			name, _ := os.ReadFile(filepath.Join(path, "../../comm"))
			running = append(running, strings.TrimSpace(string(name)))
		}
	}
	return running, nil
}
