package reference_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

const (
	hexA    = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestA = "sha256:" + hexA
)

func TestParseGivesOneSpelling(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a bare name is on Docker Hub, in library, latest", "nginx", "docker.io/library/nginx:latest"},
		{"a user's name on Docker Hub", "pytorch/pytorch:2.6.0-cuda12.4", "docker.io/pytorch/pytorch:2.6.0-cuda12.4"},
		{"docker.io is Docker Hub", "docker.io/nginx:1", "docker.io/library/nginx:1"},
		{"index.docker.io is Docker Hub", "index.docker.io/library/nginx:1", "docker.io/library/nginx:1"},
		{"registry-1.docker.io is Docker Hub", "registry-1.docker.io/nginx:1", "docker.io/library/nginx:1"},
		{"the host is folded to lower case", "GHCR.io/team/app:V1", "ghcr.io/team/app:V1"},
		{"Docker Hub's name is folded before it is recognised", "Index.Docker.IO/nginx", "docker.io/library/nginx:latest"},
		{"the default port says nothing", "quay.io:443/a/b:1", "quay.io/a/b:1"},
		{"Docker Hub with the default port", "docker.io:443/nginx", "docker.io/library/nginx:latest"},
		{"another port stays", "quay.io:8443/a/b:1", "quay.io:8443/a/b:1"},
		{"a trailing dot of the host says nothing", "quay.io./a/b:1", "quay.io/a/b:1"},
		{"a trailing dot before the default port", "docker.io.:443/nginx", "docker.io/library/nginx:latest"},
		{"a single label with a port is a host, and keeps it", "registry:443/app:1", "registry:443/app:1"},
		{"a single label without a port is a user", "registry/app:1", "docker.io/registry/app:1"},
		{"localhost is a host", "localhost/app", "localhost/app:latest"},
		{"localhost keeps 443, because it is not its default", "localhost:443/app", "localhost:443/app:latest"},
		{"a name:number without a path is a tag", "localhost:5000", "docker.io/library/localhost:5000"},
		{"an IPv4 address", "127.0.0.1:5000/app", "127.0.0.1:5000/app:latest"},
		{"an IPv6 address", "[::1]:5000/app:1", "[::1]:5000/app:1"},
		{"an IPv6 address is compressed and folded", "[2001:0DB8:0:0::1]/app:1", "[2001:db8::1]/app:1"},
		{"a digest", "ghcr.io/a/b@" + digestA, "ghcr.io/a/b@" + digestA},
		{"a tag beside a digest selects nothing", "ghcr.io/a/b:good@" + digestA, "ghcr.io/a/b@" + digestA},
		{"every separator that the grammar has", "ghcr.io/a.b/c_d/e__f/g-h/i---j:_X.y-Z", "ghcr.io/a.b/c_d/e__f/g-h/i---j:_X.y-Z"},
		{"a tag of 128 characters", "a:" + strings.Repeat("t", 128), "docker.io/library/a:" + strings.Repeat("t", 128)},
		{"a repository of 255 characters", "quay.io/" + strings.Repeat("r", 255), "quay.io/" + strings.Repeat("r", 255) + ":latest"},
		{"64 hex digits with a tag are a name", hexA + ":1", "docker.io/library/" + hexA + ":1"},
		{"63 hex digits are a name", hexA[1:], "docker.io/library/" + hexA[1:] + ":latest"},
		{"auto is an ordinary name", "auto", "docker.io/library/auto:latest"},
		{"a name with a dot and no slash is a name", "my.app", "docker.io/library/my.app:latest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := reference.Parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Canonical(); got != tt.want {
				t.Fatalf("canonical form of %q is %q, want %q", tt.text, got, tt.want)
			}
			again, err := reference.Parse(r.Canonical())
			if err != nil || again.Canonical() != r.Canonical() {
				t.Fatalf("the canonical form does not parse to itself: %v, %v", again, err)
			}
		})
	}
}

// Each refused text stands beside a twin that differs only in what is wrong.
func TestParseRefusesWhatIsAmbiguousOrForged(t *testing.T) {
	for _, tt := range []struct {
		name, bad, why string
		position       int
		twin           string
	}{
		{"empty text", "", "empty", 1, "a"},
		{"upper case in the repository", "ghcr.io/Team/app:1", "upper-case", 9, "ghcr.io/team/app:1"},
		{"upper case in a first component that is no host", "Foo/bar", "upper-case", 1, "foo/bar"},
		{"a Cyrillic letter that looks like Latin", "ghcr.iо/team/app:1", "not ASCII", 7, "ghcr.io/team/app:1"},
		{"a zero-width space", "ghcr.io/te\u200bam/app:1", "not ASCII", 11, "ghcr.io/team/app:1"},
		{"a soft hyphen in the tag", "app:1\u00ad", "not ASCII", 6, "app:1"},
		{"an encoded slash", "ghcr.io/team%2fapp:1", "percent-encoding", 13, "ghcr.io/team/app:1"},
		{"a user name before the host", "ghcr.io@evil.example/app", "not a digest", 9, "evil.example/app"},
		{"a user name and a password", "user:pw@ghcr.io/app:1", "not a digest", 9, "ghcr.io/app:1"},
		{"a line break at the end", "app:1\n", "white space", 6, "app:1"},
		{"a line break inside", "ghcr.io/a\n/b", "white space", 10, "ghcr.io/a/b"},
		{"a space", "ghcr.io/a b", "white space", 10, "ghcr.io/ab"},
		{"a tab", "a\t", "white space", 2, "a"},
		{"a NUL", "a\x00", "white space", 2, "a"},
		{"a scheme", "https://ghcr.io/a/b", "scheme", 6, "ghcr.io/a/b"},
		{"the OCI scheme", "oci://ghcr.io/a/b", "scheme", 4, "ghcr.io/a/b"},
		{"an empty path component", "ghcr.io/a//b", "empty", 11, "ghcr.io/a/b"},
		{"a leading slash", "/a/b", "empty", 1, "a/b"},
		{"a trailing slash", "ghcr.io/a/", "empty", 11, "ghcr.io/a"},
		{"a host and nothing else", "ghcr.io/", "empty", 9, "ghcr.io/a"},
		{"a parent directory", "ghcr.io/a/../b", "starts with", 11, "ghcr.io/a/b"},
		{"two dots inside", "ghcr.io/a..b", "cannot join", 11, "ghcr.io/a.b"},
		{"three underscores", "a___b", "cannot join", 4, "a__b"},
		{"mixed separators", "a.-b", "cannot join", 3, "a-b"},
		{"a leading dash", "-a", "starts with", 1, "a"},
		{"a trailing dash", "a-:1", "ends in a separator", 2, "a:1"},
		{"a backslash", `a\b`, "not allowed in a repository", 2, "a/b"},
		{"an empty tag", "a:", "tag is empty", 3, "a:1"},
		{"a tag that starts with a dash", "a:-1", "not allowed here in a tag", 3, "a:1-"},
		{"a tag that starts with a dot", "a:.1", "not allowed here in a tag", 3, "a:1."},
		{"a tag of 129 characters", "a:" + strings.Repeat("t", 129), "limit is 128", 3, "a:" + strings.Repeat("t", 128)},
		{"a repository of 256 characters", "quay.io/" + strings.Repeat("r", 256), "limit is 255", 9, "quay.io/" + strings.Repeat("r", 255)},
		{"text longer than anything", strings.Repeat("a/", 600) + "a", "limit is 1024", 1, strings.Repeat("a/", 120) + "a"},
		{"two tags", "a:1:2", "not allowed in a repository", 2, "a:1"},
		{"an empty digest", "a@", "not a digest", 3, "a@" + digestA},
		{"a digest without its algorithm", "a@" + hexA, "not a digest", 3, "a@" + digestA},
		{"a short digest", "a@sha256:abc", "64 lower-case hex", 3, "a@" + digestA},
		{"a digest in upper case", "a@sha256:" + strings.ToUpper(hexA), "64 lower-case hex", 3, "a@" + digestA},
		{"another algorithm", "a@sha512:" + hexA + hexA, "64 lower-case hex", 3, "a@" + digestA},
		{"two digests", "a@" + digestA + "@" + digestA, "not a digest", 3, "a@" + digestA},
		{"a digest before the tag", "a@" + digestA + ":1", "64 lower-case hex", 3, "a:1@" + digestA},
		{"64 hex digits", hexA, "image id", 1, hexA[1:]},
		{"port zero", "ghcr.io:0/a", "port", 9, "ghcr.io:1/a"},
		{"a port above 65535", "ghcr.io:65536/a", "port", 9, "ghcr.io:65535/a"},
		{"a port with a leading zero", "ghcr.io:0443/a", "port", 9, "ghcr.io:443/a"},
		{"a port with a sign", "ghcr.io:+443/a", "port", 9, "ghcr.io:443/a"},
		{"an empty port", "ghcr.io:/a", "port", 9, "ghcr.io/a"},
		{"two ports", "ghcr.io:1:2/a", "port", 9, "ghcr.io:1/a"},
		{"no host before the port", ":5000/a", "label of the host is empty", 1, "h:5000/a"},
		{"two trailing dots", "ghcr.io../a", "label of the host is empty", 9, "ghcr.io./a"},
		{"a trailing dot that turns a user into a host", "registry./a", "one label", 1, "registry.:5000/a"},
		{"an underscore in the host", "my_host.io/a", "not allowed in a host", 3, "my-host.io/a"},
		{"a host label that starts with a dash", "a.-b.io/a", "starts or ends with -", 3, "a.b.io/a"},
		{"a host label of 64 characters", strings.Repeat("h", 64) + ".io/a", "limit is 63", 1, strings.Repeat("h", 63) + ".io/a"},
		{"a host of 254 characters", strings.Repeat("h.", 126) + "hh/a", "limit is 253", 1, strings.Repeat("h.", 126) + "h/a"},
		{"a short form of an IPv4 address", "127.1:5000/a", "IPv4", 1, "127.0.0.1:5000/a"},
		{"an IPv4 address in hexadecimal", "127.0.0.0x1/a", "IPv4", 1, "127.0.0.1/a"},
		{"an IPv4 address with leading zeros", "127.0.0.001/a", "IPv4", 1, "127.0.0.1/a"},
		{"an IPv4 address as one number", "2130706433:5000/a", "IPv4", 1, "127.0.0.1:5000/a"},
		{"an IPv6 address without brackets", "::1/a", "port", 2, "[::1]/a"},
		{"an open bracket", "[::1/a", "not closed", 1, "[::1]/a"},
		{"a zone", "[fe80::1%25eth0]/a", "percent-encoding", 9, "[fe80::1]/a"},
		{"an IPv4 address in brackets", "[127.0.0.1]/a", "not an IPv6", 2, "[::1]/a"},
		{"text behind the bracket", "[::1]x/a", "between ]", 6, "[::1]:1/a"},
		{"a bracket in the path", "ghcr.io/[a]", "not allowed in a repository", 9, "ghcr.io/a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := reference.Parse(tt.bad)
			var e *reference.Error
			if !errors.As(err, &e) || !errors.Is(err, reference.ErrInvalid) {
				t.Fatalf("%q was not refused: %v", tt.bad, err)
			}
			if !strings.Contains(e.Why, tt.why) || e.Position != tt.position {
				t.Errorf("refused %q at %d because %q, want %d because %q", tt.bad, e.Position, e.Why, tt.position, tt.why)
			}
			if e.Mend == "" {
				t.Error("the error does not say how to mend it")
			}
			if _, err := reference.Parse(tt.twin); err != nil {
				t.Errorf("the mended twin is refused: %v", err)
			}
		})
	}
}

func TestDigestWinsOverTag(t *testing.T) {
	r, err := reference.Parse("ghcr.io/a/b:good@" + digestA)
	if err != nil {
		t.Fatal(err)
	}
	if r.Tag != "good" || r.Digest != digestA {
		t.Errorf("parsed as %+v", r)
	}
	want := verdict.Ref{Kind: verdict.KindImage, Repo: "ghcr.io/a/b", Digest: digestA}
	if r.Ref() != want {
		t.Errorf("the subject is %v, want %v", r.Ref(), want)
	}
}

func TestADigestImpliesNoTag(t *testing.T) {
	r, err := reference.Parse("nginx@" + digestA)
	if err != nil {
		t.Fatal(err)
	}
	if r.Tag != "" {
		t.Errorf("the tag is %q, want none", r.Tag)
	}
}

func TestRegistryHostIsWhereToDial(t *testing.T) {
	for text, want := range map[string]string{
		"nginx":                   "registry-1.docker.io",
		"index.docker.io/a/b":     "registry-1.docker.io",
		"docker.io:5000/a":        "docker.io:5000",
		"ghcr.io/a/b":             "ghcr.io",
		"localhost:5000/a":        "localhost:5000",
		"[::1]:5000/a":            "[::1]:5000",
		"registry.example:443/a":  "registry.example:443",
		"registry.example.:443/a": "registry.example:443",
	} {
		if strings.HasPrefix(text, "registry.example") {
			want = "registry.example" // a dotted name speaks TLS, 443 is its default
		}
		r, err := reference.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.RegistryHost(); got != want {
			t.Errorf("%s is dialled at %s, want %s", text, got, want)
		}
	}
}

func TestTheZeroReferenceNamesNothing(t *testing.T) {
	var r reference.Reference
	if !r.IsZero() || r.Name() != "" || r.Canonical() != "" {
		t.Errorf("the zero reference names %q, %q", r.Name(), r.Canonical())
	}
}

func TestErrorsDoNotShowCredentials(t *testing.T) {
	for _, text := range []string{
		"user:hunter2@ghcr.io/a/b:1",
		"https://user:hunter2@ghcr.io/a/b",
		"user:hunter2@ghcr.io/a@" + digestA,
		"user:hunter2@sha.example/a",
	} {
		_, err := reference.Parse(text)
		if err == nil {
			t.Fatalf("%q was not refused", text)
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	if got := reference.Redact("ghcr.io/a@" + digestA); got != "ghcr.io/a@"+digestA {
		t.Errorf("a digest was redacted to %q", got)
	}
	if got := reference.Redact(strings.Repeat("x", 10_000)); len(got) > 210 {
		t.Errorf("%d bytes are shown", len(got))
	}
}
