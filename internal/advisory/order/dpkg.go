package order

import (
	"errors"
	"strings"
)

// dpkg appends the key of a version by deb-version(7): epoch, upstream version,
// Debian revision. The latter two are runs of other characters and of digits in
// turn: a run of others ends with a 2, before which only "~" sorts; then
// letters, then the rest.
func dpkg(dst []byte, version string) (key []byte, public int, err error) {
	s := strings.TrimSpace(version)
	epoch := "0"
	if before, after, ok := strings.Cut(s, ":"); ok {
		if before == "" || digits(before) != len(before) {
			return nil, 0, errors.New("the epoch is not a number")
		}
		epoch, s = before, after
	}
	revision := ""
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		s, revision = s[:i], s[i+1:]
		if revision == "" {
			return nil, 0, errors.New("the revision is empty")
		}
	}
	if s == "" {
		return nil, 0, errors.New("it has no upstream version")
	}
	dst = number(dst, epoch)
	if dst, err = dpkgPart(dst, s, ".+-~:"); err != nil {
		return nil, 0, err
	}
	if dst, err = dpkgPart(dst, revision, ".+~"); err != nil {
		return nil, 0, err
	}
	return dst, len(dst), nil
}

func dpkgPart(dst []byte, s, others string) ([]byte, error) {
	const end = 2
	for {
		for s != "" && !isDigit(s[0]) {
			switch c := s[0]; {
			case c == '~':
				dst = append(dst, 1)
			case isLetter(c):
				dst = append(dst, c)
			case strings.IndexByte(others, c) >= 0:
				dst = append(dst, c|0x80)
			default:
				return nil, errors.New("it holds " + string(rune(c)))
			}
			s = s[1:]
		}
		n := digits(s)
		dst = number(append(dst, end), s[:n])
		if s = s[n:]; s == "" {
			return append(dst, end), nil
		}
	}
}
