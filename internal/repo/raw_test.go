package repo

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // as Git names objects
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/hash"
)

const (
	someTree   = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n"
	someParent = "parent 1111111111111111111111111111111111111111\n"
	people     = "author A <a@example.com> 1772366400 +0000\ncommitter C <c@example.com> 1772366401 +0100\n"
	someSig    = "gpgsig -----BEGIN SSH SIGNATURE-----\n U1NI\n \n -----END SSH SIGNATURE-----\n"
)

func TestACommitIsTakenApart(t *testing.T) {
	for name, c := range map[string]struct{ data, payload, signature, message string }{
		"an unsigned one":                    {someTree + people + "\nhello\n", someTree + people + "\nhello\n", "", "hello\n"},
		"one without a message":              {someTree + people + "\n", someTree + people + "\n", "", ""},
		"a signed one":                       {someTree + someParent + people + someSig + "\nhi\n", someTree + someParent + people + "\nhi\n", "-----BEGIN SSH SIGNATURE-----\nU1NI\n\n-----END SSH SIGNATURE-----", "hi\n"},
		"headers after the signature stay":   {someTree + people + someSig + "change-id x\n\nhi\n", someTree + people + "change-id x\n\nhi\n", "-----BEGIN SSH SIGNATURE-----\nU1NI\n\n-----END SSH SIGNATURE-----", "hi\n"},
		"headers before the signature stay":  {someTree + people + "encoding latin1\n" + someSig + "\nhi\n", someTree + people + "encoding latin1\n\nhi\n", "-----BEGIN SSH SIGNATURE-----\nU1NI\n\n-----END SSH SIGNATURE-----", "hi\n"},
		"a merge of a signed tag stays":      {someTree + people + "mergetag object 1\n type commit\n \n x\n\nhi", someTree + people + "mergetag object 1\n type commit\n \n x\n\nhi", "", "hi"},
		"the signature of the SHA-256 twin":  {someTree + people + "gpgsig-sha256 a\n b\n" + "\nhi", someTree + people + "\nhi", "", "hi"},
		"what looks like a header in a text": {someTree + people + "\nhi\n\n" + someSig, someTree + people + "\nhi\n\n" + someSig, "", "hi\n\n" + someSig},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseCommit([]byte(c.data))
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Payload) != c.payload || string(got.Signature) != c.signature || got.Message != c.message || got.When.Unix() != 1772366401 {
				t.Fatalf("got %q, %q, %q, %s", got.Payload, got.Signature, got.Message, got.When)
			}
		})
	}
}

func TestACommitThatCanBeReadInTwoWaysIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ data, why string }{
		"a NUL in the message":              {someTree + people + "\nhi\x00there\n", "NUL"},
		"a NUL in a header":                 {someTree + "author A\x00 <a@example.com> 1 +0000\n" + people + "\nhi", "NUL"},
		"two signatures":                    {someTree + people + someSig + someSig + "\nhi\n", "second gpgsig"},
		"two signatures of the twin":        {someTree + people + "gpgsig-sha256 a\ngpgsig-sha256 b\n\nhi\n", "second gpgsig"},
		"a signature header of a new kind":  {someTree + people + "gpgsig-sha3 a\n\nhi\n", "no signature that Git knows"},
		"a signature that begins folded":    {someTree + people + "gpgsig\n a\n\nhi\n", "no signature that Git knows"},
		"two trees":                         {someTree + someTree + people + "\nhi", "where its author"},
		"two authors":                       {someTree + people + "author A <a@example.com> 1 +0000\n\nhi", "second author"},
		"two committers":                    {someTree + people + "committer A <a@example.com> 1 +0000\n\nhi", "second committer"},
		"a parent behind the author":        {someTree + people + someParent + "\nhi", "second parent"},
		"a tree behind the signature":       {someTree + people + someSig + someTree + "\nhi", "second tree"},
		"the same parent twice":             {someTree + someParent + someParent + people + "\nhi", "twice"},
		"a folded committer":                {someTree + strings.TrimSuffix(people, "\n") + "\n x\n\nhi", "folded"},
		"a folded author":                   {someTree + "author A <a@example.com> 1 +0000\n x\ncommitter A <a@example.com> 1 +0000\n\nhi", "folded"},
		"a folded tree":                     {someTree + " x\n" + people + "\nhi", "where its author"},
		"a folded encoding":                 {someTree + people + "encoding a\n b\n\nhi", "folded"},
		"two encodings":                     {someTree + people + "encoding a\nencoding b\n\nhi", "second encoding"},
		"an author with two addresses":      {someTree + "author A <a@example.com> <b@example.com> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nhi", "no date"},
		"a carriage return in the address":  {someTree + "author A <a@example.com\r> 1 +0000\ncommitter A <a@example.com> 1 +0000\n\nhi", "Name <email>"},
		"a committer without a date":        {someTree + "author A <a@example.com> 1 +0000\ncommitter A <a@example.com> x +0000\n\nhi", "no date"},
		"no committer":                      {someTree + "author A <a@example.com> 1 +0000\n\nhi", "no committer"},
		"no empty line":                     {someTree + people, "no empty line"},
		"a header with a space in front":    {someTree + " author A <a@example.com> 1 +0000\n" + people + "\nhi", "where its author"},
		"a header that is no word":          {someTree + people + "x\ty z\n\nhi", "is not a header"},
		"a tree that is no hash":            {"tree 4B825DC642CB6EB9A060E54BF8D69288FBEE4904\n" + people + "\nhi", "no hash"},
		"no tree":                           {people + "\nhi", "begin with its tree"},
		"nothing":                           {"", "begin with its tree"},
		"more parents than anybody merges":  {someTree + manyParents(maxParents+1) + people + "\nhi", "parents"},
		"windows line ends in every header": {strings.ReplaceAll(someTree+people+"\nhi", "\n", "\r\n"), "no hash"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseCommit([]byte(c.data))
			if err == nil || !strings.Contains(err.Error(), c.why) || !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("got %v, want %q", err, c.why)
			}
		})
	}
	if c, err := ParseCommit([]byte(someTree + manyParents(maxParents) + people + "\nhi")); err != nil || len(c.Parents) != maxParents {
		t.Fatalf("as many parents as are allowed: %v", err)
	}
}

func manyParents(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "parent %040x\n", i+1)
	}
	return b.String()
}

func TestATagIsTakenApart(t *testing.T) {
	const head = "object 1111111111111111111111111111111111111111\ntype commit\ntag v1\ntagger A <a@example.com> 1772366400 +0000\n\nfirst\n"
	const sig = "-----BEGIN PGP SIGNATURE-----\nx\n-----END PGP SIGNATURE-----\n"
	got, err := ParseTag([]byte(head + sig))
	if err != nil || string(got.Payload) != head || string(got.Signature) != sig || got.Name != "v1" || got.Target != Commit(strings.Repeat("1", 40)) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got, err := ParseTag([]byte(head)); err != nil || got.Signature != nil || string(got.Payload) != head {
		t.Fatalf("an unsigned tag: %+v, %v", got, err)
	}
	for name, data := range map[string]string{
		"two signatures":        head + sig + sig,
		"a NUL":                 head + "\x00" + sig,
		"a header too much":     strings.Replace(head, "tag v1", "tag v1\ntag v2", 1),
		"a tag of a tree":       strings.Replace(head, "type commit", "type tree", 1),
		"no tagger":             strings.Replace(head, "tagger A <a@example.com> 1772366400 +0000\n", "", 1),
		"headers in disorder":   strings.Replace(head, "object 1111111111111111111111111111111111111111\ntype commit", "type commit\nobject 1111111111111111111111111111111111111111", 1),
		"a target of few hexes": strings.Replace(head, "object 1111", "object ", 1),
	} {
		if _, err := ParseTag([]byte(data)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTrailersAreReadFromTheLastParagraph(t *testing.T) {
	for name, c := range map[string]struct {
		message string
		want    []string
	}{
		"one":                         {"subject\n\nApex-Seal: rotated\n", []string{"rotated"}},
		"several":                     {"subject\n\nbody\n\nApex-Seal: a\nSigned-off-by: x\napex-seal:b\n", []string{"a", "b"}},
		"one over two lines":          {"subject\n\nApex-Seal: a\n  b\n", []string{"a b"}},
		"none in the subject":         {"Apex-Seal: a\n", nil},
		"none in an earlier one":      {"subject\n\nApex-Seal: a\n\nthe end\n", nil},
		"none in a paragraph of text": {"subject\n\nApex-Seal: a\nis how one seals\n", nil},
		"none without a name":         {"subject\n\n: a\n", nil},
	} {
		if got := (&RawCommit{Message: c.message}).Trailers("Apex-Seal"); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestBytesThatCollideOnPurposeAreSeen(t *testing.T) {
	// Nobody has published a commit that collides: the hash is shown the first
	// blocks of a file of shattered.io, where the module that detects them has it.
	dir := filepath.Join(moduleCache(t), "github.com/pjbgf/sha1cd@v0.7.0/test/testdata/files")
	data, err := os.ReadFile(filepath.Join(dir, "shattered-1.pdf"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the module cache holds no example of a collision")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		data   []byte
		forged bool
	}{{"a collision", data, true}, {"the same with one bit changed", flip(data, 200), false}} {
		h := plumbing.Hasher{Hash: hash.New(hash.CryptoType)}
		_, _ = h.Write(c.data)
		_, err := sumObject(h)
		if errors.Is(err, ErrCollision) != c.forged || errors.Is(err, ErrCorrupt) != c.forged {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestAHashThatDetectsNothingIsNone(t *testing.T) {
	if _, err := sumObject(plumbing.Hasher{Hash: sha1.New()}); !errors.Is(err, ErrCorrupt) { //nolint:gosec // it is what is refused
		t.Errorf("got %v", err)
	}
	if _, err := hashObject(plumbing.BlobObject, nil); err != nil {
		t.Errorf("go-git's own: %v", err)
	}
}

func flip(data []byte, at int) []byte {
	out := bytes.Clone(data)
	out[at] ^= 1
	return out
}

func moduleCache(t *testing.T) string {
	if dir := os.Getenv("GOMODCACHE"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip("there is no home directory")
	}
	return filepath.Join(home, "go", "pkg", "mod")
}

func TestWhatHidesTheStoredHistoryIsNamed(t *testing.T) {
	dir := byGit(t)
	writeFile(t, dir, "a", "1")
	gitCmd(t, dir, "add", ".")
	gitCmd(t, dir, "commit", "-q", "-m", "one")
	gitCmd(t, dir, "commit", "-q", "--allow-empty", "-m", "two")
	overlays := func(dir string) []string {
		r := openRepo(t, dir)
		found, err := r.Overlays()
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if got := overlays(dir); len(got) != 0 {
		t.Fatalf("a plain repository: %q", got)
	}
	head := gitCmd(t, dir, "rev-parse", "HEAD")
	gitCmd(t, dir, "replace", "--graft", head)
	if got := overlays(dir); !slices.Equal(got, []string{"refs/replace/" + head}) {
		t.Fatalf("a replace reference: %q", got)
	}
	gitCmd(t, dir, "pack-refs", "--all")
	if got := overlays(dir); !slices.Equal(got, []string{"refs/replace/" + head}) {
		t.Fatalf("a packed replace reference: %q", got)
	}
	gitCmd(t, dir, "replace", "-d", head)
	writeFile(t, dir, ".git/info/grafts", head+"\n")
	if got := overlays(dir); !slices.Equal(got, []string{"info/grafts"}) {
		t.Fatalf("a graft: %q", got)
	}
	shallow := t.TempDir()
	gitCmd(t, shallow, "clone", "-q", "--depth=1", "file://"+dir, "s")
	if got := overlays(filepath.Join(shallow, "s")); !slices.Equal(got, []string{"shallow"}) {
		t.Fatalf("a shallow clone: %q", got)
	}
}

func FuzzParseCommit(f *testing.F) {
	f.Add([]byte(someTree + someParent + people + someSig + "\nhi\n"))
	f.Add([]byte(someTree + people + "mergetag object 1\n type commit\n \n x\nencoding latin1\ngpgsig-sha256 x\n\nhi\n\nApex-Seal: x"))
	f.Add([]byte(someTree + people + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCommit(data)
		if err != nil {
			return
		}
		c.Trailers("Apex-Seal")
		if bytes.Contains(c.Payload, []byte("\ngpgsig")) && !bytes.Contains([]byte(c.Message), []byte("gpgsig")) {
			t.Fatalf("a signature in what is signed: %q", c.Payload)
		}
		// What is signed says the same as the commit, signature apart.
		again, err := ParseCommit(c.Payload)
		if err != nil {
			t.Fatalf("the payload cannot be read: %v\n%q", err, c.Payload)
		}
		if again.tree != c.tree || !slices.Equal(again.Parents, c.Parents) || again.Message != c.Message ||
			!again.When.Equal(c.When) || !bytes.Equal(again.Payload, c.Payload) || again.Signature != nil {
			t.Fatalf("the payload says something else: %+v, %+v", again, c)
		}
		if len(c.Signature) == 0 && !bytes.Contains(data, []byte("gpgsig")) && !bytes.Equal(c.Payload, data) {
			t.Fatalf("an unsigned commit is not its payload: %q", c.Payload)
		}
	})
}
