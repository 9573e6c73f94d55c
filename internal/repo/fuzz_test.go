package repo

import (
	"bytes"
	"context"
	"crypto/sha1"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// A directory that is accepted is written back byte for byte, and holds no
// name that a file system could take for another.
func FuzzParseTree(f *testing.F) {
	h := plumbing.NewHash("8baef1b4abc478178b004d62031cf7fe6db6f903")
	f.Add([]byte(line("100644", "a", h) + line("40000", "b", h)))
	f.Add([]byte(line("100755", "a.", h) + line("40000", "a", h) + line("120000", "a0", h)))
	f.Add([]byte(line("160000", "sub", h) + line("100664", "~git", h)))
	f.Add([]byte(line("040000", "..", h)))
	f.Add([]byte(line("100644", ".g\u200cit", h)))
	f.Add([]byte("100644 a\x00short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseTree(data)
		if err != nil {
			return
		}
		if out := encodeTree(slices.Clone(entries)); !bytes.Equal(out, data) {
			t.Errorf("%q comes back as %q", data, out)
		}
		for _, e := range entries {
			if strings.ContainsAny(e.name, "/\\:\x00") || strings.EqualFold(e.name, ".git") || e.name == ".." {
				t.Errorf("accepted the name %q", e.name)
			}
		}
	})
}

func FuzzParseLoose(f *testing.F) {
	f.Add([]byte("blob 3\x00abc"))
	f.Add([]byte("blob 03\x00abc"))
	f.Add([]byte("tree 3\x00abc"))
	f.Add([]byte("blob -1\x00"))
	f.Add([]byte("blob 3 \x00abc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		content, err := parseLoose(bytes.NewReader(data), plumbing.BlobObject, 16)
		if err == nil && (len(content) > 16 || !bytes.HasSuffix(data, content) || !bytes.HasPrefix(data, []byte("blob "))) {
			t.Errorf("%q gives %q", data, content)
		}
	})
}

func FuzzCutBack(f *testing.F) {
	for _, seed := range []string{"HEAD", "HEAD~1", "a^~^", "~", "x~10000", "x^2", "x~~9999~2", "x~0x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, rev string) {
		name, back, err := cutBack(rev)
		if err == nil && (back < 0 || back > maxBack || strings.ContainsAny(name, "~^") || !strings.HasPrefix(rev, name)) {
			t.Errorf("%q gives %q and %d", rev, name, back)
		}
	})
}

// FuzzReceive holds what leaves quarantine to what it promises: each object has
// the hash that it is found by, and all that it names is here.
func FuzzReceive(f *testing.F) {
	file, tree, commit := story("content")
	f.Add(packOf(file.entry, tree.entry, commit.entry))
	f.Add(packOf(refDelta(file.hash, insertion(7, "x")), file.entry, tree.entry, commit.entry))
	f.Add(packOf(file.entry, ofsDelta(len(file.entry), insertion(7, "x"))))
	f.Add(packOf(commit.entry))
	f.Add(packOf(ofsDelta(100, insertion(7, "x"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 20 { // what a fuzzer cannot make: the checksum
			sum := sha1.Sum(data[:len(data)-20])
			copy(data[len(data)-20:], sum[:])
		}
		dir := t.TempDir()
		for _, sub := range []string{quarantine, packDir} {
			if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		dot, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer dot.Close()
		limits := Limits{Unpacked: 4 << 20, Object: 1 << 20, Objects: 1000}.orDefaults()
		nothing := func(plumbing.Hash) (bool, error) { return false, nil }
		name, err := receive(t.Context(), dot, bytes.NewReader(data), limits, nothing)
		if err != nil || name == "" {
			return
		}
		packs, err := openPacks(dot)
		if err != nil || len(packs) != 1 {
			t.Fatal(packs, err)
		}
		defer closeAll(packs)
		list, err := packs[0].list()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			kind, data, err := packs[0].read(o.offset, maxBase)
			if err != nil {
				t.Fatal(err)
			}
			if plumbing.ComputeHash(kind, data) != o.hash {
				t.Fatalf("%s is not what it is named", o.hash)
			}
			if err := eachLink(kind, data, func(l linked) {
				if _, ok, err := packs[0].offset(l.hash); !ok || err != nil {
					t.Fatalf("%s needs %s, which is not here", o.hash, l.hash)
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzServer reads what a server says: its greeting and then its answer.
func FuzzServer(f *testing.F) {
	tip := strings.Repeat("1", 40)
	f.Add(greeting(), []byte("0000"))
	f.Add(greeting(), append(pktLine(nil, "%s refs/heads/main peeled:%s\n", tip, tip), flushPkt...))
	f.Add(greeting(), append(pktLine(pktLine(nil, "packfile\n"), "\x01PACK"), flushPkt...))
	f.Add(append(pktLine(nil, "%s refs/heads/main\x00side-band-64k ofs-delta\n", tip), flushPkt...), append(pktLine(pktLine(nil, "NAK\n"), "\x01PACK"), flushPkt...))
	f.Add([]byte("0008ERR "), []byte("0004"))
	f.Fuzz(func(t *testing.T, first, answer []byte) {
		remote := &Remote{limits: Limits{Bytes: 1 << 20}.orDefaults()}
		for _, ask := range []func(*session) error{
			func(s *session) error {
				tip, err := s.lsRefs(t.Context(), "refs/heads/main")
				if err == nil && (len(tip.Object) != 40 || len(tip.Commit) != 40) {
					t.Fatalf("%+v", tip)
				}
				return err
			},
			func(s *session) error {
				pack, err := s.fetch(t.Context(), plumbing.NewHash(tip), nil)
				if err == nil {
					n, _ := io.Copy(io.Discard, pack)
					if n > int64(len(answer)) {
						t.Fatalf("%d bytes out of %d", n, len(answer))
					}
				}
				return err
			},
		} {
			s := &session{remote: remote, wire: said2{first, answer}, left: remote.limits.Bytes}
			if s.greet(t.Context()) == nil {
				_ = ask(s)
			}
		}
	})
}

// said2 is a server that says two things.
type said2 struct{ first, then []byte }

func (s said2) advertisement(context.Context) (io.Reader, error) {
	return bytes.NewReader(s.first), nil
}
func (s said2) request(context.Context, []byte) (io.Reader, error) {
	return bytes.NewReader(s.then), nil
}
func (s said2) close(bool) error { return nil }
