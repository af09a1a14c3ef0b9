package browser

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/domain-route/domain-route/e2e/harness"
	"github.com/domain-route/domain-route/e2e/harness/chromium"
	"github.com/domain-route/domain-route/internal/lab"
)

// A browser is one run of chromium with a profile of its own, which loads one page and ends.
type browser struct {
	cmd       *lab.Cmd
	url       string
	dom, errs bytes.Buffer
	ended     chan struct{} // closed at the end, after which err is how it ended
	err       error
}

// noise is what chromium says on machines without a message bus.
var noise = regexp.MustCompile(`(?m)^.*dbus/.*\n`)

// profiles counts the browsers' directories: short names, since chromium makes a socket well below that.
var profiles atomic.Int32

// open starts a browser, which is killed when it takes too long.
func open(t *testing.T, h *harness.Host, s *site, url string, flags ...string) *browser {
	t.Helper()
	home := filepath.Join(h.Dir, fmt.Sprint(profiles.Add(1)))
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	b := &browser{cmd: chromium.Command(ctx, t, h, user, home, s.keys, append(flags, url)...), url: url, ended: make(chan struct{})}
	b.cmd.Stdout, b.cmd.Stderr = &b.dom, &b.errs
	b.cmd.WaitDelay = time.Second // its children may outlive it and keep the pipes
	if err := b.cmd.Start(); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	go func() {
		b.err = b.cmd.Wait()
		close(b.ended)
	}()
	return b
}

// wait fails the test unless the browser ends by itself and the page's script has run.
func (b *browser) wait(t *testing.T) {
	t.Helper()
	<-b.ended
	if b.err != nil || !strings.Contains(b.dom.String(), scriptRan) {
		errs := noise.ReplaceAllString(b.errs.String(), "")
		t.Errorf("chromium %s: %v\n%s\n%s", b.url, b.err, b.dom.String(), errs[max(0, len(errs)-2000):])
	}
}
