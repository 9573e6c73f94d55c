package order

import (
	"errors"
	"strings"
)

// semver appends the key of a version by SemVer 2.0.0 §11: three numbers, then
// a 2 for a release, or a 1 and the identifiers of the pre-release, each behind
// a 2 (number) or 3 (text), and a 1 at the end: fewer identifiers are older.
// Build metadata does not count.
//
// As package managers do, it takes a leading "v" or "=", more zeros than the
// grammar allows, and fewer numbers than three; those left out are zero.
func semver(dst []byte, version string) (key []byte, public int, err error) {
	s := strings.TrimSpace(version)
	s = strings.TrimPrefix(s, "=")
	s = strings.TrimPrefix(s, "v")
	s, _, _ = strings.Cut(s, "+")
	s, pre, hasPre := strings.Cut(s, "-")
	count := 0
	for more := true; more; count++ {
		var part string
		part, s, more = strings.Cut(s, ".")
		if part == "" || digits(part) != len(part) {
			return nil, 0, errors.New("it must be numbers with dots between them")
		}
		if count == 3 {
			return nil, 0, errors.New("it has more than three numbers")
		}
		dst = number(dst, part)
	}
	for ; count < 3; count++ {
		dst = append(dst, 0)
	}
	if !hasPre {
		dst = append(dst, 2)
		return dst, len(dst), nil
	}
	dst = append(dst, 1)
	for more := true; more; {
		var id string
		id, pre, more = strings.Cut(pre, ".")
		if id == "" {
			return nil, 0, errors.New("an identifier of the pre-release is empty")
		}
		for i := range len(id) {
			if c := id[i]; !isDigit(c) && !isLetter(c) && c != '-' {
				return nil, 0, errors.New("a pre-release has letters, digits and hyphens")
			}
		}
		if digits(id) == len(id) {
			dst = number(append(dst, 2), id)
		} else {
			dst = append(append(append(dst, 3), id...), 0)
		}
	}
	dst = append(dst, 1)
	return dst, len(dst), nil
}

// golang is semver for modules, and for the standard library and toolchain as
// their builds name themselves: "go1.22rc1" is 1.22.0-rc.1, as in the Go
// vulnerability database; what follows a space names experiments.
func golang(dst []byte, version string) (key []byte, public int, err error) {
	s, ok := strings.CutPrefix(version, "go")
	if !ok {
		return semver(dst, version)
	}
	s, _, _ = strings.Cut(s, " ")
	s, _, _ = strings.Cut(s, "-") // a vendor's suffix, "go1.22.3-custom"
	for _, tag := range []string{"rc", "beta"} {
		release, n, ok := strings.Cut(s, tag)
		if !ok || n == "" || digits(n) != len(n) {
			continue
		}
		for strings.Count(release, ".") < 2 {
			release += ".0"
		}
		s = release + "-" + tag + "." + n
		break
	}
	return semver(dst, s)
}
