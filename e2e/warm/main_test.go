// Package warm tests that a start does not wait for caches to run dry: with real resolvers that cached a name before it.
package warm

import (
	"os"
	"testing"

	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	if os.Getenv(recorderEnv) != "" {
		os.Exit(record())
	}
	lab.Isolate()
	os.Exit(m.Run())
}
