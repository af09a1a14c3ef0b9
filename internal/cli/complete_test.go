package cli

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every flag with a value and every argument is completed, be it by nothing: where a shell is not told, it offers the files
// of the directory.
func TestAllComplete(t *testing.T) {
	files := []string{"config", "file", "cgroup", "textfile"} // what shells complete themselves
	visit(Commands(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.HasSubCommands() || cmd.Parent().Name() == "completion" {
			return
		}
		if cmd.ValidArgsFunction == nil && cmd.Name() != "import" {
			t.Errorf("%s: its arguments are not completed", path)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if _, has := cmd.GetFlagCompletionFunc(f.Name); !has && f.Value.Type() != "bool" && !slices.Contains(files, f.Name) {
				t.Errorf("%s: --%s is not completed", path, f.Name)
			}
		})
	})
}

// What is offered goes on from what was begun, once, and is nothing that a shell or terminal takes for more than a word.
func TestOffer(t *testing.T) {
	words := []string{"b.test", "a.test", "a.test", "a$(reboot).test", "a`x`", "a;b", "a\x1b[2J", "a\\", "*.a", "=a", "a\tb"}
	for start, want := range map[string][]string{
		"": {"*.a", "=a", "a\tb", "a.test", "b.test"}, "a.": {"a.test"}, "x": nil,
	} {
		if diff := cmp.Diff(want, offer(words, start), cmp.Transformer("nil", func(s []string) []string {
			if len(s) == 0 {
				return nil
			}
			return s
		})); diff != "" {
			t.Errorf("%q: %s", start, diff)
		}
	}
}

func TestChain(t *testing.T) {
	for start, want := range map[string][]string{
		"wg0,":         {"wg0,eth1", "wg0,direct"},
		"wg0,e":        {"wg0,eth1", "wg0,direct"},
		"eth1,wg0,dir": {"eth1,wg0,direct"},
	} {
		if diff := cmp.Diff(want, chain(start, "wg0", "eth1", "direct")); diff != "" {
			t.Errorf("%q: %s", start, diff)
		}
	}
}
