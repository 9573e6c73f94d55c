package history_test

import (
	"bytes"
	"compress/zlib"
	"crypto/ed25519"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// person returns the key of somebody, the same one each time.
func person(name string) ssh.Signer {
	seed := sha256.Sum256([]byte("history test " + name))
	s, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err)
	}
	return s
}

// forge writes a repository object by object, whether or not git would.
type forge struct {
	t     testing.TB
	dir   string
	when  int64           // of the last commit
	there map[string]bool // objects that were written
	z     *zlib.Writer
}

func newForge(t testing.TB) *forge {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	r, err := repo.Init(dir, repo.Author{Name: "A", Email: "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return &forge{t: t, dir: dir, there: map[string]bool{}, when: now.Add(-24 * time.Hour).Unix()}
}

func (f *forge) repo() *repo.Repo {
	f.t.Helper()
	r, err := repo.Open(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = r.Close() })
	return r
}

// write puts a file into the .git directory.
func (f *forge) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, ".git", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		f.t.Fatal(err)
	}
}

func objectPath(hash string) string { return "objects/" + hash[:2] + "/" + hash[2:] }

func (f *forge) object(kind string, data []byte) string {
	f.t.Helper()
	whole := append(fmt.Appendf(nil, "%s %d\x00", kind, len(data)), data...)
	sum := sha1.Sum(whole)
	hash := hex.EncodeToString(sum[:])
	if !f.there[hash] {
		f.put(hash, whole)
		f.there[hash] = true
	}
	return hash
}

// put stores an object's bytes under a name, which need not be theirs.
func (f *forge) put(hash string, whole []byte) {
	f.t.Helper()
	var out bytes.Buffer
	if f.z == nil {
		f.z = zlib.NewWriter(&out)
	}
	z := f.z // its tables are larger than a history
	z.Reset(&out)
	if _, err := z.Write(whole); err != nil {
		f.t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.write(objectPath(hash), out.String())
}

// tree writes a directory. A name that begins with @ is a symbolic link.
func (f *forge) tree(files map[string]string) string {
	f.t.Helper()
	dirs, plain := map[string]map[string]string{}, map[string]string{}
	for name, content := range files {
		if dir, rest, ok := strings.Cut(name, "/"); ok {
			if dirs[dir] == nil {
				dirs[dir] = map[string]string{}
			}
			dirs[dir][rest] = content
			continue
		}
		plain[name] = content
	}
	lines := map[string]string{} // by what Git sorts by
	add := func(sort, mode, name, hash string) {
		raw, err := hex.DecodeString(hash)
		if err != nil {
			f.t.Fatal(err)
		}
		lines[sort] = mode + " " + name + "\x00" + string(raw)
	}
	for name, content := range plain {
		add(name, "100644", name, f.object("blob", []byte(content)))
	}
	for name, inside := range dirs {
		add(name+"/", "40000", name, f.tree(inside))
	}
	var out strings.Builder
	for _, key := range slices.Sorted(maps.Keys(lines)) {
		out.WriteString(lines[key])
	}
	return f.object("tree", []byte(out.String()))
}

// spec is a commit to be made; by and files are needed.
type spec struct {
	by      string // who signs; "" is nobody
	files   string // "path=content path=content"
	parents []repo.Commit
	message string
	when    int64                    // default: one second after the last one
	space   string                   // default: the namespace git
	payload func(string) string      // changes what is signed before it is
	raw     func(string) string      // changes the whole afterwards
	signed  func(data []byte) []byte // another kind of signature
}

func (f *forge) commit(s spec) repo.Commit {
	f.t.Helper()
	files := map[string]string{}
	for pair := range strings.FieldsSeq(s.files) {
		name, content, _ := strings.Cut(pair, "=")
		files[name] = content
	}
	if s.when == 0 {
		f.when++
		s.when = f.when
	}
	if s.message == "" {
		s.message = "Change\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", f.tree(files))
	for _, p := range s.parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	fmt.Fprintf(&b, "author A <a@example.com> %d +0000\ncommitter A <a@example.com> %d +0000\n\n%s", s.when, s.when, s.message)
	text := b.String()
	if s.payload != nil {
		text = s.payload(text)
	}
	switch {
	case s.signed != nil:
		text = embed(text, s.signed([]byte(text)))
	case s.by != "":
		space := "git"
		if s.space != "" {
			space = s.space
		}
		text = embed(text, sshSign(f.t, person(s.by), space, text))
	}
	if s.raw != nil {
		text = s.raw(text)
	}
	return repo.Commit(f.object("commit", []byte(text)))
}

func sshSign(t testing.TB, s ssh.Signer, space, text string) []byte {
	t.Helper()
	sig, err := sshsig.Sign(strings.NewReader(text), s, sshsig.HashSHA512, space)
	if err != nil {
		t.Fatal(err)
	}
	return sshsig.Armor(sig)
}

// embed puts a signature where git puts it: behind the other headers.
func embed(text string, sig []byte) string {
	head, message, _ := strings.Cut(text, "\n\n")
	folded := strings.ReplaceAll(strings.TrimSuffix(string(sig), "\n"), "\n", "\n ")
	return head + "\ngpgsig " + folded + "\n\n" + message
}

// signer is a person as a trusted one.
func signer(name, owner string) trust.CommitSigner {
	return trust.CommitSigner{Name: name, Owner: owner, SSH: string(ssh.MarshalAuthorizedKey(person(name).PublicKey()))}
}

// team is whom the tests trust: alice has two keys, old's key has ended, lost's
// is revoked, carol and dave seal, and erin belongs to another source.
func team(t testing.TB) *trust.CommitVerifier {
	t.Helper()
	old := signer("old", "alice@example.com")
	old.ValidUntil = now.Add(-time.Hour)
	lost := person("lost").PublicKey().(ssh.CryptoPublicKey).CryptoPublicKey()
	id, err := trust.KeyID(lost)
	if err != nil {
		t.Fatal(err)
	}
	v, err := trust.CompileCommits([]trust.CommitSigner{
		signer("alice", "alice@example.com"), signer("alice-laptop", "alice@example.com"), signer("bob", "bob@example.com"),
		signer("carol", "carol@example.com"), signer("dave", "dave@example.com"), signer("erin", "erin@example.com"),
		signer("lost", "bob@example.com"), old,
	}, []trust.Revoked{{KeyID: id, Since: now.Add(-time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// rules is what the tests ask for: any of the team, bob alone for infra, two for policies.
func rules(first repo.Commit) history.Trust {
	return history.Trust{
		First: first, Signers: []string{"alice", "alice-laptop", "bob", "lost", "old"},
		Paths: []history.PathRule{
			{Pattern: "infra/**", Signers: []string{"bob"}},
			{Pattern: "policies/**", Signers: []string{"alice", "alice-laptop", "bob"}, Threshold: 2},
		},
		Sealers: []string{"carol", "dave"},
	}
}

// operator signs rollback records.
func operator(t testing.TB) (trusttest.Key, *trust.Root) {
	t.Helper()
	key := trusttest.FixedKey(t, "operator")
	return key, trusttest.Root(t, trust.Options{}, key.Entry("operator"))
}

func compile(t testing.TB, rules history.Trust) *history.Verifier {
	t.Helper()
	_, root := operator(t)
	v, err := history.Compile("captioner", rules, team(t), root)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// expect holds an answer to a code.
func expect(t *testing.T, got *history.Accepted, err error, code verdict.Code, detail string) {
	t.Helper()
	if code == verdict.OK {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	var refusal *history.Refusal
	if !errors.As(err, &refusal) || got != nil {
		t.Fatalf("got %+v, %v, want %s", got, err, code)
	}
	if refusal.Code != code || !strings.Contains(refusal.Why, detail) || refusal.Mend() == "" || refusal.Commit == "" {
		t.Fatalf("got %s: %v, want %s %q", refusal.Code, err, code, detail)
	}
}
