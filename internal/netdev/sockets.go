package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrNoDiag is returned where the kernel does not list the sockets of a protocol.
var ErrNoDiag = errors.New("the kernel cannot list sockets")

// ErrNoDestroy is returned where the kernel cannot close sockets of others.
var ErrNoDestroy = errors.New("the kernel cannot close sockets of others")

// Socket is a connected socket of this network namespace.
type Socket struct {
	Protocol      string // tcp or udp
	Local, Remote netip.AddrPort
	UID           uint32
	Inode         uint64 // 0: its program has closed it, and the kernel sends the rest
	Ifindex       int    // the interface it is bound to, or 0
	Mark          uint32
	Cgroup        uint64 // as BPF programs know it
	Storage       []byte // TCP: what the map asked for has of it, or nil. Of UDP the kernel does not say
	Accepted      bool   // somebody seems to have connected it to us: see accepted
	id            sockID
	family        uint8
	protocol      uint8
}

// sockID is inet_diag_sockid with its cookie: the kernel finds one socket by it, or none.
type sockID [48]byte

// Parts of inet_diag_sockid, in bytes (linux/inet_diag.h).
const (
	idSource      = 4
	idDestination = 20
	idInterface   = 36
)

// Numbers that package unix does not have, from linux/inet_diag.h and linux/sock_diag.h.
const (
	requestStorages   = 2 // INET_DIAG_REQ_SK_BPF_STORAGES
	requestStorageMap = 1 // SK_DIAG_BPF_STORAGE_REQ_MAP_FD
	attrV6Only        = 11
	attrMark          = 15
	attrStorages      = 20
	attrCgroup        = 21
	attrStorage       = 1      // SK_DIAG_BPF_STORAGE
	attrStorageValue  = 3      // SK_DIAG_BPF_STORAGE_MAP_VALUE
	attrMask          = 0x3fff // without the flags of nested ones

	sizeOfDiagMessage = 72
	timerTimeWait     = 3 // the entry is what is left of a socket, in whatever state
)

// TCP states, also used for UDP, where established means connected (net/tcp_states.h).
const (
	established = 1
	synSent     = 2
	finWait1    = 4
	finWait2    = 5
	closeWait   = 8
	lastAck     = 9
	listening   = 10
	closing     = 11
)

const (
	tcpStates = 1<<established | 1<<synSent | 1<<finWait1 | 1<<finWait2 | 1<<closeWait | 1<<lastAck | 1<<listening | 1<<closing
	udpStates = 1 << established
)

// diagRequest is inet_diag_req_v2.
type diagRequest struct {
	family, protocol uint8
	states           uint32
	id               sockID
}

func (r *diagRequest) Len() int { return 8 + len(r.id) }

func (r *diagRequest) Serialize() []byte {
	b := []byte{r.family, r.protocol, 0, 0}
	return append(binary.NativeEndian.AppendUint32(b, r.states), r.id[:]...)
}

// Sockets lists the connected TCP and UDP sockets of both families, with what a map of socket storage (a file
// descriptor; -1: none) has of each. Returns ErrNoDiag.
func Sockets(storage int) ([]Socket, error) {
	var all []Socket
	var heard []listener
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			messages, err := dump(family, protocol, storage)
			if err != nil {
				return nil, err
			}
			for _, m := range messages {
				s, l, err := parseSocket(m, protocol)
				if err != nil {
					return nil, err
				}
				if s != nil {
					all = append(all, *s)
				}
				if l != nil {
					heard = append(heard, *l)
				}
			}
		}
	}
	ports, err := ephemeralPorts()
	if err != nil {
		return nil, err
	}
	for i, s := range all {
		all[i].Accepted = s.protocol == unix.IPPROTO_TCP && accepted(s.Local, heard, ports)
	}
	return all, nil
}

func dump(family, protocol uint8, storage int) ([][]byte, error) {
	states := uint32(tcpStates)
	if protocol == unix.IPPROTO_UDP {
		states = udpStates
	}
	for try := 0; ; try++ {
		req := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		req.AddData(&diagRequest{family: family, protocol: protocol, states: states})
		if storage >= 0 {
			maps := nl.NewRtAttr(requestStorages, nil)
			maps.AddRtAttr(requestStorageMap, binary.NativeEndian.AppendUint32(nil, uint32(storage)))
			req.AddData(maps)
		}
		messages, err := req.Execute(unix.NETLINK_SOCK_DIAG, 0)
		switch {
		case err == nil:
			return messages, nil
		case errors.Is(err, netlink.ErrDumpInterrupted) && try < 8:
			continue
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT):
			return nil, fmt.Errorf("%w: %s", ErrNoDiag, protocolName(protocol))
		default:
			return nil, fmt.Errorf("list the %s sockets: %w", protocolName(protocol), err)
		}
	}
}

func protocolName(protocol uint8) string {
	if protocol == unix.IPPROTO_TCP {
		return "tcp"
	}
	return "udp"
}

// parseSocket reads one inet_diag_msg: a connected socket, or a listener, or neither.
func parseSocket(m []byte, protocol uint8) (*Socket, *listener, error) {
	if len(m) < sizeOfDiagMessage {
		return nil, nil, fmt.Errorf("list the sockets: a message of %d bytes", len(m))
	}
	attrs, err := nl.ParseRouteAttr(m[sizeOfDiagMessage:])
	if err != nil {
		return nil, nil, fmt.Errorf("list the sockets: %w", err)
	}
	s := Socket{Protocol: protocolName(protocol), protocol: protocol, family: m[0]}
	state, timer := m[1], m[2]
	copy(s.id[:], m[4:])
	s.UID = binary.NativeEndian.Uint32(m[64:])
	s.Inode = uint64(binary.NativeEndian.Uint32(m[68:]))
	s.Ifindex = int(binary.NativeEndian.Uint32(s.id[idInterface:]))
	s.Local = s.address(idSource, 0)
	s.Remote = s.address(idDestination, 2)
	switch {
	case state == listening:
		l := &listener{at: s.Local, v6: s.family == unix.AF_INET6}
		for _, a := range attrs {
			l.only = l.only || a.Attr.Type == attrV6Only && len(a.Value) > 0 && a.Value[0] != 0
		}
		return nil, l, nil
	case timer == timerTimeWait:
		return nil, nil, nil
	}
	return &s, nil, s.parseAttrs(attrs)
}

func (s *Socket) parseAttrs(attrs []syscall.NetlinkRouteAttr) error {
	for _, a := range attrs {
		switch {
		case a.Attr.Type == attrMark && len(a.Value) >= 4:
			s.Mark = binary.NativeEndian.Uint32(a.Value)
		case a.Attr.Type == attrCgroup && len(a.Value) >= 8:
			s.Cgroup = binary.NativeEndian.Uint64(a.Value)
		case a.Attr.Type&attrMask == attrStorages:
			var err error
			if s.Storage, err = parseStorage(a.Value); err != nil {
				return err
			}
		}
	}
	return nil
}

// address reads one side of the socket's id. v4-mapped addresses are given as IPv4.
func (s *Socket) address(at, port int) netip.AddrPort {
	var a netip.Addr
	if s.family == unix.AF_INET {
		a = netip.AddrFrom4([4]byte(s.id[at:]))
	} else {
		a = netip.AddrFrom16([16]byte(s.id[at:])).Unmap()
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(s.id[port:]))
}

// parseStorage reads the value of the one map that was asked for.
func parseStorage(nested []byte) ([]byte, error) {
	storages, err := nl.ParseRouteAttr(nested)
	if err != nil {
		return nil, fmt.Errorf("read the storage of a socket: %w", err)
	}
	for _, storage := range storages {
		if storage.Attr.Type&attrMask != attrStorage {
			continue
		}
		parts, err := nl.ParseRouteAttr(storage.Value)
		if err != nil {
			return nil, fmt.Errorf("read the storage of a socket: %w", err)
		}
		for _, p := range parts {
			if p.Attr.Type == attrStorageValue {
				return p.Value, nil
			}
		}
	}
	return nil, nil
}

// Same tells whether two listings mean one and the same socket.
func (s *Socket) Same(other *Socket) bool { return s.family == other.family && s.id == other.id }

// Destroy closes the socket as if the connection had been reset, whoever holds it: reads and writes fail with
// ECONNABORTED. Never another one: the kernel compares the cookie. False: the kernel does not find it. Returns ErrNoDestroy.
func (s *Socket) Destroy() (bool, error) {
	req := nl.NewNetlinkRequest(unix.SOCK_DESTROY, unix.NLM_F_ACK)
	req.AddData(&diagRequest{family: s.family, protocol: s.protocol, states: ^uint32(0), id: s.id})
	_, err := req.Execute(unix.NETLINK_SOCK_DIAG, 0)
	return destroyed(err)
}

func destroyed(err error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESTALE):
		return false, nil
	case errors.Is(err, unix.EOPNOTSUPP):
		return false, ErrNoDestroy
	default:
		return false, fmt.Errorf("close a socket: %w", err)
	}
}
