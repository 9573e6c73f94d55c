// Package crd carries the schemas of Apex's kinds into the binary.
//
// The YAML files beside it are the custom resource definitions that a cluster
// gets; controller-gen writes them from the markers in api/v1alpha1. The files
// in schema are the same schemas as compact JSON, one per kind, with each CEL
// rule compiled; internal/config/schemagen writes them, so that neither a YAML
// parser nor a CEL parser runs when the binary starts.
package crd

import "embed"

// Schemas holds schema/<Kind>.json for every kind.
//
//go:embed schema/*.json
var Schemas embed.FS

// Definitions holds the custom resource definitions as YAML, a file per kind.
//
//go:embed *.yaml
var Definitions embed.FS
