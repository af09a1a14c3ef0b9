// Package resolvers tests domain-route with the answers of real resolvers, fresh and from their caches, by UDP and TCP.
package resolvers

import (
	"os"
	"testing"

	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}
