package clients

import (
	"bufio"
	"context"
	"strings"
	"testing"

	"github.com/domain-route/domain-route/e2e/clients/kit"
)

func findSSH(t testing.TB, _ *kit.Host) kit.Command {
	return kit.Command{kit.Tool(t, "ssh"), "-v", "-F", "/dev/null", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5"}
}

func visitBySSH(t *testing.T, h *kit.Host, c kit.Command, f kit.Family, names []string) {
	for _, name := range names {
		exchangeBanners(t, h, append(c[:len(c):len(c)], "-"+f.String(), name))
	}
}

// exchangeBanners runs ssh until it has read the server's banner. The server then says nothing more, so it is ended.
func exchangeBanners(t *testing.T, h *kit.Host, c kit.Command) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), kit.Patience)
	defer cancel()
	cmd := h.Command(ctx, c[0], c[1:]...).AsUser(kit.User)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C"}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start ssh: %v", err)
	}
	banner, lines := false, []string{}
	for scan := bufio.NewScanner(log); !banner && scan.Scan(); {
		lines = append(lines, scan.Text())
		banner = strings.Contains(scan.Text(), "remote software version lab ")
	}
	cancel()
	_ = cmd.Wait() // killed, or it failed and said why
	if !banner {
		t.Errorf("%v: no banner\n%s", c, strings.Join(lines, "\n"))
	}
}
