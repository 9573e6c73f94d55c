package ca

import (
	"fmt"
	"path/filepath"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
)

// Published returns the bundle of the authorities that a directory holds, whether
// or not a process has it open: the file is only ever replaced as a whole.
func Published(dir string, c clock.Clock) (*spiffebundle.Bundle, error) {
	path := filepath.Join(dir, fileName)
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 || len(data[0].domain()) == 0 {
		return nil, fmt.Errorf("%s holds no authority: start the one whose it is", path)
	}
	domain, err := spiffeid.TrustDomainFromString(data[0].domain())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	all, err := openAll(path, data, domain)
	if err != nil {
		return nil, err
	}
	return bundleOf(domain, all, c.Now()), nil
}
