package libc

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/harness"
)

// BenchmarkGetaddrinfo is what a look-up in /etc/hosts costs, the cheapest there is, without and with the observer.
func BenchmarkGetaddrinfo(b *testing.B) {
	h := harness.Started(b, "--observe", "sockets")
	s, err := h.AddHost()
	if err != nil {
		b.Fatal(err)
	}
	if err := h.SetHosts(s.Addr4.String() + " ruled.example\n" + s.Addr4.String() + " plain.example\n"); err != nil {
		b.Fatal(err)
	}
	if err := h.SetNSSwitch("files"); err != nil {
		b.Fatal(err)
	}
	client := filepath.Join(h.Dir, "client")
	if out, err := exec.Command("gcc", "-O1", "-o", client, "testdata/client.c").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	h.Must("rule", "add", "ruled.example", "vpn0")
	for _, c := range []struct {
		name, asked string
		observers   []string
	}{
		{"without", "ruled.example", []string{"sockets"}},
		{"ruled", "ruled.example", []string{"sockets", "libc"}},
		{"plain", "plain.example", []string{"sockets", "libc"}},
		{"numeric", "192.0.2.1", []string{"sockets", "libc"}},
		{"numeric-without", "192.0.2.1", []string{"sockets"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			args := []string{"start"}
			for _, o := range c.observers {
				args = append(args, "--observe", o)
			}
			h.Must(args...)
			out, err := h.Command(b.Context(), client, "cost", c.asked, strconv.Itoa(max(b.N, 1000))).Output()
			if err != nil {
				b.Fatal(err)
			}
			ns, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(ns, "ns/look-up")
		})
	}
}
