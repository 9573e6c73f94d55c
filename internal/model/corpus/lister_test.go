package corpus

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// listOpcodes reads whole pickle streams to the end of b and returns how many
// opcodes and streams it read. It shares nothing with the assembler but the
// documentation of pickletools.
func listOpcodes(b []byte) (opcodes, streams int, err error) {
	for len(b) > 0 {
		n, rest, err := listStream(b)
		if err != nil {
			return opcodes, streams, fmt.Errorf("stream %d: opcode %d: %w", streams, n, err)
		}
		opcodes, streams, b = opcodes+n, streams+1, rest
	}
	return opcodes, streams, nil
}

func listStream(b []byte) (opcodes int, rest []byte, err error) {
	for {
		if len(b) == 0 {
			return opcodes, nil, fmt.Errorf("no STOP")
		}
		op := b[0]
		b = b[1:]
		opcodes++
		lines, fixed, prefix := 0, 0, 0
		switch op {
		case '.':
			return opcodes, b, nil
		case '(', '0', '1', '2', 'N', 'Q', 'R', 'a', 'b', 'd', '}', 'e', 'l', ']', 'o', 's', 't', ')', 'u',
			0x81, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x97, 0x98:
		case 'F', 'I', 'L', 'P', 'S', 'V', 'g', 'p':
			lines = 1
		case 'c', 'i':
			lines = 2
		case 'K', 'h', 'q', 0x80, 0x82:
			fixed = 1
		case 'M', 0x83:
			fixed = 2
		case 'J', 'j', 'r', 0x84:
			fixed = 4
		case 'G', 0x95:
			fixed = 8
		case 'U', 'C', 0x8a, 0x8c:
			prefix = 1
		case 'T', 'B', 'X', 0x8b:
			prefix = 4
		case 0x8d, 0x8e, 0x96:
			prefix = 8
		default:
			return opcodes, nil, fmt.Errorf("no opcode %#x", op)
		}
		for range lines {
			i := bytes.IndexByte(b, '\n')
			if i < 0 {
				return opcodes, nil, fmt.Errorf("%q lacks its line", op)
			}
			b = b[i+1:]
		}
		if len(b) < fixed+prefix {
			return opcodes, nil, fmt.Errorf("%q is cut off", op)
		}
		b = b[fixed:]
		if prefix > 0 {
			var wide [8]byte
			copy(wide[:], b[:prefix])
			n := binary.LittleEndian.Uint64(wide[:])
			b = b[prefix:]
			if n > uint64(len(b)) {
				return opcodes, nil, fmt.Errorf("%q wants %d bytes of %d", op, n, len(b))
			}
			b = b[n:]
		}
	}
}
