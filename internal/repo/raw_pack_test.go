package repo

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// packedHistory is a repository of one pack in which directories are made of
// each other.
func packedHistory(t *testing.T) (dir string, commits, trees []string) {
	t.Helper()
	dir = byGit(t)
	for i := range 30 {
		writeFile(t, dir, fmt.Sprintf("d/f%02d", i), strings.Repeat("x", 40)+fmt.Sprint(i))
		gitCmd(t, dir, "add", ".")
		gitCmd(t, dir, "commit", "-q", "-m", fmt.Sprint("Commit ", i))
	}
	gitCmd(t, dir, "repack", "-a", "-d", "-f", "-q", "--depth=50")
	commits = strings.Fields(gitCmd(t, dir, "rev-list", "HEAD"))
	for _, c := range commits {
		trees = append(trees, gitCmd(t, dir, "rev-parse", c+":d"))
	}
	return dir, commits, trees
}

func TestObjectsOfAPackAreTheSameHoweverTheyAreRead(t *testing.T) {
	dir, commits, trees := packedHistory(t)
	r := openRepo(t, dir)
	c := new(chains)
	read := func(kind plumbing.ObjectType, names []string) {
		t.Helper()
		for _, name := range names {
			h := plumbing.NewHash(name)
			want, err := r.object(kind, h, maxTree)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time it is known
				got, err := r.unforged(kind, h, maxTree, c)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s %s: %v", kind, name, err)
				}
			}
			if _, err := r.unforged(kind, h, int64(len(want))-1, c); !errors.Is(err, ErrTooLarge) {
				t.Fatalf("%s %s: one byte too large: %v", kind, name, err)
			}
		}
	}
	read(plumbing.TreeObject, trees)
	read(plumbing.CommitObject, commits)
	if _, err := r.unforged(plumbing.TreeObject, plumbing.NewHash(commits[0]), maxTree, c); err == nil {
		t.Fatal("a commit was read as a directory")
	}
	if len(c.made) < len(trees) || c.bytes > maxChainCache {
		t.Fatalf("%d objects, %d bytes are kept", len(c.made), c.bytes)
	}
	for len(c.made) > 1 { // until it begins anew
		c.keep(place{r.packs[0], int64(c.bytes)}, make([]byte, 1<<20))
	}
	read(plumbing.TreeObject, trees[:3])
}

// What git fsck would find in a pack is found here too, on the way of a Graph.
func TestAHostilePackIsRefusedByAGraph(t *testing.T) {
	dir, commits, _ := packedHistory(t)
	r := openRepo(t, dir)
	h := plumbing.NewHash(commits[0])
	if _, err := r.unforged(plumbing.CommitObject, h, maxCommit, new(chains)); err != nil {
		t.Fatal(err)
	}
	p := r.packs[0]
	at, ok, err := p.offset(h)
	if err != nil || !ok {
		t.Fatal(err)
	}
	good := p.data
	for name, change := range map[string]func([]byte){
		"a body that is no zlib":       func(b []byte) { b[at+2], b[at+3] = 0, 0 },
		"a size that is not the body":  func(b []byte) { b[at] ^= 1 },
		"a kind that is not the one":   func(b []byte) { b[at] = b[at]&^0x70 | byte(plumbing.TreeObject)<<4 },
		"a kind that there is not":     func(b []byte) { b[at] &^= 0x70 },
		"a difference to itself":       func(b []byte) { b[at] = b[at]&^0x70 | byte(plumbing.OFSDeltaObject)<<4; b[at+2] = 0 },
		"a difference to the outside":  func(b []byte) { b[at] = b[at]&^0x70 | byte(plumbing.OFSDeltaObject)<<4; b[at+2], b[at+3] = 0xff, 0x7f },
		"a body with one bit changed":  func(b []byte) { b[at+8] ^= 4 },
		"a size of half an exabyte":    func(b []byte) { copy(b[at:], []byte{0x9f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}) },
		"a size that does not end":     func(b []byte) { copy(b[at:], bytes.Repeat([]byte{0xff}, 20)) },
		"a pack that ends in the body": func(b []byte) { clear(b[at+4:]) },
	} {
		data := make([]byte, p.size)
		if _, err := good.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		change(data)
		p.data = bytes.NewReader(data)
		if _, err := r.unforged(plumbing.CommitObject, h, maxCommit, new(chains)); err == nil {
			t.Errorf("%s was accepted", name)
		} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.data = good
}
