package lock

import "strings"

// maxRequirement bounds one requirement with its hashes: there is one for each
// wheel, of 80 bytes.
const maxRequirement = 128 << 10

// requirement is one line of a requirements file (PEP 508), or what is known of it.
type requirement struct {
	name     string
	version  string // when it allows only one
	url      string
	vcs      string // "git", "hg", "svn", "bzr"
	commit   string
	marker   string
	hashes   []string
	editable bool
	local    bool // a folder or file
}

// parseRequirement reads "name[extra]==1.0; marker --hash=…", "name @ URL",
// a URL with "#egg=name", a wheel's file name, and folders. ok is false when no
// name can be told.
func parseRequirement(line string) (q requirement, ok bool) {
	if len(line) > 2*maxRequirement {
		return q, false
	}
	if i := spaced(line, "--"); i >= 0 {
		q.options(line[i:])
		line = line[:i]
	}
	name, rest := cutName(line)
	rest = strings.TrimLeft(rest, " \t")
	if name != "" && strings.HasPrefix(rest, "[") {
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return q, false
		}
		rest = strings.TrimLeft(rest[end+1:], " \t")
	}
	switch {
	case name != "" && (rest == "" || strings.ContainsRune("=<>!~;(", rune(rest[0]))):
		q.name = name
		rest, q.marker, _ = strings.Cut(rest, ";")
		q.version = pinned(rest)
	case name != "" && rest[0] == '@':
		q.name = name
		at := strings.TrimSpace(rest[1:])
		if i := spaced(at, ";"); i >= 0 {
			at, q.marker = at[:i], at[i+2:]
		}
		q.from(strings.TrimSpace(at))
	default:
		address := line
		if i := spaced(line, ";"); i >= 0 {
			address, q.marker = line[:i], line[i+2:]
		}
		q.from(strings.TrimSpace(address))
	}
	q.marker = strings.TrimSpace(q.marker)
	return q, q.name != ""
}

// spaced returns where the first mark behind a space or tab begins, that space
// included; -1: there is none.
func spaced(s, mark string) int {
	for from := 0; ; {
		i := strings.Index(s[from:], mark)
		if i < 0 {
			return -1
		}
		if at := from + i; at > 0 && (s[at-1] == ' ' || s[at-1] == '\t') {
			return at - 1
		}
		from += i + len(mark)
	}
}

// cutName takes a project's name from the beginning.
func cutName(s string) (name, rest string) {
	i := 0
	for i < len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_' && c != '.') {
			break
		}
		i++
	}
	return strings.TrimRight(s[:i], "-_."), s[i:]
}

// pinned returns the version of "==1.0" and "===1.0", "" for anything that
// allows more than one.
func pinned(specifiers string) string {
	specifiers = strings.TrimSpace(specifiers)
	if inner, ok := strings.CutPrefix(specifiers, "("); ok {
		specifiers = strings.TrimSuffix(inner, ")")
	}
	for one := range strings.SplitSeq(specifiers, ",") {
		version, ok := strings.CutPrefix(strings.TrimSpace(one), "==")
		if !ok {
			continue
		}
		version = strings.TrimSpace(strings.TrimPrefix(version, "="))
		if version != "" && !strings.ContainsAny(version, "* \t<>=!~") {
			return version
		}
	}
	return ""
}

// from reads an address: of a repository, an archive, a folder.
func (q *requirement) from(address string) {
	address, fragment, _ := strings.Cut(address, "#")
	for part := range strings.SplitSeq(fragment, "&") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "egg":
			if name, _ := cutName(value); q.name == "" {
				q.name = name
			}
		case "sha256", "sha384", "sha512":
			q.hashes = append(q.hashes, checksum(key+":"+value)...)
		}
	}
	if vcs, rest, ok := strings.Cut(address, "+"); ok {
		switch vcs {
		case "git", "hg", "svn", "bzr":
			q.vcs, address = vcs, rest
			if i := strings.LastIndexByte(address, '@'); i > strings.LastIndexByte(address, '/') {
				address, q.commit = address[:i], address[i+1:]
			}
			q.url = address
			return
		}
	}
	if strings.Contains(address, "://") && !strings.HasPrefix(address, "file:") {
		q.url = address
	} else {
		q.local = true
	}
	if address, ok := strings.CutSuffix(withoutQuery(address), ".whl"); ok {
		if parts := strings.Split(address[strings.LastIndexByte(address, '/')+1:], "-"); len(parts) >= 5 {
			if q.name == "" {
				q.name = parts[0]
			}
			q.version = parts[1]
		}
	}
}

func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}
