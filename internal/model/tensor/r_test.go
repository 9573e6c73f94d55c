package tensor_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// rOut writes what R's serialize does, in the encoding 'X', 'A' or 'B'.
type rOut struct {
	encoding byte
	b        []byte
}

// rItem writes one object.
type rItem func(*rOut)

func (o *rOut) int(n int32) {
	switch o.encoding {
	case 'A':
		o.b = fmt.Appendf(o.b, "%d\n", n)
	case 'B':
		o.b = binary.LittleEndian.AppendUint32(o.b, uint32(n))
	default:
		o.b = binary.BigEndian.AppendUint32(o.b, uint32(n))
	}
}

func (o *rOut) string(s string) {
	o.int(int32(len(s)))
	if o.encoding == 'A' {
		for _, c := range []byte(s) {
			if c <= ' ' || c > '~' {
				o.b = fmt.Appendf(o.b, `\%03o`, c)
			} else if c == '\\' {
				o.b = append(o.b, '\\', '\\')
			} else {
				o.b = append(o.b, c)
			}
		}
		o.b = append(o.b, '\n')
		return
	}
	o.b = append(o.b, s...)
}

func (o *rOut) reals(values ...float64) {
	for _, v := range values {
		if o.encoding == 'A' {
			o.b = fmt.Appendf(o.b, "%g\n", v)
		} else {
			o.b = append(o.b, make([]byte, 8)...)
		}
	}
}

// rds writes a file, of version 2 or 3.
func rds(encoding byte, version int32, root rItem) []byte {
	o := &rOut{encoding: encoding, b: []byte{encoding, '\n'}}
	o.int(version)
	o.int(0x040301)
	o.int(0x030500)
	if version == 3 {
		o.string("UTF-8")
	}
	root(o)
	return o.b
}

// raw writes flags and then objects.
func raw(flags int32, items ...rItem) rItem {
	return func(o *rOut) {
		o.int(flags)
		for _, i := range items {
			i(o)
		}
	}
}

func num(n int32) rItem { return func(o *rOut) { o.int(n) } }

var (
	null     = raw(254)
	unbound  = raw(252)
	global   = raw(253)
	emptyEnv = raw(242)
)

func chars(s string) rItem  { return func(o *rOut) { o.int(0x40009); o.string(s) } }
func symbol(s string) rItem { return raw(1, chars(s)) }
func ref(n int32) rItem     { return raw(n<<8 | 255) }

func strs(values ...string) rItem {
	return func(o *rOut) {
		o.int(16)
		o.int(int32(len(values)))
		for _, v := range values {
			chars(v)(o)
		}
	}
}

func reals(flags int32, values ...float64) rItem {
	return func(o *rOut) {
		o.int(14 | flags)
		o.int(int32(len(values)))
		o.reals(values...)
	}
}

func ints(flags int32, values ...int32) rItem {
	return func(o *rOut) {
		o.int(13 | flags)
		o.int(int32(len(values)))
		for _, v := range values {
			o.int(v)
		}
	}
}

func vector(flags int32, items ...rItem) rItem {
	return func(o *rOut) {
		o.int(19 | flags)
		o.int(int32(len(items)))
		for _, i := range items {
			i(o)
		}
	}
}

// pairs is a list of names and values.
func pairs(namesAndValues ...rItem) rItem {
	return func(o *rOut) {
		for i := 0; i < len(namesAndValues); i += 2 {
			o.int(0x402)
			namesAndValues[i](o)
			namesAndValues[i+1](o)
		}
		null(o)
	}
}

// call is a call without names.
func call(items ...rItem) rItem {
	return func(o *rOut) {
		for i, item := range items {
			if o.int(6); i > 0 {
				o.b = o.b[:len(o.b)-len(encodedInt(o.encoding, 6))]
				o.int(2)
			}
			item(o)
		}
		null(o)
	}
}

func encodedInt(encoding byte, n int32) []byte {
	o := &rOut{encoding: encoding}
	o.int(n)
	return o.b
}

// frame is a data.frame with a factor and a column of numbers.
func frame() rItem {
	factor := func(o *rOut) {
		ints(0x300, 1, 2, -2147483648)(o)
		pairs(symbol("levels"), strs("a", "b c"), symbol("class"), strs("factor"))(o)
	}
	return func(o *rOut) {
		vector(0x300, factor, reals(0, 1, 2.5, 3))(o)
		pairs(symbol("names"), strs("f", "größe"), ref(2), strs("data.frame"), symbol("row.names"), ints(0, -2147483648, -3))(o)
	}
}

func promise(value, code rItem) rItem { return raw(5, value, code) }

var (
	system  = call(symbol("system"), strs("id"))
	formula = func(o *rOut) {
		o.int(0x306) // with attributes, as an object
		pairs(symbol("class"), strs("formula"), symbol(".Environment"), global)(o)
		symbol("~")(o)
		pairsOf(symbol("y"), symbol("x"))(o)
	}
	// compiled is the code of function(x) x as R compiles it, more or less.
	compiled = raw(21, num(1), ints(0, 8, 20, 0, 1), num(3), num(1), symbol("x"),
		num(244), num(0), num(240), null, null, num(1), symbol("f"), // a call with attributes that is kept
		num(2), null, num(243), num(0), num(254), null, num(13), ints(0, 1))
)

func pairsOf(items ...rItem) rItem {
	return func(o *rOut) {
		for _, item := range items {
			o.int(2)
			item(o)
		}
		null(o)
	}
}

func workspace(encoding byte, variables ...rItem) []byte {
	return append([]byte("RD"+string(encoding)+"3\n"), rds(encoding, 3, pairs(variables...))...)
}

func workspaceX(variables ...rItem) []byte {
	return append([]byte("RDX3\n"), rds('X', 3, pairs(variables...))...)
}

func TestDataOfRIsClean(t *testing.T) {
	const clean = "clean rds"
	altRep := func(class, pkg string, state rItem) rItem {
		return raw(238, pairsOf(symbol(class), symbol(pkg), ints(0, 13)), state, null)
	}
	environment := raw(4, num(0), emptyEnv, pairs(symbol("a"), reals(0, 1)), null, null)
	deep := null
	for range 5000 {
		inner := deep
		deep = vector(0, inner)
	}
	var files []file
	for _, encoding := range []byte("XAB") {
		for _, version := range []int32{2, 3} {
			files = append(files, file{fmt.Sprintf("a data.frame in %c%d", encoding, version), rds(encoding, version, frame()), clean})
		}
		files = append(files, file{fmt.Sprintf("a workspace in %c", encoding), workspace(encoding, symbol("d"), frame(), symbol("x"), reals(0, 1)), clean})
	}
	check(t, append(files,
		file{"nothing", rds('X', 3, null), clean},
		file{"numbers", rds('X', 3, reals(0, make([]float64, 10_000)...)), clean},
		file{"a long vector", rds('X', 3, func(o *rOut) { o.int(14); o.int(-1); o.int(0); o.int(2); o.reals(1, 2) }), clean},
		file{"complex numbers", rds('A', 3, func(o *rOut) { o.int(15); o.int(1); o.reals(1, 2) }), clean},
		file{"bytes", rds('X', 3, func(o *rOut) { o.int(24); o.int(3); o.b = append(o.b, 1, 2, 3) }), clean},
		file{"a missing string", rds('X', 3, func(o *rOut) { o.int(16); o.int(1); o.int(9); o.int(-1) }), clean},
		file{"a formula", rds('X', 3, formula), clean},
		file{"a call of a model", rds('X', 3, vector(0, call(symbol("lm"), symbol("y")))), clean},
		file{"an environment", rds('X', 3, environment), clean},
		file{"a namespace", rds('X', 3, raw(249, num(0), num(2), chars("stats"), chars("4.3.1"))), clean},
		file{"an object with slots", rds('X', 3, func(o *rOut) { o.int(0x10319); pairs(symbol("x"), reals(0, 1), symbol("class"), strs("P"))(o) }), clean},
		file{"a pointer of a data.table", rds('X', 3, func(o *rOut) { reals(0x200, 1)(o); pairs(symbol(".internal.selfref"), raw(22, null, null))(o) }), clean},
		file{"a range", rds('X', 3, altRep("compact_intseq", "base", reals(0, 3, 1, 1))), clean},
		file{"a wrapper around a range", rds('X', 3, altRep("wrap_integer", "base", pairsOf(altRep("compact_intseq", "base", reals(0, 3, 1, 1)), ints(0, 0, 0)))), clean},
		file{"lists in lists", rds('X', 3, deep), clean},
		file{"text that begins alike", []byte("A\n2\nB\n3\n"), "unknown "},
		file{"lines of numbers", []byte("A\n2\n7\n11\n13\n17\n"), "unknown "},
		file{"other text", []byte("X\ny\n"), "unknown "},
	))
}

func TestCodeInDataOfRIsFound(t *testing.T) {
	const (
		bad      = "malicious rds: rds.promise rds.call"
		function = "suspicious rds: rds.function"
	)
	closure := raw(0x403, global, null, call(symbol("+"), symbol("x")))
	check(t, []file{
		{"a promise", rds('X', 3, promise(unbound, system)), bad},
		{"a promise of anything", rds('X', 3, promise(unbound, call(symbol("f")))), "malicious rds: rds.promise"},
		{"a promise in text", rds('A', 3, promise(unbound, system)), bad},
		{"a promise of this machine", rds('B', 2, promise(unbound, system)), bad},
		{"a promise of an R that there is not", func() []byte { b := rds('X', 3, promise(unbound, system)); copy(b[6:14], make([]byte, 8)); return b }(), bad},
		{"a promise of no R in text", bytes.Replace(rds('A', 2, promise(unbound, system)), []byte("262913"), []byte("0"), 1), bad},
		{"a promise in a list", rds('X', 3, vector(0, reals(0, 1), promise(unbound, system))), bad},
		{"a promise as a variable", workspaceX(symbol("x"), promise(unbound, system)), bad},
		{"a promise in an attribute", rds('X', 3, func(o *rOut) { reals(0x200, 1)(o); pairs(symbol("names"), promise(unbound, system))(o) }), bad},
		{"a promise in an environment", rds('X', 3, raw(4, num(0), emptyEnv, pairs(symbol("a"), promise(unbound, system)), null, null)), bad},
		{"a promise with an environment", rds('X', 3, raw(0x405, global, unbound, system)), bad},
		{"a promise that is kept", rds('X', 3, promise(reals(0, 1), call(symbol("f")))), "suspicious rds: rds.promise.evaluated"},
		{"a promise in a constant of compiled code", rds('X', 3, raw(21, num(1), ints(0, 8), num(1), num(19), vector(0, promise(unbound, system)))), "malicious rds: rds.promise rds.function rds.call"},
		{"a function", rds('X', 3, closure), function},
		{"a function in a list", rds('A', 3, vector(0, closure)), function},
		{"compiled code", rds('X', 3, compiled), function},
		{"a function that is a hook", workspaceX(symbol("x"), reals(0, 1), symbol(".First"), closure), "malicious rds: rds.hook rds.function"},
		{"a function that is none", workspaceX(symbol("first"), closure), function},
		{"a call of the system", rds('X', 3, vector(0, system)), "suspicious rds: rds.call"},
		{"a call of the system by reference", rds('X', 3, vector(0, symbol("system"), call(ref(1), strs("id")))), "suspicious rds: rds.call"},
		{"a vector of a file", rds('X', 3, raw(238, pairsOf(symbol("mmap_integer"), symbol("base"), ints(0, 13)), strs("/etc/passwd"), null)), "suspicious rds: rds.altrep"},
		{"a vector of a package", rds('X', 3, raw(238, pairsOf(symbol("lazy"), symbol("evil"), ints(0, 13)), null, null)), "suspicious rds: rds.altrep"},
		{"a name that a hook finds", rds('X', 3, raw(247, num(0), num(1), chars("env1"))), "unscannable rds: rds.persistent"},
	})
}

func TestBrokenDataOfRIsNotClean(t *testing.T) {
	const broken = "unscannable rds: rds.broken"
	whole := rds('X', 3, frame())
	check(t, []file{
		{"cut off", whole[:len(whole)-3], broken},
		{"cut off in text", rds('A', 3, frame())[:100], broken},
		{"a vector longer than the file", rds('X', 3, func(o *rOut) { o.int(14); o.int(1 << 30) }), broken},
		{"a list longer than the file", rds('X', 3, func(o *rOut) { o.int(19); o.int(1 << 30) }), broken},
		{"a vector longer than memory", rds('X', 3, func(o *rOut) { o.int(14); o.int(-1); o.int(1 << 16); o.int(-1) }), broken},
		{"a negative length", rds('X', 3, func(o *rOut) { o.int(14); o.int(-7) }), broken},
		{"a type that there is not", rds('X', 3, func(o *rOut) { o.int(99); o.int(0) }), broken},
		{"a reference to nothing", rds('X', 3, ref(7)), broken},
		{"a symbol that is no string", rds('X', 3, raw(1, ints(0, 1))), broken},
		{"a workspace that is none", []byte("RDX3\nQ\n"), broken},
		{"a workspace of the last century", append([]byte("RDX1\n"), whole[14:]...), broken},
		{"bytes behind", append(bytes.Clone(whole), "more"...), "suspicious rds: rds.trailing"},
		{"a pickle behind", append(bytes.Clone(whole), hurt...), "malicious rds: test.pickle rds.trailing"},
		{"lines behind text", append(rds('A', 3, frame()), strings.Repeat("x\n", 9)...), "suspicious rds: rds.trailing"},
	})
}
