package recipes

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

func TestContainers(t *testing.T) {
	s := tell(t, "containers.md", "example.com", "example.org")
	check(t, s.AddUplink("wg0", lab.UplinkOptions{}))
	s.uplink("wg0")
	s.docker()
	was := s.network()

	s.shell("domain-route start && domain-route rule add example.com wg0")
	s.wantSeen(s.run("What is covered and what is not"), "eth0")
	s.goes("example.com", "wg0")

	s.wantSeen(s.run("The host's network for the container"), "wg0")

	s.shell("domain-route rule del example.com")
	out := s.run("A rule for some containers only")
	s.wantSeen(out, "wg0")
	s.goes("example.com", "eth0") // the rest of the host

	s.shell("domain-route rule add example.com wg0")
	s.wantSeen(s.run("A relay or a proxy on the host"), "wg0")

	s.wantSeen(s.run("All of a container network by one interface"), "wg0")
	s.shell("docker run --rm curlimages/curl curl -s --max-time 2 http://172.17.0.1:8080/ || [ $? = 7 ]") // the host still answers: it refuses

	s.run("What the containers ask")
	// libc saw it, too, but that counts for the container's process alone.
	asked := slices.ContainsFunc(s.Learnt(), func(l harness.Learnt) bool { return l.Name == "example.org" && l.Level == "host" })
	if !asked {
		t.Error("nothing was learnt for the host from what the container asked")
	}

	s.run("domain-route in the container's network")
	s.goes("example.com", "eth0") // the host

	s.run("Undo")
	s.asBefore(was, "example.com", "example.org")
}

// docker sets up the network that Docker does, and a program docker that runs commands in it or, with --network=host, on the
// host: in the cgroup of the container either way.
func (s *story) docker() {
	s.t.Helper()
	box, err := lab.NewNamespace()
	check(s.t, err)
	s.t.Cleanup(func() { _ = box.Close() })
	check(s.t, s.Client.NL.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "veth1"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(box.Fd()),
	}))
	s.shell(`ip link add docker0 type bridge
ip addr add 172.17.0.1/16 dev docker0
ip link set veth1 master docker0 up
ip link set docker0 up
sysctl -qw net.ipv4.ip_forward=1
nft add table ip nat
nft 'add chain ip nat POSTROUTING { type nat hook postrouting priority srcnat; }'
nft add rule ip nat POSTROUTING ip saddr 172.17.0.0/16 oifname != docker0 masquerade`)
	agent := s.MustAgent(lab.AgentOptions{NS: box})
	out, err := s.CommandIn(s.t.Context(), box, "sh", "-euc",
		"ip addr add 172.17.0.2/16 dev eth0; ip link set eth0 up; ip route add default via 172.17.0.1").CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	s.Tool(s.t, "docker", fmt.Sprintf(dockerScript, agent.PID, os.Getpid(), box.Fd()))
	s.places[netip.MustParseAddr("172.17.0.2")] = "the container"
}

// dockerScript knows as much of docker as the page needs. Containers' own network is IPv4 alone, as by default.
const dockerScript = `set -eu
parent=/system.slice enter="nsenter --net=/proc/%[2]d/fd/%[3]d"
case $1 in
inspect) echo %[1]d; exit;;
run) ;;
*) exit 1;;
esac
shift
while :; do
	case $1 in
	--rm) ;;
	--network=host) enter= ;;
	--cgroup-parent=*) parent=/${1#*=};;
	--*) exit 1;;
	*) break;;
	esac
	shift
done
shift # the image
mkdir -p "/sys/fs/cgroup$parent/docker-1.scope"
echo $$ >"/sys/fs/cgroup$parent/docker-1.scope/cgroup.procs"
exec $enter "$@"`
