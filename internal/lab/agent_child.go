package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// agentMain serves requests until the parent closes its end; it returns the exit code.
func agentMain(in io.Reader, out io.Writer) int {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	c := child{sockets: map[int]*rawSocket{}}
	for {
		var r request
		err := dec.Decode(&r)
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "lab agent:", err)
			return 1
		}
		resp, err := c.do(r)
		if err != nil {
			resp.Error = errnoName(err)
		}
		if err := enc.Encode(resp); err != nil {
			return 1
		}
	}
}

func errnoName(err error) string {
	var e unix.Errno
	if !errors.As(err, &e) {
		return err.Error()
	}
	if e == unix.EAGAIN {
		return string(ErrTimeout)
	}
	if name := unix.ErrnoName(e); name != "" {
		return name
	}
	return e.Error()
}

// child is an agent seen from within.
type child struct{ sockets map[int]*rawSocket }

func (c child) do(r request) (response, error) {
	switch r.Op {
	case "dial":
		return dial(r)
	case "open":
		s, err := openSocket(r.Kind)
		if err == nil {
			c.sockets[r.Socket] = s
		}
		return response{}, err
	}
	s := c.sockets[r.Socket]
	if s == nil {
		return response{}, fmt.Errorf("no socket %d", r.Socket)
	}
	if r.Op == "close" {
		delete(c.sockets, r.Socket)
		return response{}, unix.Close(s.fd)
	}
	return s.do(r)
}

// do is one step of one socket.
func (s *rawSocket) do(r request) (resp response, err error) {
	switch r.Op {
	case "bind-device":
		err = s.bindDevice(r.Device)
	case "device":
		resp.Device, err = s.device()
	case "set-mark":
		err = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_MARK, r.Number)
	case "mark":
		resp.Number, err = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_MARK)
	case "bind":
		err = unix.Bind(s.fd, s.sockaddr(r.Addr))
	case "connect":
		err = s.connect(r.Addr, r.Timeout)
	case "disconnect":
		err = s.disconnect()
	case "local":
		resp.Addr, err = s.local()
	case "send":
		resp.Number, err = s.send(r.Data, r.Addr, true)
	case "send-once":
		resp.Number, err = s.send(r.Data, r.Addr, false)
	case "recv":
		resp.Data, resp.Addr, err = s.recv(r.Timeout)
	default:
		return s.doDatagram(r)
	}
	return resp, err
}

// dial is a whole exchange over a fresh socket.
func dial(r request) (response, error) {
	kind := "udp"
	if r.Kind == "tcp" || r.Kind == "tcp-dns" {
		kind = "tcp"
	}
	s, err := openSocket(kind + familyOf(r.Addr))
	if err != nil {
		return response{}, err
	}
	defer unix.Close(s.fd)
	if r.Device != "" {
		if err := s.bindDevice(r.Device); err != nil {
			return response{}, err
		}
	}
	to := netip.AddrPort{}
	if r.Kind == "udp-unconnected" {
		to = r.Addr
	} else if err := s.connect(r.Addr, r.Timeout); err != nil {
		return response{}, err
	}
	resp := response{}
	if len(r.Data) > 0 {
		if resp.Number, err = s.send(r.Data, to, true); err != nil {
			return resp, err
		}
	}
	switch r.Kind {
	case "tcp":
		resp.Data, err = s.line(r.Timeout)
	case "tcp-dns":
		resp.Data, err = s.message(r.Timeout)
	default:
		resp.Data, resp.Addr, err = s.recv(r.Timeout)
	}
	return resp, err
}

func familyOf(a netip.AddrPort) string {
	if a.Addr().Is4() {
		return "4"
	}
	return "6"
}
