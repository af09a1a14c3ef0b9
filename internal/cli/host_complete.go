package cli

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/domain-route/domain-route/internal/netdev"
)

// interfaces are those there are, but loopback.
func interfaces() (names []string) {
	all, err := netdev.List()
	if err != nil {
		return nil
	}
	for _, d := range all {
		if !d.Loopback {
			names = append(names, d.Name)
		}
	}
	return names
}

// chain adds to a list that is begun, such as "wg0," or "tc:eth1,": each word that is not in it yet.
func chain(start string, words ...string) (all []string) {
	at := strings.LastIndexByte(start, ',')
	_, list, found := strings.Cut(start[:at+1], ":")
	if !found {
		list = start[:at+1]
	}
	for _, w := range words {
		if !strings.Contains(","+list, ","+w+",") {
			all = append(all, start[:at+1]+w)
		}
	}
	return all
}

// targetWords are targets: interfaces, also as a chain, the words, and those of the rules that run.
func targetWords(start string) []string {
	words := append(interfaces(), "direct", "block")
	if strings.Contains(start, ",") {
		return chain(start, words...)
	}
	words = append(words, "mark:")
	if set := peekRules(); set != nil {
		for _, t := range set.Targets() {
			words = append(words, t.String())
		}
	}
	return words
}

// runningTargets are the targets of the rules that run.
func runningTargets(string) (words []string) {
	if set := peekRules(); set != nil {
		for _, t := range set.Targets() {
			words = append(words, t.String())
		}
	}
	return words
}

// observerWords are those of --observe.
func observerWords(start string) []string {
	if list, isTC := strings.CutPrefix(start, "tc:"); isTC {
		var words []string
		for _, w := range chain(list, interfaces()...) {
			words = append(words, "tc:"+w)
		}
		return words
	}
	return []string{"sockets", "libc", "tc", "tc:"}
}

// users are those of the host's own file: others may have to be asked for over the network.
func users(string) (names []string) {
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, name)
		}
	}
	return names
}

// cgroups are the cgroups at the place in the tree that is begun, as a rule has them: /system.slice/foo.service.
func cgroups(start string) (paths []string) {
	root := cgroupMount()
	if root == "" {
		return nil
	}
	above := start[:strings.LastIndexByte(start, '/')+1]
	if strings.Contains(above, "..") {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(root, above))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			paths = append(paths, "/"+strings.TrimPrefix(above, "/")+e.Name())
		}
	}
	return paths
}

// cgroupMount is where cgroup v2 is mounted.
func cgroupMount() string {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	return ""
}

// processes are the numbers of the programs that run, each with its name.
func processes() (numbers, names []string) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil, nil
	}
	for _, d := range dirs {
		if _, err := strconv.ParseUint(d.Name(), 10, 32); err != nil {
			continue
		}
		if line, err := os.ReadFile("/proc/" + d.Name() + "/cmdline"); err != nil || len(line) == 0 {
			continue // the kernel's own, or gone
		}
		comm, err := os.ReadFile("/proc/" + d.Name() + "/comm")
		if err != nil {
			continue
		}
		name := printable(strings.TrimSuffix(string(comm), "\n"))
		numbers = append(numbers, d.Name()+"\t"+name)
		names = append(names, name)
	}
	return numbers, names
}

// processNumbers is for flags that want a process by its number.
func processNumbers(_ *cobra.Command, _ []string, start string) ([]string, cobra.ShellCompDirective) {
	numbers, _ := processes()
	return offer(numbers, start), cobra.ShellCompDirectiveNoFileComp
}

// processWords are numbers and names.
func processWords(string) []string {
	numbers, names := processes()
	return append(numbers, names...)
}
