package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/domain-route/domain-route/internal/top"
)

// framesASecond are as many as a key press should wait for.
const framesASecond = 30

func (a *app) top() *cobra.Command {
	return &cobra.Command{
		Use:   "top",
		Short: "Watch rules, interfaces, events and learnt names on the full screen",
		Long: `Shows on the full screen, once a second: the rules by connections a second, the interfaces that rules lead to and what they
lack, the last events, the learnt names with those in conflict, and what leaked. Keys: ? tells all; Tab or 1 to 5 another
part, / filters, p pauses, Enter explains the selected line, s sorts, q quits. It needs a terminal of at least 40 columns
and 8 lines, and leaves it as it was, also when it is killed. NO_COLOR=1 turns colours off; without a UTF-8 locale it
draws with ASCII.

Exit codes: 0, ended by q, Ctrl-C or a signal; 1: domain-route is not started; 2: usage, or no terminal; 3: refused.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := a.wantsTerminal(); err != nil {
				return err
			}
			how, drawing := os.LookupEnv(envDrawing)
			if !drawing {
				return guardTerminal()
			}
			return a.drawTop(how == maySuspend)
		},
	}
}

// wantsTerminal refuses where there is no screen to draw on.
func (a *app) wantsTerminal() error {
	switch term := os.Getenv("TERM"); {
	case a.output == "json":
		return usageError{errors.New("top is a screen, not data; write: domain-route watch --json, or domain-route status -o json")}
	case !a.Terminal || !a.InTerminal:
		return usageError{errors.New("top wants a terminal; without one write: domain-route watch, or domain-route status")}
	case term == "" || term == "dumb":
		return usageError{fmt.Errorf("the terminal (TERM=%s) has no screen to draw on; write: domain-route watch, or domain-route status", term)}
	}
	return nil
}

// drawTop is top itself; guardTerminal waits for it.
func (a *app) drawTop(suspend bool) error {
	source, err := a.newTopSource()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	source.watch(ctx)
	defer source.close()
	model := top.New(source, top.Options{
		Printable: printable, User: source.user, ASCII: !isUTF8(os.Getenv), NoSuspend: !suspend,
	})
	env := os.Environ()
	if strings.HasPrefix(os.Getenv("TERM"), "vt") {
		env = append(env, "NO_COLOR=1")
	}
	p := tea.NewProgram(model, tea.WithFPS(framesASecond), tea.WithEnvironment(env), tea.WithoutSignalHandler(),
		tea.WithOutput(&screenFile{file: os.Stdout}))
	// The same signal may come twice, to all of the group and from what guards; the second must not end what cleans up.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	go func() {
		<-signals
		p.Quit()
	}()
	_, err = p.Run()
	if err != nil {
		return fmt.Errorf("top: %w", err)
	}
	return nil
}

// isUTF8 tells whether the terminal is to be had for more than ASCII: by the locale, as the C library finds it. The
// consoles' own fonts have no characters to draw with, whatever the locale.
func isUTF8(getenv func(string) string) bool {
	if term := getenv("TERM"); term == "linux" || strings.HasPrefix(term, "vt") {
		return false
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// userNames are users' names, each looked up once.
type userNames struct {
	mu    sync.Mutex
	names map[uint32]string
}

func (u *userNames) user(uid uint32) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return kept(&u.names, uid, userName)
}

var _ top.Source = (*topSource)(nil)
