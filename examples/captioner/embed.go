// Package captioner holds the files of the example that runs through all of
// Apex: its policies and workloads. "${REGISTRY}" in a workload stands for the
// registry that the workspace's images are in.
package captioner

import "embed"

// Files are the example's policies and workloads.
//
//go:embed policies workloads README.md
var Files embed.FS

// Model is the function's model, below the folder "model".
//
//go:embed model
var Model embed.FS
