package archive

import "strings"

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// escaped says whether Info-ZIP or another writer has replaced what it could
// not write; then the Unicode path field has the true name.
func escaped(name string) bool { return strings.Contains(name, "#U") || strings.Contains(name, "?") }

// folded is the name as the most forgiving loader compares it: miniz ignores
// case, Windows takes either slash, and CPython ends it at NUL.
func folded(name string) (key string, slash, back bool) {
	key, _, _ = strings.Cut(name, "\x00")
	slash = strings.Contains(key, "/")
	if back = strings.Contains(key, `\`); back {
		key = strings.ReplaceAll(key, `\`, "/")
	}
	for strings.HasPrefix(key, "./") {
		key = key[2:]
	}
	return strings.ToLower(key), slash, back
}
