package policy

import (
	"strings"
	"unicode"

	"github.com/apexlogic/apex/internal/oci/reference"
)

// splitImage returns the canonical repository and the tag of "repository:tag".
func splitImage(text string) (repository, tag string, err error) {
	ref, err := reference.Parse(text)
	if err != nil {
		return "", "", err
	}
	return ref.Name(), ref.Tag, nil
}

// clean makes foreign text safe to print: control characters become "?", and
// the length is bounded.
func clean(s string) string {
	const limit = 200
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
