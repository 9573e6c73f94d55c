package registry

import (
	"fmt"
	"math"
	"net"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// The specification's own expressions are what the hand-written checks are
// held against.
var (
	specRepository = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\A[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\z`)
	})
	specTag = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\z`) })
)

func TestNamesFollowTheSpecification(t *testing.T) {
	for _, good := range []string{"a", "a/b", "team/app-1", "a.b/c_d/e__f/g---h", "0/1", strings.Repeat("a", maxRepository)} {
		if !ValidRepository(good) {
			t.Errorf("%q was refused", good)
		}
	}
	for _, bad := range []string{"", "/", "a/", "/a", "a//b", ".", "..", "a/..", "../a", "a/../b", "A", "a.", ".a", "a..b", "a___b", "a._b", "-a",
		"_tags", "a/_tags", "a b", "a\x00b", `a\b`, "a:b", "é", "a%2fb", strings.Repeat("a", maxRepository+1)} {
		if ValidRepository(bad) {
			t.Errorf("%q was accepted", bad)
		}
	}
	for _, bad := range []string{"", ".", "..", ".a", "-a", "a/b", "a:b", "a b", "é", strings.Repeat("a", 129)} {
		if ValidTag(bad) {
			t.Errorf("tag %q was accepted", bad)
		}
	}
	for _, good := range []string{"v1", "_", "A.b-c_d", strings.Repeat("a", 128)} {
		if !ValidTag(good) {
			t.Errorf("tag %q was refused", good)
		}
	}
}

// rawGet sends a path as it is: clients and proxies clean paths, attackers do not.
func rawGet(t *testing.T, f *fixture, method, target string) (status int) {
	t.Helper()
	addr := strings.TrimPrefix(f.url, "http://")
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, target, addr, f.pass)
	var proto string
	if _, err := fmt.Fscan(conn, &proto, &status); err != nil {
		t.Fatal(err)
	}
	return status
}

func TestNoPathLeadsOutOfTheRepository(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "registry")
	f := serve(t, Options{Dir: dir})
	f.putImage(repo, "v1", "x")
	before := tree(t, parent)
	d := string(digestOf([]byte("x")))
	f.pass = f.token("repository:team/app:pull,push,delete")
	for _, target := range []string{
		"/v2/../../etc/passwd",
		"/v2/../token/manifests/v1",
		"/v2/team/app/../../token/manifests/v1",
		"/v2/team/app/manifests/..",
		"/v2/team/app/manifests/../../../../token.key",
		"/v2/team/app/manifests/..%2f..%2f..%2f..%2ftoken.key",
		"/v2/team/app/manifests/%2e%2e",
		"/v2/team%2fapp/manifests/v1",
		"/v2/team%2Fapp/manifests/v1",
		"/v2/team/app/_tags/manifests/v1",
		"/v2/_uploads/manifests/v1",
		"/v2//team/app/manifests/v1",
		"/v2/team//app/manifests/v1",
		"/v2/team/app/blobs/sha256:..",
		"/v2/team/app/blobs/sha256:" + strings.Repeat("../", 21) + "a",
		"/v2/team/app/blobs/" + d + "%00",
		"/v2/team/app/blobs/uploads/../../../../token.key",
		"/v2/team/app/blobs/uploads/..",
		"/v2/team/app/blobs/uploads/.data",
		"/v2/team/app/referrers/../v1",
		"/v2/TEAM/app/manifests/v1",
		"/v2/team\\app/manifests/v1",
		"/v2/" + strings.Repeat("a/", 200) + "manifests/v1",
		"/v2",
		"/v2x/",
	} {
		for _, method := range []string{"GET", "PUT", "DELETE", "POST", "PATCH", "OPTIONS", "CONNECTED"} {
			if status := rawGet(t, f, method, target); status < 400 && !(target == "/v2" && method == "GET") {
				t.Errorf("%s %s: %d", method, target, status)
			}
		}
	}
	if after := tree(t, parent); after != before {
		t.Errorf("files changed:\n%s\nbefore:\n%s", after, before)
	}
	if status := rawGet(t, f, "GET", "/v2/team/app/manifests/v1"); status != 200 {
		t.Errorf("the one good path: %d", status)
	}
	if status := rawGet(t, f, "GET", "/v2/team/app/blobs/"+strings.Replace(string(digestOf([]byte("layer x"))), ":", "%3A", 1)); status != 200 {
		t.Errorf("a digest whose colon is encoded: %d", status)
	}
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err == nil {
			fmt.Fprintln(&b, strings.TrimPrefix(p, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestASymbolicLinkDoesNotLeadOutOfTheDirectory(t *testing.T) {
	f := serve(t, Options{})
	d := f.pushBlob(repo, []byte("inside"))
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	root := f.reg.disk.root
	if err := root.Remove(blobPath(d)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(root.Name(), filepath.FromSlash(blobPath(d)))); err != nil {
		t.Fatal(err)
	}
	f.want(f.do("GET", "/v2/"+repo+"/blobs/"+string(d), nil), 500, codeUnknown)
}

func FuzzRoute(f *testing.F) {
	for _, p := range []string{"/v2/", "/v2/a/manifests/v1", "/v2/a/b/blobs/" + string(digestOf(nil)), "/v2/a/blobs/uploads/", "/v2/../x/tags/list", "/v2/_catalog",
		"/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000", "/v2/a/referrers/sha256:"} {
		f.Add(p, "")
	}
	f.Add("/v2/a/b/manifests/v1", "/v2/a%2fb/manifests/v1")
	f.Fuzz(func(t *testing.T, p, raw string) {
		rt, prob := parseRoute(p, raw)
		if prob != nil {
			if prob.status < 400 || prob.status > 499 {
				t.Errorf("%q: %v", p, prob)
			}
			return
		}
		if rt.end == endBase || rt.end == endCatalog {
			return
		}
		// Whatever parses builds only paths that stay where they belong.
		for _, built := range []string{repoPath(rt.repo, "_tags", rt.tag), repoPath(rt.repo, "_blobs", rt.digest.Hex()), "uploads/x/" + rt.upload} {
			if clean := path.Clean(built); clean != strings.TrimSuffix(built, "/") || !filepath.IsLocal(built) {
				t.Errorf("%q builds %q", p, built)
			}
		}
		if !specRepository().MatchString(rt.repo) {
			t.Errorf("%q has repository %q", p, rt.repo)
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"a", "a/b", "a__b", "a___b", "a--b", "a.-b", "A", "a/", "sha256-" + strings.Repeat("a", 64) + ".sig", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if want := specRepository().MatchString(s) && len(s) <= maxRepository; ValidRepository(s) != want {
			t.Errorf("repository %q: got %v", s, !want)
		}
		if want := specTag().MatchString(s); ValidTag(s) != want {
			t.Errorf("tag %q: got %v", s, !want)
		}
		if d, suffix, ok := attachmentTag(s); ok && s != "sha256-"+d.Hex()+suffix {
			t.Errorf("%q is %s and %q", s, d, suffix)
		}
	})
}

func FuzzRanges(f *testing.F) {
	for _, s := range []string{"0-0", "0-99", "9223372036854775807-9223372036854775807", "1-0", "bytes=0-", "bytes=-5", "bytes=0-1,2-3", "bytes= 1 - 2", "-", "+1-2"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if first, last, ok := parseContentRange(s); ok {
			if first < 0 || last < first || last == math.MaxInt64 {
				t.Errorf("%q is %d to %d", s, first, last)
			}
			if !regexpContentRange().MatchString(s) {
				t.Errorf("%q is not of the specification's form", s)
			}
		}
		if size < 0 {
			return
		}
		if kind := judgeRange(s, size); kind != rangeIgnored && (!strings.HasPrefix(s, "bytes=") || strings.Contains(s, ",")) {
			t.Errorf("%q is honoured", s)
		}
	})
}

var regexpContentRange = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A[0-9]+-[0-9]+\z`) })
