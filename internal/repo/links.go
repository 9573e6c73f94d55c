package repo

import (
	"bytes"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// linked is an object that another one names.
type linked struct {
	kind plumbing.ObjectType // AnyObject where the one that names it does not say
	hash plumbing.Hash
}

// eachLink calls each for every object that has to be there for this one to be
// whole. Blobs name none; submodules are in other repositories and do not count.
// It reads no more of an object than its links: histories hold trees that
// [parseTree] refuses, and only those that are looked at have to be safe.
func eachLink(kind plumbing.ObjectType, data []byte, each func(linked)) error {
	switch kind {
	case plumbing.CommitObject:
		return commitLinks(data, each)
	case plumbing.TreeObject:
		return treeLinks(data, each)
	case plumbing.TagObject:
		h, _, ok := headerHash(data, "object ")
		if !ok {
			return fmt.Errorf("%w: a tag names nothing", ErrCorrupt)
		}
		each(linked{plumbing.AnyObject, h})
	}
	return nil
}

// headerHash takes "<key><40 hex digits>\n" off the beginning of data.
func headerHash(data []byte, key string) (h plumbing.Hash, rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(data, []byte(key))
	if !ok || len(rest) < 41 || rest[40] != '\n' {
		return h, data, false
	}
	h, err := parseHash(string(rest[:40]))
	return h, rest[41:], err == nil
}

func commitLinks(data []byte, each func(linked)) error {
	tree, rest, ok := headerHash(data, "tree ")
	if !ok {
		return fmt.Errorf("%w: a commit names no tree", ErrCorrupt)
	}
	each(linked{plumbing.TreeObject, tree})
	for {
		var parent plumbing.Hash
		if parent, rest, ok = headerHash(rest, "parent "); !ok {
			if bytes.HasPrefix(rest, []byte("parent ")) {
				return fmt.Errorf("%w: a commit names a parent that is no hash", ErrCorrupt)
			}
			return nil
		}
		each(linked{plumbing.CommitObject, parent})
	}
}

func treeLinks(data []byte, each func(linked)) error {
	for len(data) > 0 {
		octal, rest, spaced := bytes.Cut(data, []byte{' '})
		_, rest, ended := bytes.Cut(rest, []byte{0})
		if !spaced || !ended || len(rest) < len(plumbing.ZeroHash) {
			return fmt.Errorf("%w: a directory ends in the middle of an entry", ErrCorrupt)
		}
		var m mode
		for _, c := range octal {
			if c < '0' || c > '7' || m >= 1<<21 {
				return fmt.Errorf("%w: %.10q is not a mode of Git", ErrCorrupt, octal)
			}
			m = m<<3 | mode(c-'0')
		}
		var h plumbing.Hash
		data = rest[copy(h[:], rest):]
		const kindOf = 0o170000
		switch m & kindOf {
		case modeSubmodule:
		case modeDir:
			each(linked{plumbing.TreeObject, h})
		default:
			each(linked{plumbing.BlobObject, h})
		}
	}
	return nil
}

// objectLimit is how large an object of a kind may be; blobs up to blob.
func objectLimit(kind plumbing.ObjectType, blob int64) int64 {
	switch kind {
	case plumbing.TreeObject:
		return maxTree
	case plumbing.BlobObject:
		return blob
	}
	return maxCommit
}
