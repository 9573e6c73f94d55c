package repo

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// packOf is a whole pack of the entries.
func packOf(entries ...[]byte) []byte {
	out := binary.BigEndian.AppendUint32([]byte(packMagic), uint32(len(entries)))
	out = append(out, bytes.Join(entries, nil)...)
	sum := sha1.Sum(out)
	return append(out, sum[:]...)
}

// made is an object with its entry of a pack.
type made struct {
	hash  plumbing.Hash
	entry []byte
}

func make1(kind plumbing.ObjectType, content string) made {
	return made{plumbing.ComputeHash(kind, []byte(content)), packEntry(kind, len(content), nil, []byte(content))}
}

// story is a commit of one file: three objects.
func story(content string) (file, tree, commit made) {
	file = make1(plumbing.BlobObject, content)
	tree = make1(plumbing.TreeObject, line("100644", "a", file.hash))
	commit = make1(plumbing.CommitObject, "tree "+tree.hash.String()+"\nauthor A <a@example.com> 1772366400 +0000\ncommitter A <a@example.com> 1772366400 +0000\n\nm\n")
	return file, tree, commit
}

func refDelta(base plumbing.Hash, delta []byte) []byte {
	return packEntry(plumbing.REFDeltaObject, len(delta), base[:], delta)
}

// ofsDelta is a difference to what is back bytes before it, below 128.
func ofsDelta(back int, delta []byte) []byte {
	return packEntry(plumbing.OFSDeltaObject, len(delta), []byte{byte(back)}, delta)
}

// insertion is a difference that makes text, of up to 127 bytes, of a base of
// some size below 128.
func insertion(base int, text string) []byte {
	return append([]byte{byte(base), byte(len(text)), byte(len(text))}, text...)
}

func TestHostilePacks(t *testing.T) {
	file, tree, commit := story("content")
	other, _, _ := story("another content")
	whole := func(more ...[]byte) [][]byte { return append([][]byte{file.entry, tree.entry, commit.entry}, more...) }
	var deep [][]byte // differences to each other, one byte apart
	for base, i := "content", 0; i <= maxChain; i++ {
		text := fmt.Sprint(i)
		deep = append(deep, refDelta(plumbing.ComputeHash(plumbing.BlobObject, []byte(base)), insertion(len(base), text)))
		base = text
	}
	var bomb []byte // makes 8 MiB out of 64 KiB
	large := make1(plumbing.BlobObject, strings.Repeat("\x00", 1<<16))
	bomb = binary.AppendUvarint(bomb, 1<<16)
	bomb = binary.AppendUvarint(bomb, 128<<16)
	bomb = append(bomb, bytes.Repeat([]byte{0x80}, 128)...) // copies 64 KiB from 0
	var bombs [][]byte
	for i := range 20 { // which differ in a last byte
		b := binary.AppendUvarint(nil, 1<<16)
		b = binary.AppendUvarint(b, 128<<16+1)
		bombs = append(bombs, refDelta(large.hash, append(append(b, bomb[len(bomb)-128:]...), 1, byte(i))))
	}
	huge := append(binary.AppendUvarint(binary.AppendUvarint(nil, 7), 1<<40), 0x80)
	ones := plumbing.NewHash(strings.Repeat("1", 40))
	twice := func(a, b byte) []byte {
		return refDelta(plumbing.NewHash(strings.Repeat(string(b), 40)), []byte{a, 1, 0x90, 1})
	}
	inflating := packEntry(plumbing.BlobObject, 5, nil, make([]byte, 1<<20))
	claiming := append(entryHeader(plumbing.BlobObject, 1<<30), packEntry(plumbing.BlobObject, 0, nil, make([]byte, 1<<20))[1:]...)

	tests := []struct {
		name string
		pack []byte
		is   error
		says string
	}{
		{"an honest pack", packOf(whole()...), nil, ""},
		{"an honest difference to what comes later", packOf(refDelta(file.hash, insertion(7, "x")), file.entry, tree.entry, commit.entry), nil, ""},
		{"an honest difference to what came before", packOf(file.entry, ofsDelta(len(file.entry), insertion(7, "x")), tree.entry, commit.entry), nil, ""},
		{"an object that is its own base", packOf(whole(refDelta(ones, []byte{1, 1, 0x90, 1}))...), ErrIncomplete, "differences"},
		{"two objects that are each other's base", packOf(whole(twice(1, '2'), twice(1, '3'))...), ErrIncomplete, "differences"},
		{"a base that is not there: a thin pack", packOf(whole(refDelta(other.hash, insertion(15, "x")))...), ErrIncomplete, other.hash.String()},
		{"a base before the pack", packOf(ofsDelta(100, insertion(7, "x"))), ErrCorrupt, "before it"},
		{"a base in the middle of another object", packOf(file.entry, ofsDelta(3, insertion(7, "x"))), ErrCorrupt, "before it"},
		{"a base that is itself", packOf(file.entry, ofsDelta(0, insertion(7, "x"))), ErrCorrupt, "before it"},
		{"differences to each other, too many", packOf(whole(deep...)...), ErrTooLarge, "differences"},
		{"as many differences as there may be", packOf(whole(deep[:maxChain-1]...)...), nil, ""},
		{"a difference that claims a terabyte", packOf(whole(refDelta(file.hash, huge))...), ErrTooLarge, "would have"},
		{"a difference to a base of another size", packOf(whole(refDelta(file.hash, insertion(8, "x")))...), ErrCorrupt, "base of"},
		{"a difference that reaches beyond its base", packOf(whole(refDelta(file.hash, []byte{7, 9, 0x90, 9}))...), ErrCorrupt, "does not fit"},
		{"differences that unpack to 160 MiB", packOf(whole(append([][]byte{large.entry}, bombs...)...)...), ErrTooLarge, "unpacks"},
		{"an object that inflates to more than it states", packOf(whole(inflating)...), ErrCorrupt, "states"},
		{"a file of 1 GiB", packOf(whole(claiming)...), ErrTooLarge, "1073741824"},
		{"an object of 2^50 bytes", packOf(whole(entryHeader(plumbing.BlobObject, 1<<50))...), ErrTooLarge, ""},
		{"an object whose size does not end", packOf(whole(bytes.Repeat([]byte{0xbf}, 20))...), ErrCorrupt, "not a number"},
		{"a commit of 2 MiB", packOf(whole(make1(plumbing.CommitObject, strings.Repeat("x", 2<<20)).entry)...), ErrTooLarge, ""},
		{"something after the pack", append(packOf(whole()...), 'x'), ErrCorrupt, "follows"},
		{"another checksum", append(packOf(whole()...)[:len(packOf(whole()...))-1], 'x'), ErrCorrupt, "checksum"},
		{"a pack that ends early", packOf(whole()...)[:60], ErrCorrupt, "EOF"},
		{"a pack that ends before its checksum", packOf(whole()...)[:len(packOf(whole()...))-20], ErrCorrupt, "early"},
		{"a pack of 4 billion objects", []byte(packMagic + "\xff\xff\xff\xff"), ErrTooLarge, "4294967295 objects"},
		{"a pack that holds fewer than it states", func() []byte { p := packOf(whole()...); p[11] = 9; return p }(), ErrCorrupt, ""},
		{"one object twice", packOf(whole(file.entry)...), ErrCorrupt, "twice"},
		{"an object of an unknown type", packOf(whole([]byte{0x50, 0})...), ErrCorrupt, "unknown type 5"},
		{"an object that is not compressed", packOf(whole([]byte("\x35plain"))...), ErrCorrupt, "zlib"},
		{"not a pack", []byte("<html>hello, this is not a pack</html>"), ErrCorrupt, "not a pack"},
		{"a pack of version 3", []byte("PACK\x00\x00\x00\x03\x00\x00\x00\x00"), ErrCorrupt, "version 2"},
		{"nothing", packOf(), ErrIncomplete, "other objects"},
		{"other objects than what was asked for", packOf(other.entry), ErrIncomplete, "other objects"},
		{"the commit only", packOf(commit.entry), ErrIncomplete, tree.hash.String()},
		{"all but the file", packOf(commit.entry, tree.entry), ErrIncomplete, file.hash.String()},
		{"more than was asked for", packOf(whole(other.entry)...), nil, ""},
		{"more than was asked for, and not whole", packOf(whole(make1(plumbing.TreeObject, line("100644", "a", ones)).entry)...), ErrIncomplete, "111"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			refusesAll(t, evil{pack: tt.pack, head: commit.hash.String()}.serve(t), tt.is, tt.says)
		})
	}
}
