package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// What running costs and holds.
const (
	costOp   scan.Cost = 30      // one opcode, measured (BenchmarkFlood) with room for the costlier ones
	opsBlock           = 1 << 10 // opcodes that are paid for at a time
	maxStack           = 4 << 20 // values on the stack: 64 MiB
)

// machine runs one stream of opcodes as CPython's unpicklers do, C's and
// Python's, and accepts what either accepts. Nothing is imported or called:
// that it would be is what is judged.
type machine struct {
	heap
	findings
	imports
	in      *input
	stack   []value
	marks   []int
	fence   int // below it nothing is reached before the mark is
	memo    paged[value]
	sparse  map[int64]value // of the memo, what is far beyond
	filled  int             // entries in the memo
	op      byte
	opAt    int64
	start   int64
	ops     int
	foreign bool  // the first opcode is a persistent id that none can be
	frame   int64 // where the present frame ends, 0 for none
	joblib  joblibState

	storages map[string]storage // of a legacy file, by key
	spare    *machine           // for pickles between opcodes
	decoded  func()             // releases the bytes that were decoded last
}

// memoSet marks an entry of the memo.
const memoSet = 0x80

// ending says how a stream ended.
type ending struct {
	stopped bool  // at STOP
	at      int64 // where the next one begins: after the last opcode and its frame
	value   value // at the top, when stopped
	sane    bool  // and nothing else was left
	why     string
	err     error // of reading, or of the budget
}

// broken is why an unpickler would end with an error.
type broken string

func (b broken) Error() string { return string(b) }

const (
	errUnderflow broken = "it takes a value from the empty stack"
	errNoMark    broken = "it looks for a mark that is not there"
)

// newMachine returns one that runs what comes next.
func newMachine(p *scan.Place, in *input) *machine {
	m := &machine{heap: heap{place: p}, in: in, stack: make([]value, 0, 64)}
	m.restart()
	return m
}

// restart makes it as new, for the stream that comes next. Its memory stays.
func (m *machine) restart() {
	m.reset()
	m.findings = findings{}
	m.imports = imports{list: theList(), index: map[string]int{}}
	m.stack, m.marks, m.fence = m.stack[:0], m.marks[:0], 0
	m.memo.n, m.sparse, m.filled = 0, nil, 0
	m.start, m.ops, m.frame, m.foreign = m.in.at(), 0, 0, false
	m.joblib.arrays, m.storages, m.decoded = 0, nil, func() {}
}

// run reads opcodes up to STOP or to what ends loading.
func (m *machine) run() (end ending) {
	in := m.in
	for {
		if in.pos >= len(in.buf) && !in.need(1) {
			return m.ended(in.err)
		}
		at := in.base + int64(in.pos)
		if at >= m.frame && m.frame != 0 {
			m.leaveFrame(at)
		}
		m.op, m.opAt = in.buf[in.pos], at
		in.pos++
		if m.ops++; m.ops%opsBlock == 0 {
			if err := m.place.Spend(costOp * opsBlock); err != nil {
				return m.ended(err)
			}
		}
		var err error
		switch m.op {
		case opStop:
			if len(m.stack) <= m.fence {
				return m.ended(errUnderflow)
			}
			_ = m.place.Spend(scan.Cost(m.ops%opsBlock) * costOp) // what is next to be read finds out
			end = ending{stopped: true, at: max(in.at(), m.frame), value: m.stack[len(m.stack)-1], sane: len(m.stack) == 1 && len(m.marks) == 0}
			if end.at > in.at() {
				m.report(ruleCrossed, fmt.Sprintf("%d bytes of the frame follow STOP", end.at-in.at()))
			}
			return end
		case opMark:
			if len(m.marks) == cap(m.marks) {
				if err = m.growMarks(); err != nil {
					break
				}
			}
			m.marks = append(m.marks, len(m.stack))
			m.fence = len(m.stack)
		case opPop:
			switch {
			case len(m.stack) > m.fence:
				m.stack = m.stack[:len(m.stack)-1]
			case len(m.marks) > 0:
				m.unmark()
			default:
				err = errUnderflow
			}
		case opPopMark:
			_, err = m.popMark()
		case opDup:
			if len(m.stack) <= m.fence {
				err = errUnderflow
				break
			}
			m.fetched(m.stack[len(m.stack)-1])
			err = m.push(m.stack[len(m.stack)-1])
		case opNone:
			err = m.push(value{kind: isNone})
		case opNewTrue:
			err = m.push(value{kind: isBool, off: 1})
		case opNewFalse:
			err = m.push(value{kind: isBool})
		case opBinInt1:
			if !in.need(1) {
				return m.ended(in.err)
			}
			v := value{kind: isInt, off: int64(in.buf[in.pos])}
			in.pos++
			err = m.push(v)
		case opBinInt2:
			if !in.need(2) {
				return m.ended(in.err)
			}
			v := value{kind: isInt, off: int64(binary.LittleEndian.Uint16(in.buf[in.pos:]))}
			in.pos += 2
			err = m.push(v)
		case opBinInt:
			if !in.need(4) {
				return m.ended(in.err)
			}
			v := value{kind: isInt, off: int64(int32(binary.LittleEndian.Uint32(in.buf[in.pos:])))}
			in.pos += 4
			err = m.push(v)
		case opBinFloat:
			if !in.need(8) {
				return m.ended(in.err)
			}
			in.pos += 8
			err = m.push(value{kind: isNumber})
		case opShortBinUnicode:
			err = m.sized(1, isText, 0)
		case opBinUnicode:
			err = m.sized(4, isText, 0)
		case opBinUnicode8:
			err = m.sized(8, isText, 0)
		case opShortBinString:
			err = m.sized(1, isText, markLatin1)
		case opBinString:
			err = m.sized(4, isText, markLatin1)
		case opShortBinBytes:
			err = m.sized(1, isBytes, 0)
		case opBinBytes:
			err = m.sized(4, isBytes, 0)
		case opBinBytes8, opByteArray8:
			err = m.sized(8, isBytes, 0)
		case opLong1:
			err = m.sized(1, isNumber, 0)
		case opLong4:
			err = m.sized(4, isNumber, 0)
		case opEmptyTuple:
			err = m.push(value{kind: isTuple})
		case opTuple1:
			err = m.tupleOf(1)
		case opTuple2:
			err = m.tupleOf(2)
		case opTuple3:
			err = m.tupleOf(3)
		case opTuple:
			err = m.markTuple()
		case opEmptyList:
			err = m.pushObject(object{shape: aList})
		case opEmptyDict:
			err = m.pushObject(object{shape: aDict})
		case opEmptySet:
			err = m.pushObject(object{shape: aSet})
		case opList:
			err = m.markObject(aList)
		case opFrozenSet:
			err = m.markObject(aSet)
		case opDict:
			err = m.markObject(aDict)
		case opMemoize:
			err = m.put(int64(m.filled))
		case opBinPut:
			if !in.need(1) {
				return m.ended(in.err)
			}
			i := int64(in.buf[in.pos])
			in.pos++
			err = m.put(i)
		case opLongBinPut:
			if !in.need(4) {
				return m.ended(in.err)
			}
			i := int64(binary.LittleEndian.Uint32(in.buf[in.pos:]))
			in.pos += 4
			err = m.put(i)
		case opBinGet:
			if !in.need(1) {
				return m.ended(in.err)
			}
			i := int64(in.buf[in.pos])
			in.pos++
			err = m.get(i)
		case opLongBinGet:
			if !in.need(4) {
				return m.ended(in.err)
			}
			i := int64(binary.LittleEndian.Uint32(in.buf[in.pos:]))
			in.pos += 4
			err = m.get(i)
		case opProto:
			if !in.need(1) {
				return m.ended(in.err)
			}
			if version := in.buf[in.pos]; version > highestProtocol {
				m.report(ruleProtocol, fmt.Sprintf("protocol %d", version))
			}
			in.pos++
		default:
			err = m.rare()
		}
		if err != nil {
			return m.ended(err)
		}
	}
}

// rare runs the opcodes that files have few of, and those that act.
func (m *machine) rare() error {
	switch m.op {
	case opAppend, opAppends, opAddItems, opSetItem, opSetItems:
		return m.extend()
	case opGlobal:
		return m.global()
	case opStackGlobal:
		return m.stackGlobal()
	case opReduce:
		return m.reduce()
	case opNewObj, opNewObjEx:
		return m.newObject()
	case opInst, opObj:
		return m.instantiate()
	case opBuild:
		return m.build()
	case opExt1, opExt2, opExt4:
		return m.extension()
	case opPersID, opBinPersID:
		return m.persistent()
	case opNextBuffer:
		return m.pushObject(object{shape: aBuffer})
	case opReadonlyBuffer:
		if len(m.stack) <= m.fence {
			return errUnderflow
		}
		return nil
	case opFrame:
		if !m.in.need(8) {
			return m.in.err
		}
		length := binary.LittleEndian.Uint64(m.in.buf[m.in.pos:])
		m.in.pos += 8
		return m.enterFrame(length)
	case opInt, opLong, opFloat, opString, opUnicode, opGet, opPut:
		return m.textual()
	}
	return broken(fmt.Sprintf("byte %#02x is no opcode", m.op))
}

// enterFrame begins a frame of protocol 4. Its length is no part of what is
// run; only that unpicklers disagree over frames that no pickler writes matters.
func (m *machine) enterFrame(length uint64) error {
	at := m.in.at()
	if left := m.in.file.Size() - at; length > uint64(left) {
		m.report(ruleFrame, fmt.Sprintf("a frame of %d bytes, of which %d are there", length, left))
		return nil
	}
	if m.frame > at {
		m.report(ruleCrossed, fmt.Sprintf("at byte %d, in another frame", m.frame))
		return nil
	}
	m.frame = at + int64(length)
	return nil
}

// leaveFrame notes that an opcode begins behind the frame.
func (m *machine) leaveFrame(at int64) {
	if at > m.frame {
		m.report(ruleCrossed, fmt.Sprintf("at byte %d, in the argument of the opcode", m.frame))
	}
	m.frame = 0
}

// textual runs the opcodes of protocol 0, whose argument is a line.
func (m *machine) textual() error {
	off, n, whole := m.in.line(m.op)
	if !whole {
		return m.in.err
	}
	switch m.op {
	case opString, opUnicode:
		return m.literal(off, n)
	case opFloat:
		return m.push(value{kind: isNumber})
	}
	b, err := m.in.text(off, n)
	if err != nil {
		return err
	}
	s := string(b)
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i] // C reads up to it
	}
	s = strings.ReplaceAll(strings.TrimSpace(s), "_", "")
	if m.op == opGet || m.op == opPut {
		i, err := strconv.ParseInt(s, 10, 64)
		if err != nil || i < 0 {
			return broken("its argument is no index")
		}
		if m.op == opGet {
			return m.get(i)
		}
		return m.put(i)
	}
	if i, err := strconv.ParseInt(strings.TrimRight(s, "L"), 0, 64); err == nil {
		return m.push(value{kind: isInt, off: i})
	}
	if i, err := strconv.ParseInt(strings.TrimRight(s, "L"), 10, 64); err == nil {
		return m.push(value{kind: isInt, off: i})
	}
	return m.push(value{kind: isNumber, n: uint32(min(n, 1<<32-1)), off: off})
}

func (m *machine) ended(err error) ending {
	_ = m.place.Spend(scan.Cost(m.ops%opsBlock) * costOp)
	end := ending{at: m.in.at()}
	if m.opAt < m.frame && !errors.Is(err, errUnderflow) && !errors.Is(err, errNoMark) {
		m.report(ruleCrossed, fmt.Sprintf("at byte %d, in the argument of the last opcode", m.frame))
	}
	var why broken
	switch {
	case errors.As(err, &why):
		end.why = string(why)
	case errors.Is(err, io.EOF):
		end.why = "the file ends before STOP"
	default:
		end.err = err
	}
	return end
}

// sized reads an argument whose length stands before it in size bytes.
func (m *machine) sized(size int, k kind, mark uint8) error {
	in := m.in
	if !in.need(size) {
		return in.err
	}
	var n uint64
	switch b := in.buf[in.pos:]; size {
	case 1:
		n = uint64(b[0])
	case 4:
		n = uint64(binary.LittleEndian.Uint32(b))
		if n > math.MaxInt32 && (m.op == opBinString || m.op == opLong4) {
			return broken("a length is negative")
		}
	default:
		n = binary.LittleEndian.Uint64(b)
	}
	in.pos += size
	at := in.at()
	if n > uint64(in.file.Size()-at) {
		return broken(fmt.Sprintf("%d bytes are to follow, %d do", n, in.file.Size()-at))
	}
	v := value{kind: k, mark: mark, n: uint32(min(n, math.MaxUint32)), off: at}
	if n >= 2 {
		if !in.need(2) {
			return in.err
		}
		b := in.buf[in.pos:]
		switch {
		case k == isNumber:
			if n <= 8 && in.need(int(n)) {
				v = value{kind: isInt, off: little(in.buf[in.pos : in.pos+int(n)])}
			}
		case b[0] == '_' && b[1] == '_':
			v.mark |= markDunder
		case b[0] == opProto && b[1] >= 2 && b[1] <= highestProtocol && n > 4:
			m.report(ruleInner, fmt.Sprintf("%d bytes", n))
		}
	} else if k == isNumber {
		v = value{kind: isInt}
		if n == 1 && in.need(1) {
			v.off = int64(int8(in.buf[in.pos]))
		}
	}
	if !in.skip(int64(n)) {
		return in.err
	}
	return m.push(v)
}

// little reads a two's complement integer of up to eight bytes.
func little(b []byte) int64 {
	var x uint64
	for i, c := range b {
		x |= uint64(c) << (8 * i)
	}
	if shift := 64 - 8*len(b); shift > 0 {
		return int64(x<<shift) >> shift
	}
	return int64(x)
}
