package pickle

import (
	"encoding/binary"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Marshalled code (CPython's Python/marshal.c): the type, with a flag for what
// is referred to again, then the counts of a code object.
const (
	codeType     = 'c'
	codeFlagged  = 'c' | 0x80
	mostInCounts = 1 << 10 // arguments, and much more than the stack of honest code
)

// claimCode takes compiled modules (.pyc: a version, "\r\n", eight to twelve
// more bytes, then code) and bare code objects.
func claimCode(f *scan.File) bool {
	head, err := f.Head()
	return err == nil && (compiled(head) || codeObject(head))
}

func compiled(head []byte) bool {
	if len(head) < 20 || head[2] != '\r' || head[3] != '\n' {
		return false
	}
	for _, at := range []int{16, 12, 8} { // Python 3.7, 3.3 and older
		if head[at] == codeFlagged || head[at] == codeType {
			return true
		}
	}
	return false
}

// codeObject says whether bytes begin with a code object: small counts of
// arguments, locals and stack, flags, then the bytes of the code.
func codeObject(head []byte) bool {
	if len(head) < 26 || head[0] != codeType && head[0] != codeFlagged {
		return false
	}
	for counts := 4; counts <= 6; counts++ { // by version: with and without locals, keyword-only and positional-only arguments
		at := 1 + 4*counts
		if len(head) < at+5 {
			return false
		}
		small := true
		for i := range counts - 1 {
			small = small && binary.LittleEndian.Uint32(head[1+4*i:]) < mostInCounts
		}
		length := binary.LittleEndian.Uint32(head[at+1:])
		if flags := binary.LittleEndian.Uint32(head[at-4:]); small && flags < 1<<26 && head[at]&0x7f == 's' && length > 0 && length < 1<<24 {
			return true
		}
	}
	return false
}

func scanCode(p *scan.Place, f *scan.File) error {
	head, err := f.Head()
	if err != nil {
		return err
	}
	if compiled(head) {
		p.Report(ruleBytecode, scan.At(0), "")
		return nil
	}
	p.Report(ruleMarshal, scan.At(0), "")
	return nil
}
