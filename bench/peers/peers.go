// Package peers measures Apex beside the tools that do the same work today:
// cosign's library and program, and sigstore-go. It is a module of its own, so
// that their dependencies stay out of Apex's.
//
// Every benchmark lets all contenders do the same work in the same run, in turn,
// and reports the medians: CPU time (user and system, of this process alone),
// requests to the registry, and the ratio to the peer, which is what our claims
// are about. README.md has the commands and the figures.
//
//	go test -run '^$' -bench . ./...
package peers
