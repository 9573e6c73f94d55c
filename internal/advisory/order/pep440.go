package order

import (
	"errors"
	"strings"
)

// pep440 appends the key of a version by PEP 440, appendix B ("Parsing version
// strings with regular expressions"), compared as its "Summary of permitted
// suffixes and relative ordering" says:
//
//	epoch, release without trailing zeros, pre, post, dev, local label
//
// Releases are lists: each number behind a 2, and a 1 at the end, so that the
// shorter one is smaller. The key ends with the local label: a 0 when there is
// none, else its parts and a 0. public is where it begins.
func pep440(dst []byte, version string) (key []byte, public int, err error) {
	s := strings.ToLower(strings.TrimSpace(version)) // does not allocate when it is lower already
	s = strings.TrimPrefix(s, "v")

	n := digits(s)
	if n == 0 {
		return nil, 0, errors.New("it does not begin with a number")
	}
	epoch := "0"
	if n < len(s) && s[n] == '!' {
		epoch, s = s[:n], s[n+1:]
		if n = digits(s); n == 0 {
			return nil, 0, errors.New("no release behind the epoch")
		}
	}
	dst = number(dst, epoch)

	// Trailing zeros do not count, so zeros wait for a number that does.
	for zeros := 0; ; {
		if part := s[:n]; strings.Trim(part, "0") == "" {
			zeros++
		} else {
			for ; zeros > 0; zeros-- {
				dst = append(dst, 2, 0)
			}
			dst = number(append(dst, 2), part)
		}
		s = s[n:]
		if len(s) < 2 || s[0] != '.' || !isDigit(s[1]) {
			break
		}
		s = s[1:]
		n = digits(s)
	}
	dst = append(dst, 1)

	pre, preNumber, s := suffix(s, "alpha", "a", "beta", "b", "preview", "pre", "rc", "c")
	var post, postNumber string
	if len(s) > 1 && s[0] == '-' && isDigit(s[1]) {
		n := 1 + digits(s[1:])
		post, postNumber, s = "post", s[1:n], s[n:]
	} else {
		post, postNumber, s = suffix(s, "post", "rev", "r")
	}
	dev, devNumber, s := suffix(s, "dev")

	switch {
	case pre != "":
		rank := byte(3) // rc, c, pre, preview
		switch pre[0] {
		case 'a':
			rank = 1
		case 'b':
			rank = 2
		}
		dst = number(append(dst, rank), preNumber)
	case post == "" && dev != "":
		dst = append(dst, 0) // 1.0.dev1 is before 1.0a1
	default:
		dst = append(dst, 4)
	}
	if post == "" {
		dst = append(dst, 0)
	} else {
		dst = number(append(dst, 1), postNumber)
	}
	if dev == "" {
		dst = append(dst, 1)
	} else {
		dst = number(append(dst, 0), devNumber)
	}

	public = len(dst)
	if s == "" {
		return append(dst, 0), public + 1, nil
	}
	if s[0] != '+' {
		return nil, 0, errors.New("it goes on with " + clip(s))
	}
	for s = s[1:]; ; {
		n := 0
		for n < len(s) && (isDigit(s[n]) || isLetter(s[n])) {
			n++
		}
		if n == 0 {
			return nil, 0, errors.New("a part of the local label is empty")
		}
		if part := s[:n]; digits(part) == n {
			dst = number(append(dst, 2), part) // numbers after words
		} else {
			dst = append(append(append(dst, 1), part...), 0)
		}
		if s = s[n:]; s == "" {
			return append(dst, 0), public, nil
		}
		if !isSeparator(s[0]) {
			return nil, 0, errors.New("the local label goes on with " + clip(s))
		}
		s = s[1:]
	}
}

// suffix takes "[-_.]? tag [-_.]? number?" off s. tag is "" when there is none;
// tags must be listed longest first where one begins another.
func suffix(s string, tags ...string) (tag, num, rest string) {
	t := s
	if t != "" && isSeparator(t[0]) {
		t = t[1:]
	}
	for _, tag := range tags {
		after, ok := strings.CutPrefix(t, tag)
		if !ok {
			continue
		}
		if after != "" && isSeparator(after[0]) {
			after = after[1:]
		}
		n := digits(after)
		return tag, after[:n], after[n:]
	}
	return "", "", s
}

// pep440Bound reads what advisories hold in place of versions of PyPI:
//
//   - "0.2.0-alpha\.33" is escaped as in a CPE;
//   - "2.6.0-NA" is a CPE whose update is "not applicable": the release itself;
//   - "2.6.0-cu124" is a build's local label behind the wrong character;
//   - of "7.2.0-12.1" and "4.6.0.stable11" the release is certain, and where
//     in it the bound lies is not;
//   - "2019-09-12" is a date and says nothing about versions.
func pep440Bound(o Order, version string) Bound {
	if strings.Contains(version, `\`) {
		plain := strings.ReplaceAll(version, `\`, "")
		if v, err := o.Parse(plain); err == nil {
			return Bound{Lo: v.Full, Hi: v.Full, Local: v.Full != v.Public, Public: v.Public, Read: plain}
		}
	}
	release, segments := releasePrefix(version)
	v, err := o.Parse(release)
	if segments < 2 || err != nil {
		return Bound{Lo: Lowest, Hi: Highest}
	}
	rest := strings.ToLower(version[len(release):])
	switch {
	case rest == "-na":
		return Bound{Lo: v.Full, Hi: v.Full, Public: v.Public, Read: release}
	case isBuild(rest):
		read := release + "+" + rest[1:]
		if l, err := o.Parse(read); err == nil {
			return Bound{Lo: l.Full, Hi: l.Full, Local: true, Public: l.Public, Read: read}
		}
	}
	// The key of a final release ends "pre 4, post 0, dev 1, local 0".
	stem := v.Full[:len(v.Full)-4]
	return Bound{Lo: stem, Hi: stem + Highest, Read: "within " + release}
}

// isBuild reports whether rest is a label of accelerator builds, "-cu124".
func isBuild(rest string) bool {
	if !strings.HasPrefix(rest, "-") {
		return false
	}
	label := rest[1:]
	n, ok := strings.CutPrefix(label, "cu")
	return label == "cpu" || ok && n != "" && digits(n) == len(n)
}

// releasePrefix returns the dotted numbers that s begins with, a "v" left
// out of the count, and how many they are. A release that runs into
// letters or an epoch has none.
func releasePrefix(s string) (release string, segments int) {
	i := 0
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		i = 1
	}
	for {
		n := digits(s[i:])
		if n == 0 {
			return s[:max(i-1, 0)], segments
		}
		segments++
		i += n
		if i == len(s) || s[i] != '.' {
			return s[:i], segments
		}
		i++
	}
}
