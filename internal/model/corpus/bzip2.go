package corpus

import (
	"bytes"
	"math/bits"
	"sort"
)

// bzipped writes bzip2, which the standard library only reads: one block per
// 100,000 bytes, code lengths as equal as a whole tree allows.
func bzipped(s string) string {
	w := &bitWriter{}
	w.write('B'<<24|'Z'<<16|'h'<<8|'1', 32)
	combined := uint32(0)
	for len(s) > 0 {
		n := min(len(s), 60_000) // stays below the block size after the first run-length pass
		crc := bzipCRC(s[:n])
		combined = combined<<1 | combined>>31 ^ crc
		w.block(s[:n], crc)
		s = s[n:]
	}
	w.write(0x177245, 24)
	w.write(0x385090, 24)
	w.write(uint64(combined), 32)
	return w.bytes()
}

type bitWriter struct {
	out  bytes.Buffer
	held uint64
	n    uint
}

func (w *bitWriter) write(v uint64, n uint) {
	w.held, w.n = w.held<<n|v&(1<<n-1), w.n+n
	for w.n >= 8 {
		w.n -= 8
		w.out.WriteByte(byte(w.held >> w.n))
	}
}

func (w *bitWriter) bytes() string {
	if w.n > 0 {
		w.write(0, 8-w.n)
	}
	return w.out.String()
}

// bzipCRC is CRC-32 with the most significant bit first.
func bzipCRC(s string) uint32 {
	crc := ^uint32(0)
	for i := range len(s) {
		crc ^= uint32(s[i]) << 24
		for range 8 {
			crc = crc<<1 ^ 0x04c11db7&uint32(-int32(crc>>31))
		}
	}
	return ^crc
}

func (w *bitWriter) block(s string, crc uint32) {
	var runs []byte // the first run-length pass: four equal bytes, then how many more
	for i := 0; i < len(s); {
		n := 1
		for i+n < len(s) && s[i+n] == s[i] && n < 255 {
			n++
		}
		for range min(n, 4) {
			runs = append(runs, s[i])
		}
		if n >= 4 {
			runs = append(runs, byte(n-4))
		}
		i += n
	}
	n := len(runs)
	rotations := make([]int, n)
	for i := range rotations {
		rotations[i] = i
	}
	twice := append(append([]byte(nil), runs...), runs...)
	sort.SliceStable(rotations, func(a, b int) bool {
		return bytes.Compare(twice[rotations[a]:rotations[a]+n], twice[rotations[b]:rotations[b]+n]) < 0
	})
	origin := 0
	last := make([]byte, n)
	var used [256]bool
	for i, r := range rotations {
		if r == 0 {
			origin = i
		}
		last[i] = runs[(r+n-1)%n]
		used[last[i]] = true
	}
	var order []byte
	for c := range 256 {
		if used[c] {
			order = append(order, byte(c))
		}
	}
	symbols := len(order) + 2
	var coded []int
	zeros := 0
	flush := func() {
		for z := zeros + 1; z > 1; z >>= 1 {
			coded = append(coded, z&1)
		}
		zeros = 0
	}
	for _, c := range last {
		at := bytes.IndexByte(order, c)
		if at == 0 {
			zeros++
			continue
		}
		flush()
		coded = append(coded, at+1)
		copy(order[1:at+1], order[:at])
		order[0] = c
	}
	flush()
	coded = append(coded, symbols-1)

	w.write(0x314159, 24)
	w.write(0x265359, 24)
	w.write(uint64(crc), 32)
	w.write(0, 1)
	w.write(uint64(origin), 24)
	var high uint64
	for c := range 256 {
		if used[c] {
			high |= 1 << (15 - c/16)
		}
	}
	w.write(high, 16)
	for h := range 16 {
		if high>>(15-h)&1 == 0 {
			continue
		}
		var low uint64
		for c := range 16 {
			if used[16*h+c] {
				low |= 1 << (15 - c)
			}
		}
		w.write(low, 16)
	}
	selectors := (len(coded) + 49) / 50
	w.write(2, 3)
	w.write(uint64(selectors), 15)
	for range selectors {
		w.write(0, 1)
	}
	// A whole tree of symbols leaves: short codes first, then one bit longer.
	long := bits.Len(uint(symbols - 1))
	short := 1<<long - symbols
	length := func(symbol int) int {
		if symbol < short {
			return long - 1
		}
		return long
	}
	for range 2 {
		at := length(0)
		w.write(uint64(at), 5)
		for symbol := range symbols {
			for ; at < length(symbol); at++ {
				w.write(0b10, 2)
			}
			w.write(0, 1)
		}
	}
	for _, symbol := range coded {
		if symbol < short {
			w.write(uint64(symbol), uint(long-1))
		} else {
			w.write(uint64(short<<1+symbol-short), uint(long))
		}
	}
}
