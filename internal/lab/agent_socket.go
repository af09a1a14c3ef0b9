package lab

import "net/netip"

// Socket is one socket of an agent, taken step by step.
type Socket struct {
	agent *Agent
	id    int
}

// Socket opens a socket of kind "tcp4", "tcp6", "udp4" or "udp6". The sockets of IPv6 take IPv4 addresses and use them v4-mapped.
func (a *Agent) Socket(kind string) (*Socket, error) {
	a.mu.Lock()
	a.sockets++
	s := &Socket{agent: a, id: a.sockets}
	a.mu.Unlock()
	_, err := s.ask(request{Op: "open", Kind: kind})
	return s, err
}

func (s *Socket) ask(r request) (response, error) {
	r.Socket = s.id
	return s.agent.ask(r)
}

// BindDevice binds to an interface by name; "" unbinds.
func (s *Socket) BindDevice(name string) error {
	_, err := s.ask(request{Op: "bind-device", Device: name})
	return err
}

// Device is the name of the interface to which the socket is bound, "" if to none.
func (s *Socket) Device() (string, error) {
	resp, err := s.ask(request{Op: "device"})
	return resp.Device, err
}

// SetMark sets the socket's mark.
func (s *Socket) SetMark(mark int) error {
	_, err := s.ask(request{Op: "set-mark", Number: mark})
	return err
}

// Mark is the socket's mark.
func (s *Socket) Mark() (int, error) {
	resp, err := s.ask(request{Op: "mark"})
	return resp.Number, err
}

// Bind binds to a local address.
func (s *Socket) Bind(addr netip.AddrPort) error {
	_, err := s.ask(request{Op: "bind", Addr: addr})
	return err
}

// Connect connects, again if it is a connected datagram socket. It waits for TCP to be established.
func (s *Socket) Connect(addr netip.AddrPort) error {
	_, err := s.ask(request{Op: "connect", Addr: addr})
	return err
}

// Disconnect ends a datagram socket's association with its peer (AF_UNSPEC).
func (s *Socket) Disconnect() error {
	_, err := s.ask(request{Op: "disconnect"})
	return err
}

// LocalAddr is the socket's own address.
func (s *Socket) LocalAddr() (netip.AddrPort, error) {
	resp, err := s.ask(request{Op: "local"})
	return resp.Addr, err
}

// Send sends on a connected socket.
func (s *Socket) Send(b []byte) error {
	_, err := s.ask(request{Op: "send", Data: b})
	return err
}

// SendTo sends one datagram. It sends again when that fails with EINTR, as the runtimes of programs do, and
// tells how often it did.
func (s *Socket) SendTo(b []byte, addr netip.AddrPort) (interrupted int, err error) {
	resp, err := s.ask(request{Op: "send", Data: b, Addr: addr})
	return resp.Number, err
}

// SendToOnce is SendTo that returns EINTR instead of sending again.
func (s *Socket) SendToOnce(b []byte, addr netip.AddrPort) error {
	_, err := s.ask(request{Op: "send-once", Data: b, Addr: addr})
	return err
}

// Recv receives what there is, one datagram at most, and its sender.
func (s *Socket) Recv() ([]byte, netip.AddrPort, error) {
	resp, err := s.ask(request{Op: "recv"})
	return resp.Data, resp.Addr, err
}

// Close closes the socket.
func (s *Socket) Close() error {
	_, err := s.ask(request{Op: "close"})
	return err
}
