package tensor

import (
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// The types of objects in a stream (R, src/include/Rinternals.h and
// src/main/serialize.c).
const (
	rSymbol, rPairs, rClosure, rEnvironment, rPromise, rCall          = 1, 2, 3, 4, 5, 6
	rSpecial, rBuiltin, rChars, rLogical, rInteger                    = 7, 8, 9, 10, 13
	rReal, rComplex, rStrings, rDots, rVector, rExpression            = 14, 15, 16, 17, 19, 20
	rBytecode, rPointer, rWeak, rRaw, rS4                             = 21, 22, 23, 24, 25
	rAltRep, rAttrPairs, rAttrCall, rBaseEnv, rEmptyEnv, rBytecodeRef = 238, 239, 240, 241, 242, 243
	rBytecodeDef, rPersistent, rPackage, rNamespace                   = 244, 247, 248, 249
	rBaseNamespace, rMissing, rUnbound, rGlobal, rNil, rRef           = 250, 251, 252, 253, 254, 255
)

const (
	// rStack is how many objects may wait for their parts: nested lists reach
	// some thousands (the trees of hierarchical clusterings).
	rStack = 1 << 20
	// costObject is one object of a stream read.
	costObject scan.Cost = 60
)

// rTask is something that follows in the stream.
type rTask struct {
	kind uint8
	role uint8
	n    int64 // how often
}

const (
	taskItem      uint8 = iota // n+1 objects
	taskBytecode               // the code and the constants of a function
	taskConstants              // how many there are, and then they
	taskConstant               // n constants
	taskLanguage               // an expression of bytecode, by its type
	taskClass                  // ends what names an ALTREP class
)

// What an object is for.
const (
	roleNone      uint8 = iota
	roleWorkspace       // a list of variables
	roleTag             // the name of the next variable
	roleVariable        // the value of a variable
	roleCallee          // what a call calls
	roleValue           // the value of a promise
	roleClass           // the class of an ALTREP object
)

// rReader walks through a stream with a stack of its own, so that objects in
// objects in objects take no stack of the program.
type rReader struct {
	*reporter
	*rSource
	tasks  []rTask
	symbol string   // the last symbol that was read
	refs   []string // objects that can be referred to; of symbols the name
	class  []string // of the ALTREP object that is being read; nil otherwise
}

func (r *rReader) push(tasks ...rTask) { r.tasks = append(r.tasks, tasks...) }

func (r *rReader) run() error {
	for len(r.tasks) > 0 {
		if len(r.tasks) > rStack {
			r.say(ruleRBroken, scan.At(r.pos), "objects are nested too deep")
			return errTold
		}
		if err := r.Spend(costObject); err != nil {
			return err
		}
		last := &r.tasks[len(r.tasks)-1]
		t := *last
		if (t.kind == taskItem || t.kind == taskConstant) && t.n > 0 {
			last.n--
		} else {
			r.tasks = r.tasks[:len(r.tasks)-1]
		}
		var err error
		switch t.kind {
		case taskItem:
			err = r.item(t.role)
		case taskBytecode:
			r.push(rTask{kind: taskConstants}, rTask{kind: taskItem})
		case taskConstants:
			var n int32
			if n, err = r.int(); err == nil && n > 0 {
				r.push(rTask{kind: taskConstant, n: int64(n) - 1})
			}
		case taskConstant:
			err = r.constant()
		case taskLanguage:
			err = r.language()
		case taskClass:
			r.altRep()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// refer keeps what later objects can refer to.
func (r *rReader) refer(name string) error {
	if len(r.refs) == cap(r.refs) {
		if _, err := r.Hold(16 * int64(cap(r.refs)+64)); err != nil {
			return err
		}
	}
	r.refs = append(r.refs, name)
	return nil
}

// item reads the head of an object, and pushes what it is made of.
func (r *rReader) item(role uint8) error {
	at := r.pos
	head, err := r.int()
	if err != nil {
		return err
	}
	flags := uint32(head)
	kind, hasAttributes, hasTag := flags&0xff, flags&0x200 != 0, flags&0x400 != 0
	if role == roleValue {
		if kind == rUnbound {
			r.say(ruleRPromise, scan.At(at), "a promise holds code that has not been run")
		} else {
			r.say(ruleRKept, scan.At(at), "a promise holds its value and its code")
		}
	}
	if role == roleVariable && kind == rClosure && isHook(r.symbol) {
		r.say(ruleRHook, scan.At(at), "it defines %s", r.symbol)
	}
	switch kind {
	case rNil, rGlobal, rUnbound, rMissing, rBaseNamespace, rBaseEnv, rEmptyEnv:
		return nil
	case rRef:
		return r.reference(flags>>8, role, at)
	case rSymbol:
		return r.readSymbol(role, at)
	case rPersistent, rPackage, rNamespace:
		return r.names(kind, at)
	case rEnvironment:
		if _, err := r.int(); err != nil { // whether it is locked
			return err
		}
		r.push(rTask{kind: taskItem, n: 3}) // enclosure, frame, table, attributes
		return r.refer("")
	case rPairs, rCall, rClosure, rPromise, rDots:
		r.pairs(kind, role, at, hasAttributes, hasTag)
		return nil
	case rAltRep:
		r.push(rTask{kind: taskItem, n: 1}, rTask{kind: taskClass}, rTask{kind: taskItem, role: roleClass})
		r.class = []string{}
		return nil
	}
	if hasAttributes {
		r.push(rTask{kind: taskItem})
	}
	return r.vector(kind, at)
}

// pairs pushes the parts of a pair: attributes, tag, head and rest.
func (r *rReader) pairs(kind uint32, role uint8, at int64, hasAttributes, hasTag bool) {
	head := roleNone
	rest := rTask{kind: taskItem}
	switch kind {
	case rClosure:
		r.say(ruleRCode, scan.At(at), "a function")
	case rPromise:
		head = roleValue
	case rCall:
		head = roleCallee
	case rPairs:
		if role == roleWorkspace {
			head, rest.role = roleVariable, roleWorkspace
		}
		if role == roleClass {
			head, rest.role = roleClass, roleClass
		}
	}
	r.push(rest, rTask{kind: taskItem, role: head})
	if hasTag {
		r.push(rTask{kind: taskItem, role: roleTag})
	}
	if hasAttributes {
		r.push(rTask{kind: taskItem})
	}
}

// vector reads an object that is not a pair: its length, and what it holds or,
// of objects, that they follow.
func (r *rReader) vector(kind uint32, at int64) error {
	switch kind {
	case rS4:
		return nil
	case rWeak:
		return r.refer("")
	case rPointer:
		r.push(rTask{kind: taskItem, n: 1}) // what it protects, and its tag
		return r.refer("")
	case rBytecode:
		r.say(ruleRCode, scan.At(at), "compiled code")
		if _, err := r.int(); err != nil { // how many parts are shared
			return err
		}
		r.push(rTask{kind: taskBytecode})
		return nil
	}
	n, err := r.length(kind)
	if err != nil {
		return err
	}
	switch kind {
	case rChars, rSpecial, rBuiltin:
		_, err := r.string(max(n, 0)) // -1 is NA
		return err
	case rLogical, rInteger:
		return r.skipElements(n, 4)
	case rReal:
		return r.skipElements(n, 8)
	case rComplex:
		return r.skipElements(n, 16)
	case rRaw:
		return r.skipElements(n, 1)
	case rStrings, rVector, rExpression:
		if n > r.left() { // each takes four bytes, or two characters and a line
			return errShort
		}
		if n > 0 {
			r.push(rTask{kind: taskItem, n: n - 1})
		}
		return nil
	}
	r.say(ruleRBroken, scan.At(at), "there is no object of type %d", kind)
	return errTold
}

// length reads how long a vector is; -1 stands for a length of 64 bits.
func (r *rReader) length(kind uint32) (int64, error) {
	n, err := r.int()
	if err != nil {
		return 0, err
	}
	if n >= 0 {
		return int64(n), nil
	}
	switch {
	case n != -1:
		return 0, errShort
	case kind == rChars:
		return -1, nil
	}
	high, err := r.int()
	if err != nil {
		return 0, err
	}
	low, err := r.int()
	if err != nil || high < 0 || high > 1<<16 {
		return 0, errShort
	}
	return int64(high)<<32 | int64(uint32(low)), nil
}

// readSymbol reads a symbol, whose name is an object of characters.
func (r *rReader) readSymbol(role uint8, at int64) error {
	head, err := r.int()
	if err != nil {
		return err
	}
	if head&0xff != rChars {
		r.say(ruleRBroken, scan.At(at), "the name of a symbol is no string")
		return errTold
	}
	n, err := r.length(rChars)
	if err != nil {
		return err
	}
	name, err := r.string(max(n, 0))
	if err != nil {
		return err
	}
	symbol := string(name)
	if _, err := r.Hold(int64(len(symbol))); err != nil {
		return err
	}
	r.named(symbol, role, at)
	return r.refer(symbol)
}

func (r *rReader) reference(index uint32, role uint8, at int64) error {
	if index == 0 {
		n, err := r.int()
		if err != nil {
			return err
		}
		index = uint32(n)
	}
	if index == 0 || int64(index) > int64(len(r.refs)) {
		r.say(ruleRBroken, scan.At(at), "it refers to object %d of %d", index, len(r.refs))
		return errTold
	}
	r.named(r.refs[index-1], role, at)
	return nil
}

// named is what happens where a symbol stands.
func (r *rReader) named(symbol string, role uint8, at int64) {
	switch role {
	case roleTag:
		r.symbol = symbol
	case roleCallee:
		if runs(symbol) {
			r.say(ruleRCall, scan.At(at), "a call of %s", symbol)
		}
	case roleClass:
		if len(r.class) < 4 {
			r.class = append(r.class, symbol)
		}
	}
}

// names reads the strings that name a package, a namespace or something that
// only a hook can find.
func (r *rReader) names(kind uint32, at int64) error {
	if kind == rPersistent {
		r.say(ruleRPersistent, scan.At(at), "an object has a persistent name")
	}
	if _, err := r.int(); err != nil {
		return err
	}
	n, err := r.int()
	if err != nil {
		return err
	}
	if n < 0 || int64(n) > r.left() {
		return errShort
	}
	if n > 0 {
		r.push(rTask{kind: taskItem, n: int64(n) - 1})
	}
	return r.refer("")
}

// altRep looks at the class whose name has been read. Those of R itself hold
// ranges, conversions and wrappers, but for the ones that map a file.
func (r *rReader) altRep() {
	class := r.class
	r.class = nil
	if len(class) >= 2 && class[1] == "base" && !strings.HasPrefix(class[0], "mmap_") {
		return
	}
	r.say(ruleRClass, scan.At(r.pos), "an object of the class %s", short(strings.Join(class, " of ")))
}

// constant reads one constant of bytecode.
func (r *rReader) constant() error {
	kind, err := r.int()
	if err != nil {
		return err
	}
	switch kind {
	case rBytecode:
		r.push(rTask{kind: taskBytecode})
	case rCall, rPairs, rBytecodeDef, rBytecodeRef, rAttrCall, rAttrPairs:
		return r.expression(kind)
	default:
		r.push(rTask{kind: taskItem})
	}
	return nil
}

// language reads an expression of bytecode, or an object in one.
func (r *rReader) language() error {
	kind, err := r.int()
	if err != nil {
		return err
	}
	switch kind {
	case rCall, rPairs, rBytecodeDef, rBytecodeRef, rAttrCall, rAttrPairs:
		return r.expression(kind)
	}
	r.push(rTask{kind: taskItem})
	return nil
}

func (r *rReader) expression(kind int32) error {
	if kind == rBytecodeRef {
		_, err := r.int()
		return err
	}
	if kind == rBytecodeDef {
		if _, err := r.int(); err != nil {
			return err
		}
		var err error
		if kind, err = r.int(); err != nil {
			return err
		}
	}
	r.push(rTask{kind: taskLanguage}, rTask{kind: taskLanguage}, rTask{kind: taskItem})
	if kind == rAttrCall || kind == rAttrPairs {
		r.push(rTask{kind: taskItem})
	}
	return nil
}

// isHook says whether R calls a function of the name by itself.
func isHook(name string) bool {
	switch name {
	case ".First", ".First.sys", ".First.lib", ".Last", ".Last.sys", ".Last.lib", ".onLoad", ".onAttach", ".onUnload", ".onDetach":
		return true
	}
	return false
}

// runs says whether a function of R runs what it is given outside of R, or
// fetches it.
func runs(name string) bool {
	switch name {
	case "system", "system2", "shell", "shell.exec", "pipe", "dyn.load", "download.file", "socketConnection",
		"install.packages", "source", "sys.source", "Sys.setenv", "unlink", "file.remove":
		return true
	}
	return false
}
