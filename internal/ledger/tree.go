package ledger

import (
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// leafHash and the functions below are the tree hash of RFC 6962 §2.1. A
// segment's leaves are the 32-byte commitments of its records; the log's leaves
// are the encoded seals of its segments.
func leafHash(commitment [hashSize]byte) tlog.Hash { return tlog.RecordHash(commitment[:]) }

// treeRoot returns the tree hash over leaf hashes.
func treeRoot(leaves []tlog.Hash) tlog.Hash {
	switch len(leaves) {
	case 0:
		return emptyRoot
	case 1:
		return leaves[0]
	}
	k := splitPoint(len(leaves))
	return tlog.NodeHash(treeRoot(leaves[:k]), treeRoot(leaves[k:]))
}

// emptyRoot is SHA-256 of nothing (RFC 6962 §2.1).
var emptyRoot = tlog.Hash{
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
	0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
}

// treePath returns the audit path of leaf i (RFC 6962 §2.1.1), leaf side first.
// It wants 0 <= i < len(leaves).
func treePath(leaves []tlog.Hash, i int) tlog.RecordProof {
	if len(leaves) == 1 {
		return nil
	}
	k := splitPoint(len(leaves))
	if i < k {
		return append(treePath(leaves[:k], i), treeRoot(leaves[k:]))
	}
	return append(treePath(leaves[k:], i-k), treeRoot(leaves[:k]))
}

// splitPoint returns the largest power of two below n, which is at least 2.
func splitPoint(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }
