package corpus

import (
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// The values that a pickler writes: nil, bool, int, *big.Int, float64, string
// and the types below. What Python would share is shared by being one pointer.
type (
	blob      string // bytes
	byteArray string // bytearray
	tup       []any
	glob      string // "module.name", split at the last dot
	persID    struct{ id any }
	list      struct{ items []any }
	dict      struct{ pairs [][2]any }
	setOf     struct{ items []any }
	frozen    struct{ items []any }

	// object is what __reduce_ex__ says of an instance: newObj means that
	// function is the class for copyreg.__newobj__.
	object struct {
		function  any
		args      tup
		newObj    bool
		state     any
		listItems []any
		dictItems [][2]any
	}
)

func listOf(items ...any) *list { return &list{items} }

// dictOf takes keys and values in turn.
func dictOf(keysAndValues ...any) *dict {
	d := &dict{}
	for pair := range slices.Chunk(keysAndValues, 2) {
		d.pairs = append(d.pairs, [2]any{pair[0], pair[1]})
	}
	return d
}

// instance is an object as the default __reduce_ex__ describes it.
func instance(class string, state any) *object {
	return &object{function: glob(class), newObj: true, state: state}
}

// reduce is an object whose __reduce__ returns a function and its arguments.
func reduce(function string, args ...any) *object {
	return &object{function: glob(function), args: args}
}

func (o *object) with(state any) *object { o.state = state; return o }

// frameTarget is the size at which CPython begins a new frame.
const frameTarget = 64 << 10

// pickler writes values as CPython's does, opcode by opcode.
type pickler struct {
	proto int
	out   strings.Builder
	frame strings.Builder
	memo  map[any]int
	next  int
}

// pickle writes v as pickle.dumps(v, proto) would.
func pickle(proto int, v any) string {
	p := &pickler{proto: proto, memo: map[any]int{}}
	if proto >= 2 {
		p.out.WriteString(opProto(proto))
	}
	p.save(v)
	p.op(opStop)
	p.flush()
	return p.out.String()
}

func (p *pickler) op(s string) {
	if p.proto < 4 {
		p.out.WriteString(s)
		return
	}
	p.frame.WriteString(s)
}

func (p *pickler) flush() {
	if p.frame.Len() >= 4 {
		p.out.WriteString("\x95" + le64(p.frame.Len()))
	}
	p.out.WriteString(p.frame.String())
	p.frame.Reset()
}

// large writes an opcode with a payload that is kept out of frames.
func (p *pickler) large(header, payload string) {
	if p.proto < 4 || len(payload) < frameTarget {
		p.op(header + payload)
		return
	}
	p.flush()
	p.out.WriteString(header + payload)
}

func (p *pickler) put(key any) {
	n := p.next
	p.next++
	if key != nil {
		p.memo[key] = n
	}
	switch {
	case p.proto >= 4:
		p.op(opMemoize)
	case p.proto == 0:
		p.op(opPut(n))
	case n < 256:
		p.op(opBinPut(n))
	default:
		p.op(opLongBinPut(n))
	}
}

func (p *pickler) get(key any) bool {
	n, ok := p.memo[key]
	switch {
	case !ok:
		return false
	case p.proto == 0:
		p.op(opGet(n))
	case n < 256:
		p.op(opBinGet(n))
	default:
		p.op(opLongBinGet(n))
	}
	return true
}

func (p *pickler) save(v any) {
	if p.proto >= 4 && p.frame.Len() >= frameTarget {
		p.flush()
	}
	switch v := v.(type) {
	case nil:
		p.op(opNone)
	case bool:
		p.saveBool(v)
	case int:
		p.saveInt(v)
	case *big.Int:
		p.saveBig(v)
	case float64:
		if p.proto == 0 {
			p.op(opFloat(pythonFloat(v)))
		} else {
			p.op(opBinFloat(v))
		}
	case string:
		p.saveString(v, "s:"+v)
	case blob:
		p.saveBytes(v)
	case byteArray:
		p.saveByteArray(v)
	case tup:
		p.saveTuple(v)
	case glob:
		p.saveGlobal(v)
	case persID:
		if p.proto == 0 {
			p.op(opPersID(v.id.(string)))
			return
		}
		p.save(v.id)
		p.op(opBinPersID)
	case *list:
		if p.get(v) {
			return
		}
		p.op(p.binary(opEmptyList, opMark+opList))
		p.put(v)
		p.appends(v.items)
	case *dict:
		if p.get(v) {
			return
		}
		p.op(p.binary(opEmptyDict, opMark+opDict))
		p.put(v)
		p.setItems(v.pairs)
	case *setOf:
		p.saveSet(v)
	case *frozen:
		p.saveFrozen(v)
	case *object:
		p.saveObject(v)
	case joblibArray:
		p.saveJoblib(v)
	default:
		panic("corpus: no pickle for this value")
	}
}

func (p *pickler) binary(one, zero string) string {
	if p.proto == 0 {
		return zero
	}
	return one
}

func (p *pickler) saveBool(v bool) {
	switch {
	case p.proto >= 2 && v:
		p.op(opNewTrue)
	case p.proto >= 2:
		p.op(opNewFalse)
	case v:
		p.op("I01\n")
	default:
		p.op("I00\n")
	}
}

func (p *pickler) saveInt(v int) {
	switch {
	case int(int32(v)) != v:
		p.saveBig(big.NewInt(int64(v)))
	case p.proto == 0:
		p.op(opInt(v))
	case v >= 0 && v < 256:
		p.op(opBinInt1(v))
	case v >= 0 && v < 65536:
		p.op(opBinInt2(v))
	default:
		p.op(opBinInt(v))
	}
}

func (p *pickler) saveBig(v *big.Int) {
	if p.proto < 2 {
		p.op("L" + v.String() + "L\n")
		return
	}
	// Little-endian two's complement in as few bytes as hold the sign.
	n := len(v.Bytes()) + 1
	mod := new(big.Int).Lsh(big.NewInt(1), uint(8*n))
	b := make([]byte, n)
	new(big.Int).Mod(new(big.Int).Add(v, mod), mod).FillBytes(b)
	slices.Reverse(b)
	for len(b) > 1 && (b[len(b)-1] == 0 && b[len(b)-2] < 0x80 || b[len(b)-1] == 0xff && b[len(b)-2] >= 0x80) {
		b = b[:len(b)-1]
	}
	if len(b) < 256 {
		p.op(opLong1(string(b)))
		return
	}
	p.op(opLong4(string(b)))
}

func pythonFloat(v float64) string {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	if !strings.ContainsAny(s, ".einf") {
		s += ".0"
	}
	return s
}

func (p *pickler) saveString(s string, key any) {
	if p.get(key) {
		return
	}
	switch {
	case p.proto == 0:
		p.op(opUnicode(rawEscape(s)))
	case p.proto >= 4 && len(s) < 256:
		p.op(opShortBinUnicode(s))
	default:
		p.large("X"+le32(len(s)), s)
	}
	p.put(key)
}

func rawEscape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\' || r == '\n' || r == '\r' || r == 0 || r == 0x1a || r > 0xff && r < 0x10000:
			b.WriteString(`\u` + hex(int(r), 4))
		case r >= 0x10000:
			b.WriteString(`\U` + hex(int(r), 8))
		default:
			b.WriteByte(byte(r))
		}
	}
	return b.String()
}

func hex(n, width int) string {
	s := strconv.FormatInt(int64(n), 16)
	return strings.Repeat("0", width-len(s)) + s
}

func latin1(b string) string {
	r := make([]rune, len(b))
	for i := range len(b) {
		r[i] = rune(b[i])
	}
	return string(r)
}

func (p *pickler) saveBytes(v blob) {
	switch {
	case p.proto < 3 && v == "":
		p.save(reduce("builtins.bytes"))
		return
	case p.proto < 3:
		p.save(reduce("_codecs.encode", latin1(string(v)), "latin1"))
		return
	case len(v) < 256:
		p.op(opShortBinBytes(string(v)))
	default:
		p.large("B"+le32(len(v)), string(v))
	}
	p.put(nil)
}

func (p *pickler) saveByteArray(v byteArray) {
	if p.proto < 5 {
		if v == "" {
			p.save(reduce("builtins.bytearray"))
			return
		}
		p.save(reduce("builtins.bytearray", blob(v)))
		return
	}
	p.large("\x96"+le64(len(v)), string(v))
	p.put(nil)
}

func (p *pickler) saveTuple(v tup) {
	if len(v) == 0 {
		p.op(p.binary(opEmptyTuple, opMark+opTuple))
		return
	}
	short := p.proto >= 2 && len(v) <= 3
	if !short {
		p.op(opMark)
	}
	for _, item := range v {
		p.save(item)
	}
	if short {
		p.op([...]string{opTuple1, opTuple2, opTuple3}[len(v)-1])
	} else {
		p.op(opTuple)
	}
	p.put(nil)
}

// python2 is the part of _compat_pickle that is needed here: what fix_imports
// writes for protocols below 3.
var python2 = map[string]string{"builtins": "__builtin__", "copyreg": "copy_reg", "functools": "functools"}

func (p *pickler) saveGlobal(v glob) {
	if p.get(v) {
		return
	}
	dot := strings.LastIndexByte(string(v), '.')
	module, name := string(v[:dot]), string(v[dot+1:])
	if p.proto >= 4 {
		p.saveString(module, "m:"+module)
		p.saveString(name, "n:"+string(v))
		p.op(opStackGlobal)
	} else {
		if p.proto < 3 {
			if v == "builtins.range" {
				name = "xrange"
			}
			if old, ok := python2[module]; ok {
				module = old
			}
		}
		p.op(opGlobal(module, name))
	}
	p.put(v)
}
