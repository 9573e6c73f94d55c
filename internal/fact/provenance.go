package fact

import (
	"net/url"
	"strings"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Provenance is one signed SLSA provenance statement, v0.2 or v1, in common terms.
type Provenance struct {
	Signing Signing `json:"signing"`
	// Subjects of the statement that named it.
	Subjects []AttestationSubject `json:"subjects"`
	// Version of the predicate: "0.2" or "1".
	Version   string `json:"version"`
	Builder   string `json:"builder"`
	BuildType string `json:"buildType,omitempty"`
	// SourceRepository without "git+", ".git" and revision, host in lower case.
	SourceRepository string       `json:"sourceRepository,omitempty"`
	SourceDigest     string       `json:"sourceDigest,omitempty"` // commit, hex
	EntryPoint       string       `json:"entryPoint,omitempty"`
	Finished         time.Time    `json:"finished,omitzero"`
	Dependencies     []Dependency `json:"dependencies,omitempty"`
	Code             verdict.Code `json:"code"` // verdict.OK when the predicate could be read
	Detail           string       `json:"detail,omitempty"`
}

// Dependency is one resolved dependency (v1) or material (v0.2).
type Dependency struct {
	Name   string         `json:"name,omitempty"` // what it was for, where the producer says (v1)
	URI    string         `json:"uri"`
	Digest verdict.Digest `json:"digest,omitempty"`
	// Repository and Tag are set when the dependency is a container image:
	// pkg:docker, pkg:oci, docker:// and oci:// URIs, canonical.
	Repository string `json:"repository,omitempty"`
	Tag        string `json:"tag,omitempty"`
}

// maxSourceURI is far above the length of any real repository's URI.
const maxSourceURI = 2048

// SourceRepository returns the one spelling of a source repository, as
// [Provenance].SourceRepository holds it and as policies compare it:
// "git+https://GitHub.com/o/r.git@refs/heads/main" and "git@github.com:o/r"
// become "https://github.com/o/r". Credentials, query, fragment and revision
// are left out; the case of the path is kept. It returns "" for text that is
// not the URI of a repository; "" must match nothing.
func SourceRepository(uri string) string {
	if len(uri) > maxSourceURI {
		return ""
	}
	for _, prefix := range []string{"git+", "scm:git:"} {
		uri = strings.TrimPrefix(uri, prefix)
	}
	if rest, ok := strings.CutPrefix(uri, "git@"); ok {
		// The scp-like form of Git: git@host:path.
		host, path, ok := strings.Cut(rest, ":")
		if !ok || strings.Contains(host, "/") {
			return ""
		}
		uri = "https://" + host + "/" + path
	}
	u, err := url.Parse(uri)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	scheme, port := u.Scheme, u.Port()
	switch scheme {
	case "https", "http", "git":
	case "ssh":
		scheme, port = "https", "" // the same repository by another transport
	default:
		return ""
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		port = ""
	}
	path, _, _ := strings.Cut(u.EscapedPath(), "@")
	path = strings.TrimSuffix(strings.TrimSuffix(path, "/"), ".git")
	if !plainPath(path) {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return scheme + "://" + host + path
}

// plainPath refuses paths that a server may read as another one: empty and
// dotted segments, backslashes and percent-encoding.
func plainPath(path string) bool {
	if len(path) < 2 || path[0] != '/' || strings.ContainsAny(path, "%\\") {
		return false
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
