package sarif

import (
	"net/url"
	"path"
	"path/filepath"
	"strings"
)

// root is a folder under the names that tools may call it by.
type root []string

// newRoot returns the names of dir: as given, and with its symbolic links
// followed, as tools that ask the system for their working folder see it.
func newRoot(dir string) root {
	if dir == "" {
		return nil
	}
	names := root{strings.TrimSuffix(filepath.ToSlash(filepath.Clean(dir)), "/")}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		if real = strings.TrimSuffix(filepath.ToSlash(real), "/"); real != names[0] {
			names = append(names, real)
		}
	}
	return names
}

// Places returns a function that finds the place that a tool names as a path or
// URI, for reports that are not SARIF. root is as in Read.
func Places(root string) func(uri string) Place {
	r := newRoot(root)
	return func(uri string) Place { return r.place(clip(uri, maxName), "") }
}

// place finds the file that a URI (§3.4) names, relative to the root. base is
// what its uriBaseId stands for, "" for the root. A file outside of the root
// and anything that is not a file has a name only, so that it is never opened.
func (r root) place(uri, base string) Place {
	if uri == "" {
		return Place{}
	}
	full := uri
	if base != "" && !strings.HasPrefix(uri, "/") && !hasScheme(uri) {
		full = strings.TrimSuffix(base, "/") + "/" + uri
	}
	// Tools write paths as URIs: backslashes, spaces and all.
	p := strings.ReplaceAll(full, `\`, "/")
	switch {
	case strings.HasPrefix(p, "file://"):
		p = strings.TrimPrefix(p, "file://")
		if i := strings.IndexByte(p, '/'); i > 0 { // a host
			p = p[i:]
		}
		p = unescape(p)
	case strings.HasPrefix(p, "file:"):
		p = unescape(strings.TrimPrefix(p, "file:"))
	case hasScheme(p):
		return Place{Name: clip(full, maxName)}
	default:
		p = unescape(p)
	}
	if strings.ContainsRune(p, 0) {
		return Place{Name: clip(full, maxName)}
	}
	if path.IsAbs(p) {
		p = path.Clean(p)
		for _, name := range r {
			if rest, ok := strings.CutPrefix(p, name+"/"); ok {
				return Place{File: rest}
			}
		}
		return Place{Name: clip(p, maxName)}
	}
	p = path.Clean(p)
	if p == "." || p == ".." || strings.HasPrefix(p, "../") {
		return Place{Name: clip(full, maxName)}
	}
	return Place{File: p}
}

func unescape(p string) string {
	if u, err := url.PathUnescape(p); err == nil {
		return u
	}
	return p
}

// hasScheme says whether s is an absolute URI; a drive letter is no scheme.
func hasScheme(s string) bool {
	for i, ch := range []byte(s) {
		switch {
		case ch == ':':
			return i > 1
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z':
		case i > 0 && ('0' <= ch && ch <= '9' || ch == '+' || ch == '-' || ch == '.'):
		default:
			return false
		}
	}
	return false
}
