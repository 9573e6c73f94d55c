package order

import (
	"errors"
	"strings"
)

// What may follow a part of an apk version, oldest first: a suffix of a
// pre-release is older than the end, everything else is newer.
const (
	apkPre byte = 1 + iota
	apkEnd
	apkRevision
	apkHash
	apkSuffixNumber
	apkPost
	apkLetter
	apkDigit
)

// apk appends the key of number{.number}[letter]{_suffix[number]}[~hash][-rN]
// as apk-tools 3 compares. Of the numbers behind the first, those that begin
// with a zero compare as text and are older than the others, as in Gentoo.
func apk(dst []byte, version string) (key []byte, public int, err error) {
	s := strings.TrimSpace(version)
	n := digits(s)
	if n == 0 {
		return nil, 0, errors.New("it does not begin with a number")
	}
	dst = number(dst, s[:n])
	s = s[n:]
	for strings.HasPrefix(s, ".") {
		s = s[1:]
		if n = digits(s); n == 0 {
			return nil, 0, errors.New("no number follows a dot")
		}
		if dst = append(dst, apkDigit); s[0] == '0' {
			dst = append(append(append(dst, 0), s[:n]...), 0)
		} else {
			dst = number(append(dst, 1), s[:n])
		}
		s = s[n:]
	}
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		dst, s = append(dst, apkLetter, s[0]), s[1:]
	}
	for strings.HasPrefix(s, "_") {
		s = s[1:]
		n = 0
		for n < len(s) && s[n] >= 'a' && s[n] <= 'z' {
			n++
		}
		kind, rank := apkSuffix(s[:n])
		if rank == 0 {
			return nil, 0, errors.New("it has an unknown suffix " + clip(s[:n]))
		}
		dst, s = append(dst, kind, rank), s[n:]
		if n = digits(s); n > 0 {
			dst, s = number(append(dst, apkSuffixNumber), s[:n]), s[n:]
		}
	}
	if strings.HasPrefix(s, "~") {
		n = 1
		for n < len(s) && (isDigit(s[n]) || s[n] >= 'a' && s[n] <= 'f') {
			n++
		}
		if n == 1 {
			return nil, 0, errors.New("the hash of a commit is empty")
		}
		dst, s = append(append(append(dst, apkHash), s[1:n]...), 0), s[n:]
	}
	if strings.HasPrefix(s, "-r") && len(s) > 2 && digits(s[2:]) == len(s)-2 {
		dst, s = number(append(dst, apkRevision), s[2:]), ""
	}
	if s != "" {
		return nil, 0, errors.New("it goes on with " + clip(s))
	}
	dst = append(dst, apkEnd)
	return dst, len(dst), nil
}

func apkSuffix(name string) (kind, rank byte) {
	switch name {
	case "alpha":
		return apkPre, 1
	case "beta":
		return apkPre, 2
	case "pre":
		return apkPre, 3
	case "rc":
		return apkPre, 4
	case "cvs":
		return apkPost, 1
	case "svn":
		return apkPost, 2
	case "git":
		return apkPost, 3
	case "hg":
		return apkPost, 4
	case "p":
		return apkPost, 5
	}
	return 0, 0
}
