package repo

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const maxName = 255 // bytes: what file systems take

// checkName refuses names of files and directories that mean something else
// than themselves on any file system that a repository may be checked out to:
// they leave the directory, reach into .git (CVE-2014-9390, CVE-2019-1352,
// CVE-2019-1353), open another stream of a file, or show as another name.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", ErrBadName)
	case name == "." || name == "..":
		return fmt.Errorf("%w: it leads out of its directory", ErrBadName)
	case len(name) > maxName:
		return fmt.Errorf("%w: it is longer than %d bytes", ErrBadName, maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: it is not UTF-8", ErrBadName)
	case strings.ContainsAny(name, `/\`):
		return fmt.Errorf("%w: it holds a path separator", ErrBadName)
	case strings.Contains(name, ":"):
		return fmt.Errorf("%w: a colon names a drive or another stream of a file", ErrBadName)
	}
	for _, c := range name {
		if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			return fmt.Errorf("%w: it holds the character %U, which does not show", ErrBadName, c)
		}
	}
	if isDotGit(name) {
		return fmt.Errorf("%w: some file systems take it for .git", ErrBadName)
	}
	return nil
}

// isDotGit knows the spellings that HFS+ and NTFS take for ".git": any case,
// code points that HFS+ leaves out, dots and spaces at the end, and the short
// name that NTFS gives the second entry that begins with "git".
func isDotGit(name string) bool {
	bare := strings.Map(func(c rune) rune {
		if ignoredByHFS(c) {
			return -1
		}
		return unicode.ToLower(c)
	}, name)
	bare = strings.TrimRight(bare, ". ")
	return bare == ".git" || bare == "git~1"
}

// ignoredByHFS lists what Apple's TN1150 leaves out of comparisons.
func ignoredByHFS(c rune) bool {
	return c >= 0x200c && c <= 0x200f || c >= 0x202a && c <= 0x202e || c >= 0x206a && c <= 0x206f || c == 0xfeff
}

// foldName is the same for names that a file system which ignores case, or one
// that rewrites accents (HFS+, APFS), takes for one.
func foldName(name string) string {
	ascii := true
	for i := range len(name) {
		ascii = ascii && name[i] < utf8.RuneSelf
	}
	if !ascii {
		name = strings.ToUpper(norm.NFC.String(name)) // first: ſ and s are one only in upper case
	}
	return strings.ToLower(name)
}

// checkPath checks every part of a slash-separated path.
func checkPath(path string) error {
	parts := strings.Split(path, "/")
	if len(parts) > MaxDepth {
		return &PathError{clip(path), fmt.Errorf("%w: it is more than %d directories deep", ErrTooLarge, MaxDepth)}
	}
	for _, part := range parts {
		if err := checkName(part); err != nil {
			return &PathError{clip(path), err}
		}
	}
	return nil
}

// clip keeps a foreign path short enough for an error.
func clip(path string) string {
	const limit = 300
	if len(path) <= limit {
		return path
	}
	return path[:limit] + "…"
}
