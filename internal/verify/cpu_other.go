//go:build !linux

package verify

import "time"

// threadCPU is not known on this system, so CPU time is metered as zero.
func threadCPU() time.Duration { return 0 }
