// Package libc tests the observer `libc`: names that programs have from their C library, wherever that has them from.
package libc

import (
	"os"
	"testing"

	"github.com/domain-route/domain-route/internal/lab"
)

func TestMain(m *testing.M) {
	lab.Isolate()
	os.Exit(m.Run())
}
