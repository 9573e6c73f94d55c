package pickle

import (
	"encoding/binary"
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

// The legacy file of torch.save (torch/serialization.py, _legacy_load): the
// pickles of a magic number, a protocol version, what the system was like, the
// object and the keys of its storages; then each storage, as the number of its
// elements in eight bytes and the elements.
const (
	legacyMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19" // 0x1950a86a20f9469cfc6c
	legacyText  = "119547037146038801333356L"                // as protocols 0 and 1 write it
)

// isMagic says whether a value is the number that begins a legacy file.
func (m *machine) isMagic(v value) bool {
	return v.kind == isNumber && v.n > 0 && m.is(value{kind: isBytes, n: v.n, off: v.off}, legacyMagic, legacyText)
}

// legacy reads a legacy file on from behind the magic number.
func legacy(p *scan.Place, m *machine) error {
	var (
		found    []tensor
		storages map[string]storage
		keys     []string
	)
	parts := [...]string{"the protocol version", "the system", "the object", "the keys of the storages"}
	for i, part := range parts {
		m.restart()
		if part == "the object" {
			m.storages = map[string]storage{}
		}
		end := m.run()
		m.flush()
		if end.err != nil {
			return end.err
		}
		if !end.stopped {
			p.Report(ruleBroken, scan.Op(m.opAt, opNames[m.op]), "in "+part+": "+end.why)
			return nil
		}
		m.in.seek(end.at)
		switch i {
		case 2:
			found, storages = m.tensors(end.value), m.storages
		case 3:
			for _, key := range m.of(end.value) { // a list: all that it holds
				keys = append(keys, m.short(key))
			}
		}
	}
	at, f := m.in.at(), m.in.file
	where := make(map[string]int64, len(keys))
	for _, key := range keys {
		from, known := storages[key]
		if !known {
			p.Report(ruleStorage, scan.At(at), fmt.Sprintf("no tensor uses the storage %q", key))
			return nil
		}
		if err := p.Spend(scan.CostMember); err != nil {
			return err
		}
		n, size := uint64(from.count), max(storageTypes[from.class].size, 1)
		if !f.IsDear() { // else each count would be a request
			count, err := f.Read(at, 8)
			if err != nil {
				p.Report(ruleStorage, scan.At(at), fmt.Sprintf("the storage %q is missing", key))
				return nil
			}
			n = binary.LittleEndian.Uint64(count)
		}
		if left := uint64(max(f.Size()-at-8, 0)); n > left/uint64(size) {
			p.Report(ruleStorage, scan.At(at), fmt.Sprintf("the storage %q has %d elements, of which %d are there", key, n, left/uint64(size)))
			return nil
		}
		where[key] = at + 8
		at += 8 + int64(n)*size
	}
	for _, t := range found {
		if start, known := where[t.storage]; known {
			p.Tensor(scan.Tensor{Name: t.name, DType: t.dtype, Shape: t.shape, Offset: start + t.offset*t.size, Size: t.bytes()})
		}
	}
	if at == f.Size() {
		return nil
	}
	if filler, err := uniform(p, f, at); err != nil || filler {
		if filler {
			p.Report(rulePadding, scan.At(at), fmt.Sprintf("%d bytes", f.Size()-at))
		}
		return err
	}
	return residue(p, f, at)
}
