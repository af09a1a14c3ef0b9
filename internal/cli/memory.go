package cli

import (
	"math"
	"runtime/debug"
)

// memoryWanted is how much memory a command is to do with if it can, in bytes. With a million rules the collector, which waits until
// the heap has doubled, would let it take twice what it needs; close to this it comes more often.
const memoryWanted = 230 << 20

// saveMemory has the collector come in time, unless GOMEMLIMIT says otherwise.
func saveMemory() {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryWanted)
	}
}
