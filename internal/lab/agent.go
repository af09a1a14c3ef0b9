package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// agentTimeout is what an Agent waits for a connection or a reply unless told otherwise.
const agentTimeout = time.Second

// Errno is the name of an error number, such as "EHOSTUNREACH", or "timeout", as seen by an agent. Compare with errors.Is.
type Errno string

func (e Errno) Error() string { return string(e) }

// ErrTimeout is when nothing happened in time.
const ErrTimeout = Errno("timeout")

// AgentOptions shape an Agent. The zero value runs as root in the client namespace and in the lab's cgroup.
type AgentOptions struct {
	UID           uint32
	NS            *Namespace    // nil: the client
	OutsideCgroup bool          // outside the lab's cgroup
	Cgroup        *os.File      // another cgroup directory
	Timeout       time.Duration // of dials and replies; 0: one second
}

// Agent is a process with its own identity that opens sockets when asked. Its methods may be called from any goroutine;
// they run one at a time.
type Agent struct {
	// PID is the process's id.
	PID int

	cmd     *Cmd
	in      io.WriteCloser
	enc     *json.Encoder
	dec     *json.Decoder
	mu      sync.Mutex // guards the conversation
	sockets int
	timeout time.Duration
	server  netip.Addr // the name server asked by default
}

// request and response are the lines that parent and agent exchange.
type request struct {
	Op      string           `json:"op"`
	Socket  int              `json:"socket,omitempty"`
	Kind    string           `json:"kind,omitempty"`
	Addr    netip.AddrPort   `json:"addr"`
	Addrs   []netip.AddrPort `json:"addrs,omitempty"`
	Data    []byte           `json:"data,omitempty"`
	Device  string           `json:"device,omitempty"`
	Number  int              `json:"number,omitempty"`
	Timeout time.Duration    `json:"timeout,omitempty"`
}

type response struct {
	Error  string         `json:"error,omitempty"`
	Data   []byte         `json:"data,omitempty"`
	Device string         `json:"device,omitempty"`
	Number int            `json:"number,omitempty"`
	Addr   netip.AddrPort `json:"addr"`
}

// Agent starts an agent; Isolate must be the first thing in main or TestMain. It ends with Close, the lab or this process.
func (l *Lab) Agent(o AgentOptions) (*Agent, error) {
	ns := o.NS
	if ns == nil {
		ns = l.Client
	}
	cmd := l.CommandIn(context.Background(), ns, "/proc/self/exe")
	switch {
	case o.Cgroup != nil:
		cmd.InCgroup(o.Cgroup)
	case !o.OutsideCgroup:
		cmd.InCgroup(l.cgroupFD)
	}
	if o.UID != 0 {
		cmd.AsUser(o.UID)
	}
	cmd.Env = append(os.Environ(), envAgent+"=1")
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start agent: %w", err)
	}
	a := &Agent{
		PID: cmd.Process.Pid, cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out),
		timeout: o.Timeout, server: l.DNS.Addr4,
	}
	if a.timeout == 0 {
		a.timeout = agentTimeout
	}
	return a, nil
}

// Close ends the agent and its sockets. One that was killed before, as by the lab's Close, has ended too.
func (a *Agent) Close() error {
	if err := a.in.Close(); err != nil {
		return fmt.Errorf("end agent: %w", err)
	}
	err := a.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end agent: %w", err)
	}
	return nil
}

// ask has the agent do one thing. An error that is not an Errno is the conversation's.
func (a *Agent) ask(r request) (response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.Timeout = a.timeout
	if err := a.enc.Encode(r); err != nil {
		return response{}, fmt.Errorf("ask agent to %s: %w", r.Op, err)
	}
	var resp response
	if err := a.dec.Decode(&resp); err != nil {
		return response{}, fmt.Errorf("ask agent to %s: %w", r.Op, err)
	}
	if resp.Error != "" {
		return resp, Errno(resp.Error)
	}
	return resp, nil
}

// DialTCP connects, reads one line and closes. The line of a lab server is the client's address as it saw it.
func (a *Agent) DialTCP(addr netip.AddrPort) (string, error) {
	resp, err := a.ask(request{Op: "dial", Kind: "tcp", Addr: addr})
	return string(resp.Data), err
}

// DialUDP connects a datagram socket, sends one datagram, reads one reply and closes.
func (a *Agent) DialUDP(addr netip.AddrPort) (string, error) {
	resp, err := a.ask(request{Op: "dial", Kind: "udp", Addr: addr, Data: []byte("hello")})
	return string(resp.Data), err
}

// DialUDPUnconnected is DialUDP by a socket that never connects.
func (a *Agent) DialUDPUnconnected(addr netip.AddrPort) (string, error) {
	resp, err := a.ask(request{Op: "dial", Kind: "udp-unconnected", Addr: addr, Data: []byte("hello")})
	return string(resp.Data), err
}
