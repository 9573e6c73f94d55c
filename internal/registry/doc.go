// Package registry is the registry that Apex carries inside: an OCI registry
// on a directory, for `apex up` and for places that have no registry yet.
//
// Start with [New], which opens a directory and returns a [Registry] (an
// http.Handler), and with [Server], which wraps it for a listener. [Options]
// says who may do what ([Authenticator], [Tenant]), which tags may move, and
// which [Gate] is asked before a tag becomes visible.
//
// It promises three things that a general registry does not promise together:
//
//   - A tag never moves. It is created by link(2), so of any number of pushes,
//     in any number of processes, exactly one wins.
//   - What was answered with 201 is on the disk: every file and every directory
//     entry was synchronised before the answer. See README.md for the layout.
//   - A tag is visible only after the gate allowed its digest.
//
// A repository serves what was pushed or mounted into it and nothing else, so
// that knowing a digest is not enough to read another tenant's bytes.
//
// Sources: OCI distribution-spec v1.1 (API, errors, referrers), OCI image-spec
// v1.1 (manifests), the Docker registry token specification (scopes, challenge),
// RFC 9110 (ranges, conditions), RFC 8288 (links), RFC 7519 (token claims).
package registry
