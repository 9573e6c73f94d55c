package pickle_test

import "encoding/binary"

// asm writes pickles opcode by opcode, well-formed and not.
type asm struct{ b []byte }

func proto(version byte) *asm { return (&asm{}).raw("\x80", string(rune(version))) }

func plain() *asm { return &asm{} }

func (a *asm) raw(parts ...string) *asm {
	for _, part := range parts {
		a.b = append(a.b, part...)
	}
	return a
}

func (a *asm) bytes() []byte { return a.b }

// stop ends the pickle and returns it.
func (a *asm) stop() []byte { return append(a.b, '.') }

func (a *asm) global(module, name string) *asm { return a.raw("c", module, "\n", name, "\n") }

func (a *asm) stackGlobal(module, name string) *asm { return a.short(module).short(name).raw("\x93") }

// short pushes text by SHORT_BINUNICODE.
func (a *asm) short(s string) *asm { return a.raw("\x8c", string([]byte{byte(len(s))}), s) }

// text pushes text by BINUNICODE.
func (a *asm) text(s string) *asm { return a.raw("X", le32(len(s)), s) }

// data pushes bytes by BINBYTES.
func (a *asm) data(b []byte) *asm { return a.raw("B", le32(len(b)), string(b)) }

// args pushes a tuple of texts.
func (a *asm) args(texts ...string) *asm {
	a.raw("(")
	for _, s := range texts {
		a.text(s)
	}
	return a.raw("t")
}

func (a *asm) int(n int) *asm { return a.raw("J", le32(n)) }

// call imports a function and calls it with texts.
func (a *asm) call(module, name string, texts ...string) *asm {
	return a.global(module, name).args(texts...).raw("R")
}

func le32(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

func le64(n int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }

// frame wraps opcodes in FRAME.
func frame(b []byte) []byte { return append([]byte("\x95"+le64(len(b))), b...) }
