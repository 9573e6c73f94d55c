package graph

import "strings"

// longestPath is how much of a path is looked at: more than systems open.
const longestPath = 4096

// outside says why a path that a model names can lead out of the model's
// folder, "" when it cannot. Both kinds of separators count, because the path
// is resolved on the machine that loads the model.
func outside(path string) string {
	switch {
	case strings.IndexByte(path, 0) >= 0:
		return "it holds a NUL byte, behind which some loaders see nothing"
	case strings.HasPrefix(path, "/"):
		return "it is absolute"
	case strings.Contains(path, "://") || hasPrefixFold(path, "file:"):
		return "it is a URL"
	case len(path) >= 2 && path[1] == ':' && (path[0]|0x20 >= 'a' && path[0]|0x20 <= 'z'):
		return "it names a drive"
	}
	for part := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '\\' }) {
		if strings.TrimRight(part, " ") == ".." {
			return "it goes up by .."
		}
	}
	if strings.Contains(path, `\`) {
		return "it holds a backslash, which separates folders on Windows"
	}
	return ""
}

// isLibrary says whether a whole value is the name of a shared library.
func isLibrary(value string) bool {
	if len(value) < 4 || len(value) > 1024 || strings.ContainsAny(value, " \t\r\n,;{}()<>\"'") {
		return false
	}
	low := strings.ToLower(value)
	for _, end := range [...]string{".so", ".dll", ".dylib", ".pyd"} {
		if strings.HasSuffix(low, end) {
			return true
		}
	}
	i := strings.LastIndex(low, ".so.") // libname.so.1.2
	return i > 0 && strings.Trim(low[i+4:], "0123456789.") == ""
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
