package repo

import (
	"bytes"
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
