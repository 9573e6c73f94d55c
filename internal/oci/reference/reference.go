// Package reference parses container image references strictly enough to
// decide on them: one image has one spelling, and whatever two tools could read
// differently is refused.
//
// Start with [Parse]; the [Reference] that it returns has [Reference.Canonical]
// (the one spelling, for people, caches and policies), [Reference.Name] (the
// repository, which signatures belong to) and [Reference.RegistryHost] (where
// to dial).
//
// The grammar is the one of the distribution reference package and of the OCI
// distribution specification v1.1 ("Pulling manifests"), less what is ambiguous:
// text that is not ASCII, host names that end in a number without being an IPv4
// address, ports with leading zeros, and digests other than sha256. The package
// uses the standard library and verdict only.
package reference

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

const (
	// maxText bounds the whole text: the longest host, repository, tag and
	// digest together stay below it.
	maxText = 1024
	// maxRepository is the distribution specification's customary limit: hosts
	// and files that hold longer paths cannot be relied upon.
	maxRepository = 255
	// maxTag is the specification's limit of a tag.
	maxTag = 128
)

// DockerHub is the canonical host of Docker Hub. Its three names (docker.io,
// index.docker.io and registry-1.docker.io) all become this one, as
// distribution and containerd print it.
const DockerHub = "docker.io"

// dockerHubDial is the host that serves Docker Hub's registry API.
const dockerHubDial = "registry-1.docker.io"

// defaultTag is what a reference with neither tag nor digest means.
const defaultTag = "latest"

// Reference is a parsed image reference. It is comparable and safe to share.
// The zero value names nothing; see [Reference.IsZero].
type Reference struct {
	// Registry is the canonical host, with its port unless that is the default
	// one: "docker.io", "ghcr.io", "localhost:5000", "[::1]:5000".
	Registry string
	// Repository is the path below the host, with "library/" where Docker Hub
	// implies it: "library/nginx", "team/app".
	Repository string
	// Tag is "latest" when the text had neither tag nor digest. Beside a digest
	// it is only what somebody wrote: it selects nothing and must not be judged.
	Tag string
	// Digest selects the content when it is set, whatever Tag says.
	Digest verdict.Digest
}

// Parse reads one reference, for example "nginx", "ghcr.io/team/app:1.2" or
// "localhost:5000/app@sha256:…". It takes no scheme: callers strip "oci://" and
// the like. Every error is an [*Error] and wraps [ErrInvalid].
func Parse(text string) (Reference, error) {
	if err := checkText(text); err != nil {
		return Reference{}, err
	}
	name, digest, pinned := strings.Cut(text, "@")
	r := Reference{}
	if pinned {
		d, err := parseDigest(text, digest, len(name)+1)
		if err != nil {
			return Reference{}, err
		}
		r.Digest = d
	}
	first := strings.IndexByte(name, '/')
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		if err := checkTag(text, name[i+1:], i+1); err != nil {
			return Reference{}, err
		}
		name, r.Tag = name[:i], name[i+1:]
	}
	r.Registry, r.Repository = DockerHub, name
	start := 0 // of the repository in text
	if first >= 0 && isHost(name[:first]) {
		host, err := parseHost(text, name[:first])
		if err != nil {
			return Reference{}, err
		}
		start = first + 1
		r.Registry, r.Repository = host, name[start:]
	}
	if err := checkRepository(text, r.Repository, start); err != nil {
		return Reference{}, err
	}
	if r.Registry == DockerHub && !strings.Contains(r.Repository, "/") {
		r.Repository = "library/" + r.Repository
	}
	if len(r.Repository) > maxRepository {
		return Reference{}, invalid(text, start, fmt.Sprintf("the repository has %d characters and the limit is %d", len(r.Repository), maxRepository), "shorten the path")
	}
	if r.Tag == "" && r.Digest == "" {
		r.Tag = defaultTag
	}
	return r, nil
}

// IsZero reports whether r names nothing.
func (r Reference) IsZero() bool { return r == Reference{} }

// Name returns host and repository, without tag and digest:
// "docker.io/library/nginx".
func (r Reference) Name() string {
	if r.IsZero() {
		return ""
	}
	return r.Registry + "/" + r.Repository
}

// Canonical returns the one spelling of what the reference selects:
// "name@digest" when there is a digest, otherwise "name:tag". A tag beside a
// digest is left out. Parsing the result gives the same result again.
func (r Reference) Canonical() string {
	switch {
	case r.IsZero():
		return ""
	case r.Digest != "":
		return r.Name() + "@" + string(r.Digest)
	}
	return r.Name() + ":" + r.Tag
}

// String returns [Reference.Canonical].
func (r Reference) String() string { return r.Canonical() }

// RegistryHost returns the host to dial, with its port where one was given:
// "registry-1.docker.io" for Docker Hub, Registry itself for all others.
func (r Reference) RegistryHost() string {
	if r.Registry == DockerHub {
		return dockerHubDial
	}
	return r.Registry
}

// Ref returns the reference as the subject of a decision. Its Digest is empty
// until a tag has been resolved.
func (r Reference) Ref() verdict.Ref {
	return verdict.Ref{Kind: verdict.KindImage, Repo: r.Name(), Digest: r.Digest}
}

// checkText refuses what cannot be part of any reference, so that the rest of
// the parser sees printable ASCII only.
func checkText(text string) error {
	switch {
	case text == "":
		return invalid(text, 0, "the reference is empty", "write host/path:tag or host/path@sha256:digest")
	case len(text) > maxText:
		return invalid(text, 0, fmt.Sprintf("the reference has %d bytes and the limit is %d", len(text), maxText), "shorten it")
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 0x80:
			return invalid(text, i, "a character that is not ASCII (look-alike letters and invisible characters are refused)", "type the reference anew in plain ASCII")
		case c == ' ' || c < 0x20 || c == 0x7f:
			return invalid(text, i, "white space or a control character", "remove it; quote the value in YAML and look for a line break at its end")
		case c == '%':
			return invalid(text, i, "percent-encoding", "write the path as it is, without encoding")
		}
	}
	if i := strings.Index(text, "://"); i >= 0 {
		return invalid(text, i, "a URL scheme", "leave out everything up to and including ://")
	}
	if isHexName(text) {
		return invalid(text, 0, "64 hex digits, which tools read as an image id and not as a name", "write host/path@sha256:digest")
	}
	return nil
}

// isHexName reports whether the text is what docker takes for an image id.
func isHexName(text string) bool {
	if len(text) != 64 {
		return false
	}
	_, err := verdict.ParseDigest("sha256:" + text)
	return err == nil
}

func parseDigest(text, digest string, at int) (verdict.Digest, error) {
	if !strings.Contains(digest, ":") || strings.ContainsAny(digest, "/@") {
		return "", invalid(text, at, "what follows @ is not a digest (user names before the host are refused)", "write host/path@sha256:digest, and give credentials to the registry's login instead")
	}
	d, err := verdict.ParseDigest(digest)
	if err != nil {
		return "", invalid(text, at, `the digest is not "sha256:" and 64 lower-case hex digits`, "copy the digest from the registry; other algorithms are not accepted")
	}
	return d, nil
}

func checkTag(text, tag string, at int) error {
	const mend = "write a tag of letters, digits, _, . and - that starts with a letter, a digit or _"
	switch {
	case tag == "":
		return invalid(text, at, "the tag is empty", "write the tag after the colon, or leave the colon out")
	case len(tag) > maxTag:
		return invalid(text, at, fmt.Sprintf("the tag has %d characters and the limit is %d", len(tag), maxTag), "use a shorter tag")
	}
	for i := range len(tag) {
		c := tag[i]
		if isLower(c) || isUpper(c) || isDigit(c) || c == '_' || i > 0 && (c == '.' || c == '-') {
			continue
		}
		return invalid(text, at+i, fmt.Sprintf("%q is not allowed here in a tag", c), mend)
	}
	return nil
}

// checkRepository holds path to the grammar
//
//	path      = component *("/" component)
//	component = alnum *(separator alnum)
//	separator = "." / "_" / "__" / 1*"-"
func checkRepository(text, path string, at int) error {
	const mend = "write path components of lower-case letters and digits, joined by /, single ., _, __ or -"
	separator := 0 // length of the run of separators before i; 0 inside of alnum
	for i := range len(path) + 1 {
		end := i == len(path) || path[i] == '/'
		startsComponent := i == 0 || path[i-1] == '/'
		switch {
		case end && startsComponent:
			return invalid(text, at+i, "a path component is empty", mend)
		case end && separator > 0:
			return invalid(text, at+i-1, "a path component ends in a separator", mend)
		case end:
			continue
		}
		switch c := path[i]; {
		case isLower(c) || isDigit(c):
			separator = 0
		case isUpper(c):
			return invalid(text, at+i, "an upper-case letter in the repository", "write the repository in lower case; only tags may have upper case")
		case c != '.' && c != '_' && c != '-':
			return invalid(text, at+i, fmt.Sprintf("%q is not allowed in a repository", c), mend)
		case startsComponent:
			return invalid(text, at+i, fmt.Sprintf("a path component starts with %q", c), mend)
		case separator > 0 && !joins(path[i-separator:i+1]):
			return invalid(text, at+i, fmt.Sprintf("%q cannot join two parts of a path component", path[i-separator:i+1]), mend)
		default:
			separator++
		}
	}
	return nil
}

// joins reports whether a run of two or more separators is one that the grammar knows.
func joins(run string) bool {
	return run == "__" || strings.Trim(run, "-") == ""
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
