//go:build !unix

package storetest

import "fmt"

// start needs a Unix socket and process credentials.
func start() (string, func(), error) {
	return "", nil, fmt.Errorf("%w: set %s to the URL of a server", errMissing, Env)
}
