// Package captioner holds the files of the example that runs through all of
// Apex: its policies, workloads and routes. "${REGISTRY}" in a workload stands for
// the registry that the workspace's images are in; below the folder gateway
// "${CAPTIONER}" is where the example's server listens, and "${UID}" the user.
package captioner

import "embed"

// Files are the example's policies, workloads and routes.
//
//go:embed policies workloads gateway README.md
var Files embed.FS

// Model is the function's model, below the folder "model".
//
//go:embed model
var Model embed.FS
