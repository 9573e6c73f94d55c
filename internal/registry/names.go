package registry

import (
	"strings"

	"github.com/apexlogic/apex/verdict"
)

const (
	// maxRepository keeps host/name below the 255 characters that clients
	// accept, and every path component below what file systems accept.
	maxRepository = 229
	// maxTag is the specification's limit.
	maxTag = 128
)

// ValidRepository reports whether name is a repository name by the
// specification's grammar and at most 229 bytes long. Such a name holds no
// upper case, no dot component, no leading underscore and no backslash, so it
// is also a safe relative path.
func ValidRepository(name string) bool {
	if name == "" || len(name) > maxRepository {
		return false
	}
	for component := range strings.SplitSeq(name, "/") {
		if !validComponent(component) {
			return false
		}
	}
	return true
}

// validComponent: [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
func validComponent(s string) bool {
	i := 0
	for {
		start := i
		for i < len(s) && isLowerAlnum(s[i]) {
			i++
		}
		if i == start {
			return false
		}
		if i == len(s) {
			return true
		}
		sep := i
		for i < len(s) && !isLowerAlnum(s[i]) {
			i++
		}
		switch between := s[sep:i]; {
		case between == ".", between == "_", between == "__":
		case strings.Trim(between, "-") == "":
		default:
			return false
		}
	}
}

// ValidTag reports whether tag is a tag by the specification's grammar:
// [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}. No tag begins with a dot.
func ValidTag(tag string) bool {
	if tag == "" || len(tag) > maxTag {
		return false
	}
	for i := range len(tag) {
		switch c := tag[i]; {
		case isLowerAlnum(c), c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && (c == '.' || c == '-'):
		default:
			return false
		}
	}
	return true
}

func isLowerAlnum(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }

// validPrefix accepts "" (everything), "team/" (all that is below) and
// "team/app" (that one repository).
func validPrefix(prefix string) bool {
	return prefix == "" || ValidRepository(strings.TrimSuffix(prefix, "/"))
}

// under reports whether prefix covers repo. A prefix without a slash at its
// end covers one repository only: "team" must not cover "teammate/app".
func under(repo, prefix string) bool {
	if prefix == "" || strings.HasSuffix(prefix, "/") {
		return strings.HasPrefix(repo, prefix)
	}
	return repo == prefix
}

// attachmentTag splits the names of tags that clients maintain for a digest:
// the specification's referrers tag ("sha256-<hex>", suffix "") and the tags
// of cosign before referrers existed (".sig", ".att", ".sbom").
func attachmentTag(tag string) (subject verdict.Digest, suffix string, ok bool) {
	const head = len("sha256-") + 64
	if len(tag) < head || !strings.HasPrefix(tag, "sha256-") {
		return "", "", false
	}
	subject, err := verdict.ParseDigest("sha256:" + tag[len("sha256-"):head])
	if err != nil {
		return "", "", false
	}
	switch suffix = tag[head:]; suffix {
	case "", ".sig", ".att", ".sbom":
		return subject, suffix, true
	}
	return "", "", false
}
