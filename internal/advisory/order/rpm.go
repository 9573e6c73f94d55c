package order

import (
	"errors"
	"strings"
)

// rpm appends the key of [epoch:]version[-release] as rpmvercmp compares:
// separators only separate, "~" sorts before the end, "^" after it and before
// anything else, letters before digits.
func rpm(dst []byte, version string) (key []byte, public int, err error) {
	s := strings.TrimSpace(version)
	epoch := "0"
	if before, after, ok := strings.Cut(s, ":"); ok {
		if before == "(none)" {
			before = "0"
		}
		if before == "" || digits(before) != len(before) {
			return nil, 0, errors.New("the epoch is not a number")
		}
		epoch, s = before, after
	}
	s, release, hasRelease := cutLast(s, '-')
	if s == "" {
		return nil, 0, errors.New("it has no version")
	}
	dst = number(dst, epoch)
	if dst, err = rpmPart(dst, s); err != nil {
		return nil, 0, err
	}
	if !hasRelease {
		return append(dst, 0), len(dst) + 1, nil // before any release
	}
	if dst, err = rpmPart(dst, release); err != nil {
		return nil, 0, err
	}
	return dst, len(dst), nil
}

func rpmPart(dst []byte, s string) ([]byte, error) {
	const (
		tilde = 1 + iota
		end
		caret
		letters
		numbers
	)
	for s != "" {
		n := 1
		switch c := s[0]; {
		case c == '~':
			dst = append(dst, tilde)
		case c == '^':
			dst = append(dst, caret)
		case isDigit(c):
			n = digits(s)
			dst = number(append(dst, numbers), s[:n])
		case isLetter(c):
			for n < len(s) && isLetter(s[n]) {
				n++
			}
			dst = append(append(append(dst, letters), s[:n]...), 0)
		case c <= ' ' || c == ':':
			return nil, errors.New("it holds a space or a second colon")
		}
		s = s[n:]
	}
	return append(dst, end), nil
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
