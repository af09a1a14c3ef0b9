package reset

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/internal/lab"
)

// files serves downloads without end, and tells who fetches them.
type files struct {
	mu     sync.Mutex
	served map[string][]netip.Addr // path -> clients, in order
	sent   map[string]int          // path -> bytes, of all its downloads
	finish map[string]bool         // paths whose downloads end now
}

const rest = "the end\n"

func (f *files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client := netip.MustParseAddrPort(r.RemoteAddr).Addr().Unmap()
	f.mu.Lock()
	f.served[r.URL.Path] = append(f.served[r.URL.Path], client)
	f.mu.Unlock()
	block := bytes.Repeat([]byte("x"), 4096)
	for !f.finished(r.URL.Path) {
		if _, err := w.Write(block); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		f.mu.Lock()
		f.sent[r.URL.Path] += len(block)
		f.mu.Unlock()
		select { // at the pace of a slow line
		case <-r.Context().Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
	fmt.Fprint(w, rest)
}

func (f *files) finished(file string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.finish[file]
}

func (f *files) end(file string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finish[file] = true
}

func (f *files) clients(file string) []netip.Addr {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]netip.Addr(nil), f.served[file]...)
}

func (f *files) bytes(file string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent[file]
}

func serveFiles(t *testing.T, h *harness.Host) *files {
	t.Helper()
	f := &files{served: map[string][]netip.Addr{}, sent: map[string]int{}, finish: map[string]bool{}}
	check(t, h.Internet.Do(func() error {
		l, err := net.Listen("tcp", ":8080")
		if err == nil {
			t.Cleanup(func() { l.Close() })
			go func() { _ = http.Serve(l, f) }()
		}
		return err
	}))
	return f
}

// curl downloads until it has it all.
func curl(t *testing.T, h *harness.Host, family, url string) (wait func() error, output *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := h.Command(ctx, "curl", family, "-sS", "--retry", "5", "--retry-all-errors", "--retry-delay", "1", "-o", filepath.Join(h.Dir, path.Base(url)), url)
	output = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = output, output
	check(t, cmd.Start())
	return cmd.Wait, output
}

// A download is closed in the middle, and curl's second try arrives by the new interface. Its neighbour goes on.
func TestDownload(t *testing.T) {
	_, err := exec.LookPath("curl")
	harness.Need(t, err == nil, "curl")
	for family, of := range map[string]func(lab.Uplink) netip.Addr{
		"-4": func(u lab.Uplink) netip.Addr { return u.Addr4 },
		"-6": func(u lab.Uplink) netip.Addr { return u.Addr6 },
	} {
		t.Run(family, func(t *testing.T) {
			h := harness.Started(t)
			f := serveFiles(t, h)
			h.MustHost("ruled.test")
			h.MustHost("plain.test")
			ruled, said := curl(t, h, family, "http://ruled.test:8080/ruled")
			plain, plainSaid := curl(t, h, family, "http://plain.test:8080/plain")
			until(t, "both downloads", func() bool { return f.bytes("/ruled") > 1<<16 && f.bytes("/plain") > 1<<16 })
			h.Must("rule", "add", "ruled.test", "vpn0")
			before := f.bytes("/ruled")
			until(t, "the download to go on as it was", func() bool { return f.bytes("/ruled") > before+1<<16 })

			rows := reset(t, h)
			if len(rows) != 1 || rows[0].Names[0] != "ruled.test" || rows[0].Processes[0].Comm != "curl" {
				t.Errorf("closed: %+v", rows)
			}
			until(t, "curl to come again", func() bool { return len(f.clients("/ruled")) == 2 })
			want := []netip.Addr{of(h.Uplink("wan0")), of(h.Uplink("vpn0"))}
			if got := f.clients("/ruled"); got[0] != want[0] || got[1] != want[1] {
				t.Errorf("downloads came from %v, want %v", got, want)
			}
			neighbour := f.bytes("/plain")
			until(t, "the neighbour's download to go on", func() bool { return f.bytes("/plain") > neighbour+1<<16 })
			f.end("/ruled")
			f.end("/plain")
			if err := ruled(); err != nil {
				t.Errorf("curl: %v: %s", err, said)
			}
			if err := plain(); err != nil {
				t.Errorf("the neighbour's curl: %v: %s", err, plainSaid)
			}
			if got := f.clients("/plain"); len(got) != 1 || got[0] != want[0] {
				t.Errorf("the neighbour came from %v, want %v once", got, want[0])
			}
		})
	}
}
