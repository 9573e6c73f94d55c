// Package config reads what teams keep in Git (policies, trust roots,
// exceptions, revocations, base image locks), says precisely what is wrong with
// it, and publishes it to the other rooms as one immutable generation.
//
// Start with [Load], which reads files and directories into a [Set]; with
// [Lint], which says everything that a person should know about a set; and with
// [Publisher], which lets each room compile a set and swaps the results
// atomically, so that no decision mixes two generations. [Watcher] publishes a
// directory again whenever it changes, and [Explain] describes a field.
//
// There is one validator. It interprets the schemas of the custom resource
// definitions in config/crd (OpenAPI v3 structural schemas with
// x-kubernetes-validations, as in the Kubernetes documentation "Extend the
// Kubernetes API with CustomResourceDefinitions"), so that a file in Git and an
// object in a cluster are held to the same rules. It is stricter in three
// things: unknown fields are errors, an empty value is an error where a value
// is expected, and text that YAML 1.1 and YAML 1.2 read differently has to be
// quoted.
//
// What a set names but nothing defines does not make it invalid: the policy is
// not ready (see [Set.Readiness]), and denies all that it selects.
package config

//go:generate go run ./schemagen -from ../../config/crd -to ../../config/crd/schema
