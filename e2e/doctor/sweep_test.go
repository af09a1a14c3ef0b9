package doctor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/lab"
)

// tunnelEnv makes this program one that has a tun device, tun5, and a connection to its server, given by address and port.
const tunnelEnv = "DOCTOR_TEST_TUNNEL"

func tunnel(server string) error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	req, err := unix.NewIfreq("tun5")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return err
	}
	c, err := net.Dial("udp", server)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// A rule for everything else takes name servers, Tailscale's network and a tunnel's own server along: rule add says so, and
// doctor, and what they say helps.
func TestSwept(t *testing.T) {
	h, _, _ := sound(t)
	server := h.MustHost("tunnel.test").Addr4.String()
	client := h.Command(t.Context(), executable(t))
	client.Env = append(os.Environ(), tunnelEnv+"="+server+":4500")
	in, err := client.StdinPipe()
	must(t, err)
	out, err := client.StdoutPipe()
	must(t, err)
	client.Stderr = os.Stderr
	must(t, client.Start())
	defer func() { in.Close(); _ = client.Wait() }()
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	ip(t, h, "link", "set", "tun5", "up")
	ip(t, h, "addr", "add", "10.77.0.1/24", "dev", "tun5")
	must(t, h.AddUplink("tailscale0", lab.UplinkOptions{Tun: true, NoDefaultRoute: true}))
	wantSound(t, h)

	dns := h.DNS.Addr4.String()
	want := map[string]string{
		dns:             "name-server the rule default sends what it is asked to tun5, where it may not answer",
		"100.64.0.0/10": "tailscale the rule default sends Tailscale's network to tun5",
		"tun5":          "tunnel-server , sends to its server " + server + " into the tunnel itself",
	}
	var data struct{ Warnings []string }
	h.JSON(&data, "rule", "add", "default", "tun5")
	all := strings.Join(data.Warnings, "\n")
	var cures []string
	found := 0
	for _, c := range wrongIn(consult(t, h)) {
		id, text, _ := strings.Cut(want[c.Subject], " ")
		if c.ID != id || !strings.Contains(c.Found, text) {
			t.Errorf("%+v; want %s, %q", c, id, text)
			continue
		}
		found++
		if !strings.Contains(all, c.Subject+": "+c.Found+": "+c.Cure) {
			t.Errorf("rule add does not say %+v: %s", c, all)
		}
		cure, _, _ := strings.Cut(c.Cure, "; ")
		cures = append(cures, cure)
	}
	if found != len(want) {
		t.Errorf("%d of %d things are named", found, len(want))
	}
	for _, cure := range cures {
		mend(t, h, cure)
	}
	wantSound(t, h)
	h.JSON(&data, "rule", "add", "default", "tun5")
	if len(data.Warnings) != 1 || !strings.Contains(data.Warnings[0], "tun device") { // what is known from the device alone
		t.Errorf("again: %q", data.Warnings)
	}
	// That it is meant can be said, too.
	h.Must("rule", "add", dns, "tun5")
	wantSound(t, h)
}
