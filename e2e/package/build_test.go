package packages

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

const top = "../.."

// Versions of the packages. All programs are of this tree; that of otherLayout takes itself for one with other maps.
const (
	oldVersion  = "0.1.0+test"
	otherLayout = "0.1.1+test"
	newVersion  = "9.9.9+test"
)

// builds are the packages that the tests install, built once.
var builds struct {
	once sync.Once
	dir  string
	err  error
	said string
}

// pack returns the path of a package: "deb" or "rpm", of a version.
func pack(t *testing.T, kind, version string) string {
	t.Helper()
	builds.once.Do(buildAll)
	if builds.err != nil {
		t.Fatalf("building the packages: %v\n%s", builds.err, builds.said)
	}
	found, err := filepath.Glob(filepath.Join(builds.dir, "*"+version+"*."+kind))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s of %s: %q, %v", kind, version, found, err)
	}
	return found[0]
}

func buildAll() {
	if builds.dir, builds.err = os.MkdirTemp("", "domain-route-package"); builds.err != nil {
		return
	}
	script := func(env []string, text string) {
		if builds.err != nil {
			return
		}
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", text)
		cmd.Dir = top
		cmd.Env = append(append(os.Environ(), "DIR="+builds.dir, "ARCHES=amd64", "SBOM=no", "CGO_ENABLED=0"), env...)
		var out []byte
		out, builds.err = cmd.CombinedOutput()
		builds.said = string(out)
	}
	// With all at once; what takes longest beside.
	other := make(chan error, 1)
	go func() { other <- buildOther(filepath.Join(builds.dir, "other")) }()
	script([]string{"VERSION=" + newVersion}, `scripts/package "$DIR"`)
	if err := <-other; builds.err == nil {
		builds.err = err
	}
	// Another version is the same package with another program: that is quicker than to make it anew.
	repack := `dpkg-deb -R "$DIR"/*` + newVersion + `*.deb "$DIR/$VERSION"
sed -i "s/^Version: .*/Version: $VERSION-1/" "$DIR/$VERSION/DEBIAN/control"
install -m 0755 "$DIR/$PROGRAM" "$DIR/$VERSION/usr/sbin/domain-route"
dpkg-deb -Zgzip -z1 -b "$DIR/$VERSION" "$DIR/domain-route_$VERSION-1_amd64.deb"
rm -r "${DIR:?}/$VERSION"`
	// The old one differs in its version alone, which is as long.
	script(nil, `dpkg-deb --fsys-tarfile "$DIR"/*`+newVersion+`*.deb | tar -x -O ./usr/sbin/domain-route | sed 's/`+newVersion+`/`+oldVersion+`/g' >"$DIR/old"`)
	script([]string{"VERSION=" + oldVersion, "PROGRAM=old"}, repack)
	script([]string{"VERSION=" + otherLayout, "PROGRAM=other"}, repack)
}

// buildOther builds the program with another layout.
func buildOther(to string) error {
	if err := overlayLayout(to + ".overlay"); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-overlay="+to+".overlay", "-trimpath", "-buildvcs=false",
		"-ldflags", "-s -w -X github.com/domain-route/domain-route/internal/cli.version="+otherLayout, "-o", to, "./cmd/domain-route")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// overlayLayout writes what has go build take another number for the layout.
func overlayLayout(path string) error {
	real, err := filepath.Abs(filepath.Join(top, "internal/dataplane/state.go"))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(real)
	if err != nil {
		return err
	}
	changed := regexp.MustCompile(`(?m)^const layout = \d+$`).ReplaceAll(text, []byte("const layout = 9999"))
	if bytes.Equal(text, changed) {
		return os.ErrNotExist
	}
	if err := os.WriteFile(path+".go", changed, 0o644); err != nil {
		return err
	}
	spec, err := json.Marshal(map[string]any{"Replace": map[string]string{real: path + ".go"}})
	if err != nil {
		return err
	}
	return os.WriteFile(path, spec, 0o644)
}

// run runs a program and returns what it said; it must succeed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// The program needs no library, on either architecture.
func TestStatic(t *testing.T) {
	dir := t.TempDir()
	run(t, "dpkg-deb", "-x", pack(t, "deb", newVersion), dir)
	other := filepath.Join(dir, "arm64")
	// As CI's clean clone is built: it is in Go's cache.
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", other, "./cmd/domain-route")
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=arm64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, path := range []string{filepath.Join(dir, program), other} {
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Errorf("%s: %v: it is linked with libraries", path, p.Type)
			}
		}
	}
}

// Debian's own checker has nothing to say but what packaging/lintian-overrides explains.
func TestLintian(t *testing.T) {
	out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", pack(t, "deb", newVersion)).CombinedOutput()
	if err != nil || regexp.MustCompile(`(?m)^[EWN]: domain-route`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}
