// Package storm tests that nothing leaks while everything happens at once.
package storm

import (
	"os"
	"testing"

	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}
