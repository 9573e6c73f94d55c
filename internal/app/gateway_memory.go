package app

import (
	"bytes"
	"math"
	"os"
	"runtime/debug"
	"strconv"

	"github.com/apexlogic/apex/internal/gateway/bodies"
)

const (
	// mostBodyMemory is the memory for messages where nobody bounds the process: four
	// callers with four messages each of the 32 MiB that routes allow.
	mostBodyMemory = 512 << 20
	// memoryLimit says how much the processes of this container may have (cgroup v2).
	memoryLimit = "/sys/fs/cgroup/memory.max"
)

// bodyBudget is the memory for messages: as it was said, or half of what the process
// may have by GOMEMLIMIT or its container. The other half is for all that stands
// beside the bytes of a message while it is looked at.
func bodyBudget(said int64) *bodies.Budget {
	if said > 0 {
		return bodies.New(said)
	}
	limit, _ := os.ReadFile(memoryLimit)
	return bodies.New(bodyMemory(debug.SetMemoryLimit(-1), limit))
}

// bodyMemory is half of the lower limit, and mostBodyMemory at most. A container
// without a limit says "max".
func bodyMemory(process int64, container []byte) int64 {
	limit := int64(math.MaxInt64)
	if n, err := strconv.ParseInt(string(bytes.TrimSpace(container)), 10, 64); err == nil && n > 0 {
		limit = n
	}
	return min(limit/2, process/2, mostBodyMemory)
}
