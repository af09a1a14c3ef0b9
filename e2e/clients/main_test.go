// Package clients tests domain-route with real, unmodified programs that resolve by themselves and then connect.
package clients

import (
	"os"
	"testing"

	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}
