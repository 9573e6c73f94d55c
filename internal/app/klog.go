package app

import (
	"log/slog"
	"sync"

	"k8s.io/klog/v2"
)

// routeKlog hands what klog is told to the process's own logger. Tessera logs
// through klog, which writes to standard error when nobody has said otherwise.
// klog is global and may not be changed while it is written to, so that the
// first logger of a process stays.
func routeKlog(log *slog.Logger) {
	klogOnce.Do(func() { klog.SetSlogLogger(log.With("from", "klog")) })
}

var klogOnce sync.Once
