package corpus

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// The opcodes of pickle protocols 0 to 5, by the names that CPython's
// pickletools gives them. A pickle is assembled by joining strings.
const (
	opMark = "("
	opStop = "."
	opPop  = "0"
	opDup  = "2"

	opPopMark = "1"

	opNone     = "N"
	opNewTrue  = "\x88"
	opNewFalse = "\x89"

	opReduce   = "R"
	opBuild    = "b"
	opObj      = "o"
	opNewObj   = "\x81"
	opNewObjEx = "\x92"

	opAppend     = "a"
	opAppends    = "e"
	opList       = "l"
	opEmptyList  = "]"
	opDict       = "d"
	opEmptyDict  = "}"
	opSetItem    = "s"
	opSetItems   = "u"
	opTuple      = "t"
	opEmptyTuple = ")"
	opTuple1     = "\x85"
	opTuple2     = "\x86"
	opTuple3     = "\x87"
	opEmptySet   = "\x8f"
	opAddItems   = "\x90"
	opFrozenSet  = "\x91"

	opStackGlobal = "\x93"
	opMemoize     = "\x94"
	opBinPersID   = "Q"

	opNextBuffer     = "\x97"
	opReadonlyBuffer = "\x98"
)

func le16(n int) string { return string(binary.LittleEndian.AppendUint16(nil, uint16(n))) }
func le32(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
func le64(n int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
func be16(n int) string { return string(binary.BigEndian.AppendUint16(nil, uint16(n))) }
func be32(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
func be64(n int) string { return string(binary.BigEndian.AppendUint64(nil, uint64(n))) }
func lef32(f float32) string {
	return string(binary.LittleEndian.AppendUint32(nil, math.Float32bits(f)))
}
func lef64(f float64) string {
	return string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)))
}
func bef64(f float64) string {
	return string(binary.BigEndian.AppendUint64(nil, math.Float64bits(f)))
}

func opProto(n int) string { return "\x80" + string([]byte{byte(n)}) }

// framed gives a pickle of protocol 4 or 5 with the one frame that CPython
// writes around a short one.
func framed(proto int, body string) string {
	return opProto(proto) + "\x95" + le64(len(body)) + body
}

func opGlobal(module, name string) string { return "c" + module + "\n" + name + "\n" }
func opInst(module, name string) string   { return "i" + module + "\n" + name + "\n" }

func opInt(n int) string     { return "I" + strconv.Itoa(n) + "\n" }
func opBinInt1(n int) string { return "K" + string([]byte{byte(n)}) }
func opBinInt2(n int) string { return "M" + le16(n) }
func opBinInt(n int) string  { return "J" + le32(n) }
func opLong1(b string) string {
	return "\x8a" + string([]byte{byte(len(b))}) + b
}
func opLong4(b string) string       { return "\x8b" + le32(len(b)) + b }
func opFloat(text string) string    { return "F" + text + "\n" }
func opBinFloat(f float64) string   { return "G" + bef64(f) }
func opString(quoted string) string { return "S" + quoted + "\n" }

func opBinString(s string) string { return "T" + le32(len(s)) + s }
func opShortBinString(s string) string {
	return "U" + string([]byte{byte(len(s))}) + s
}

// opUnicode writes the raw-unicode-escape form of s, which the caller wrote.
func opUnicode(escaped string) string { return "V" + escaped + "\n" }
func opBinUnicode(s string) string    { return "X" + le32(len(s)) + s }
func opBinUnicode8(s string) string   { return "\x8d" + le64(len(s)) + s }
func opShortBinUnicode(s string) string {
	return "\x8c" + string([]byte{byte(len(s))}) + s
}
func opBinBytes(s string) string { return "B" + le32(len(s)) + s }
func opShortBinBytes(s string) string {
	return "C" + string([]byte{byte(len(s))}) + s
}
func opBinBytes8(s string) string  { return "\x8e" + le64(len(s)) + s }
func opByteArray8(s string) string { return "\x96" + le64(len(s)) + s }

func opPut(n int) string        { return "p" + strconv.Itoa(n) + "\n" }
func opBinPut(n int) string     { return "q" + string([]byte{byte(n)}) }
func opLongBinPut(n int) string { return "r" + le32(n) }
func opGet(n int) string        { return "g" + strconv.Itoa(n) + "\n" }
func opBinGet(n int) string     { return "h" + string([]byte{byte(n)}) }
func opLongBinGet(n int) string { return "j" + le32(n) }

func opPersID(text string) string { return "P" + text + "\n" }
func opExt1(code int) string      { return "\x82" + string([]byte{byte(code)}) }
func opExt2(code int) string      { return "\x83" + le16(code) }
func opExt4(code int) string      { return "\x84" + le32(code) }

// stackGlobal is an import as protocol 4 writes it.
func stackGlobal(module, name string) string {
	return text(module) + opMemoize + text(name) + opMemoize + opStackGlobal + opMemoize
}

// text is a string as protocol 4 writes it.
func text(s string) string {
	if len(s) < 256 {
		return opShortBinUnicode(s)
	}
	return opBinUnicode(s)
}

// octets are bytes as protocol 3 and later write them.
func octets(s string) string {
	if len(s) < 256 {
		return opShortBinBytes(s)
	}
	return opBinBytes(s)
}

// tuple packs what items push.
func tuple(items ...string) string {
	switch len(items) {
	case 0:
		return opEmptyTuple
	case 1:
		return items[0] + opTuple1
	case 2:
		return items[0] + items[1] + opTuple2
	case 3:
		return items[0] + items[1] + items[2] + opTuple3
	}
	return opMark + strings.Join(items, "") + opTuple
}

// call imports with GLOBAL and calls with REDUCE; items push the arguments.
func call(module, name string, items ...string) string {
	return opGlobal(module, name) + tuple(items...) + opReduce
}

// call4 is call with STACK_GLOBAL.
func call4(module, name string, items ...string) string {
	return stackGlobal(module, name) + tuple(items...) + opReduce
}
