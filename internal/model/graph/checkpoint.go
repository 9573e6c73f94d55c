package graph

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/model/scan"
)

// The footer of a table (leveldb, doc/table_format.md): handles of the meta
// index and of the index, padding, a magic number.
const (
	footerSize  = 48
	footerMagic = 0xdb4775248b80fb57
	blockTrail  = 5 // compression and checksum behind each block
)

var ruleCheckpointBroken = &scan.Rule{ID: "tensorflow.checkpoint.broken", Severity: scan.Unreadable,
	Why: "The index names blocks that the file does not have.", Mend: "Have the checkpoint saved again."}

// Checkpoint is the index of a TensorFlow checkpoint: names, types and places
// of tensors, in which nothing runs.
func Checkpoint() scan.Format {
	return scan.Format{Name: "tensorflow-checkpoint", Claim: claimCheckpoint, Scan: scanCheckpoint, Rules: []*scan.Rule{ruleCheckpointBroken}}
}

func claimCheckpoint(file *scan.File) bool {
	tail, err := file.Tail()
	return err == nil && len(tail) >= footerSize && binary.LittleEndian.Uint64(tail[len(tail)-8:]) == footerMagic
}

func scanCheckpoint(p *scan.Place, file *scan.File) error {
	tail, err := file.Tail()
	if err != nil {
		return err
	}
	footer := tail[len(tail)-footerSize : len(tail)-8]
	for range 2 { // meta index, index
		var handle [2]uint64 // offset, size
		for i := range handle {
			v, n := protowire.ConsumeVarint(footer)
			if n < 0 {
				p.Report(ruleCheckpointBroken, scan.At(file.Size()-footerSize), "the footer holds no place of an index")
				return nil
			}
			handle[i], footer = v, footer[n:]
		}
		room := uint64(file.Size() - footerSize)
		if handle[0] > room || handle[1] > room-handle[0] || room-handle[0]-handle[1] < blockTrail {
			p.Report(ruleCheckpointBroken, scan.At(file.Size()-footerSize), "the index is not inside of the file")
			return nil
		}
	}
	return nil
}

// Fingerprint is the fingerprint.pb of a SavedModel: numbers that identify it
// (tensorflow/core/protobuf/fingerprint.proto).
func Fingerprint() scan.Format {
	return scan.Format{Name: "tensorflow-fingerprint", Claim: claimFingerprint, Scan: func(*scan.Place, *scan.File) error { return nil }}
}

// claimFingerprint takes a short message of nothing but the fields of
// FingerprintDef, with at least three hashes, which are long.
func claimFingerprint(file *scan.File) bool {
	const longest, longHash = 256, 1 << 32
	head, err := file.Head()
	if err != nil || file.Size() > longest {
		return false
	}
	hashes := 0
	for len(head) > 0 {
		num, typ, n := protowire.ConsumeTag(head)
		if n < 0 {
			return false
		}
		head = head[n:]
		switch {
		case typ == protowire.VarintType && num <= 5:
			var v uint64
			if v, n = protowire.ConsumeVarint(head); v > longHash {
				hashes++
			}
		case typ == protowire.BytesType && (num == 6 || num == 7): // version, uuid
			_, n = protowire.ConsumeBytes(head)
		default:
			return false
		}
		if n < 0 {
			return false
		}
		head = head[n:]
	}
	return hashes >= 3
}
