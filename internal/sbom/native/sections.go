package native

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// maxHeaders bounds the table of sections or segments, and maxNames the names
	// of sections; programs have some dozen of either, and linkers that make one
	// section for each function are told not to in the end.
	maxHeaders = 4096
	maxNames   = 1 << 20
	// maxCommands bounds the load commands of Mach-O in bytes.
	maxCommands = 1 << 20
	maxArches   = 16
)

// errNoProgram says that a file is no program or library in a format known here.
var errNoProgram = errors.New("neither ELF, PE nor Mach-O")

// section is a part of a program: a section where there is a table of them, else
// a segment.
type section struct {
	name   string
	addr   uint64 // where it lies in memory
	offset uint64 // where it begins in the file
	size   uint64 // how much of it is in the file
	data   bool   // it can be written to at run time
	note   uint32 // the type that ELF gives it
	link   uint32
}

// program is the outline of a program or shared library.
type program struct {
	r        io.ReaderAt
	format   string // "elf", "pe", "macho"
	order    binary.ByteOrder
	wide     bool // 64 bits
	sections []section
	segments []section // of ELF: what is loaded
	machine  uint16
	dynamic  section // of ELF: PT_DYNAMIC
	id       string  // of Mach-O: LC_ID_DYLIB, what programs load it by
}

// outline reads the headers of a program.
func outline(r io.ReaderAt) (*program, error) {
	var ident [64]byte
	if n, err := r.ReadAt(ident[:], 0); n < 32 {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, errNoProgram
	}
	switch {
	case bytes.HasPrefix(ident[:], []byte("\x7fELF")):
		return outlineELF(r, ident[:])
	case bytes.HasPrefix(ident[:], []byte("MZ")):
		return outlinePE(r, ident[:])
	}
	switch binary.BigEndian.Uint32(ident[:]) {
	case 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe:
		return outlineMachO(r, 0)
	case 0xcafebabe, 0xcafebabf:
		return outlineFat(r, ident[:])
	}
	return nil, errNoProgram
}

// part reads size bytes at the offset; fewer are an error.
func (p *program) part(offset, size uint64) ([]byte, error) { return part(p.r, offset, size) }

func part(r io.ReaderAt, offset, size uint64) ([]byte, error) {
	const sane = 1 << 40
	if offset > sane {
		return nil, fmt.Errorf("an offset of %d bytes", offset)
	}
	out := make([]byte, size)
	n, err := r.ReadAt(out, int64(offset))
	if uint64(n) < size {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return out, nil
}

// at reads up to size bytes from an address on, and no more than its section has.
func (p *program) at(addr, size uint64) ([]byte, error) {
	for _, all := range [][]section{p.segments, p.sections} {
		for _, s := range all {
			if addr >= s.addr && addr-s.addr < s.size {
				return p.part(s.offset+addr-s.addr, min(size, s.size-(addr-s.addr)))
			}
		}
	}
	return nil, fmt.Errorf("nothing is at address %#x", addr)
}

// named returns the section of that name.
func (p *program) named(name string) (section, bool) {
	for _, s := range p.sections {
		if s.name == name && s.size > 0 {
			return s, true
		}
	}
	return section{}, false
}

func outlineELF(r io.ReaderAt, h []byte) (*program, error) {
	p := &program{r: r, format: "elf"}
	switch h[5] {
	case 1:
		p.order = binary.LittleEndian
	case 2:
		p.order = binary.BigEndian
	default:
		return nil, errNoProgram
	}
	o := p.order
	p.machine = o.Uint16(h[18:])
	var phoff, shoff, phsize, phnum, shsize, shnum, shstr uint64
	switch h[4] {
	case 1:
		phoff, shoff = uint64(o.Uint32(h[28:])), uint64(o.Uint32(h[32:]))
		phsize, phnum = uint64(o.Uint16(h[42:])), uint64(o.Uint16(h[44:]))
		shsize, shnum, shstr = uint64(o.Uint16(h[46:])), uint64(o.Uint16(h[48:])), uint64(o.Uint16(h[50:]))
	case 2:
		p.wide = true
		phoff, shoff = o.Uint64(h[32:]), o.Uint64(h[40:])
		phsize, phnum = uint64(o.Uint16(h[54:])), uint64(o.Uint16(h[56:]))
		shsize, shnum, shstr = uint64(o.Uint16(h[58:])), uint64(o.Uint16(h[60:])), uint64(o.Uint16(h[62:]))
	default:
		return nil, errNoProgram
	}
	if err := p.elfSegments(phoff, phsize, phnum); err != nil {
		return nil, fmt.Errorf("program headers: %w", err)
	}
	if err := p.elfSections(shoff, shsize, shnum, shstr); err != nil {
		return nil, fmt.Errorf("section headers: %w", err)
	}
	return p, nil
}

func (p *program) elfSegments(offset, size, count uint64) error {
	if count == 0 {
		return nil
	}
	least := uint64(32)
	if p.wide {
		least = 56
	}
	if size < least || size > 256 || count > maxHeaders {
		return fmt.Errorf("%d of %d bytes", count, size)
	}
	table, err := p.part(offset, size*count)
	if err != nil {
		return err
	}
	const load, dynamic, executable, writable = 1, 2, 1, 2
	for i := range count {
		h := table[i*size:]
		var s section
		var flags uint32
		kind := p.order.Uint32(h)
		if p.wide {
			flags = p.order.Uint32(h[4:])
			s.offset, s.addr, s.size = p.order.Uint64(h[8:]), p.order.Uint64(h[16:]), p.order.Uint64(h[32:])
		} else {
			s.offset, s.addr, s.size = uint64(p.order.Uint32(h[4:])), uint64(p.order.Uint32(h[8:])), uint64(p.order.Uint32(h[16:]))
			flags = p.order.Uint32(h[24:])
		}
		s.data = flags&(writable|executable) == writable
		switch kind {
		case load:
			p.segments = append(p.segments, s)
		case dynamic:
			p.dynamic = s
		}
	}
	return nil
}

func (p *program) elfSections(offset, size, count, names uint64) error {
	if offset == 0 || count == 0 { // stripped of them: the segments remain
		return nil
	}
	least := uint64(40)
	if p.wide {
		least = 64
	}
	if size < least || size > 256 || count > maxHeaders || names >= count {
		return fmt.Errorf("%d of %d bytes", count, size)
	}
	table, err := p.part(offset, size*count)
	if err != nil {
		return err
	}
	const noBits, writable = 8, 1
	at := make([]uint32, count)
	for i := range count {
		h := table[i*size:]
		s := section{note: p.order.Uint32(h[4:])}
		at[i] = p.order.Uint32(h)
		var flags uint64
		if p.wide {
			flags = p.order.Uint64(h[8:])
			s.addr, s.offset, s.size, s.link = p.order.Uint64(h[16:]), p.order.Uint64(h[24:]), p.order.Uint64(h[32:]), p.order.Uint32(h[40:])
		} else {
			flags = uint64(p.order.Uint32(h[8:]))
			s.addr, s.offset, s.size, s.link = uint64(p.order.Uint32(h[12:])), uint64(p.order.Uint32(h[16:])), uint64(p.order.Uint32(h[20:])), p.order.Uint32(h[24:])
		}
		if s.note == noBits {
			s.size = 0
		}
		s.data = flags&writable != 0
		p.sections = append(p.sections, s)
	}
	n := p.sections[names]
	text, err := p.part(n.offset, min(n.size, maxNames))
	if err != nil {
		return err
	}
	for i := range p.sections {
		p.sections[i].name = textAt(text, uint64(at[i]), 64)
	}
	return nil
}

// textAt returns the zero-terminated text at an offset, at most that long.
func textAt(table []byte, offset uint64, most int) string {
	if offset >= uint64(len(table)) {
		return ""
	}
	text := table[offset:]
	text = text[:min(len(text), most)]
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	return string(text)
}

func outlinePE(r io.ReaderAt, dos []byte) (*program, error) {
	p := &program{r: r, format: "pe", order: binary.LittleEndian}
	at := uint64(p.order.Uint32(dos[60:]))
	h, err := p.part(at, 24)
	if err != nil || string(h[:4]) != "PE\x00\x00" {
		return nil, errNoProgram
	}
	p.machine = p.order.Uint16(h[4:])
	count, optional := uint64(p.order.Uint16(h[6:])), uint64(p.order.Uint16(h[20:]))
	if count > maxHeaders {
		return nil, fmt.Errorf("section headers: %d of them", count)
	}
	var base uint64
	if head, err := p.part(at+24, min(optional, 32)); err == nil && len(head) == 32 {
		switch p.order.Uint16(head) {
		case 0x10b:
			base = uint64(p.order.Uint32(head[28:]))
		case 0x20b:
			p.wide, base = true, p.order.Uint64(head[24:])
		}
	}
	const size = 40
	table, err := p.part(at+24+optional, size*count)
	if err != nil {
		return nil, fmt.Errorf("section headers: %w", err)
	}
	for i := range count {
		h := table[i*size:]
		const initialised, writable = 0x40, 0x80000000
		flags := p.order.Uint32(h[36:])
		p.sections = append(p.sections, section{
			name: textAt(h[:8], 0, 8), addr: base + uint64(p.order.Uint32(h[12:])), offset: uint64(p.order.Uint32(h[20:])),
			size: uint64(p.order.Uint32(h[16:])), data: flags&writable != 0 && flags&initialised != 0,
		})
	}
	return p, nil
}

func outlineFat(r io.ReaderAt, h []byte) (*program, error) {
	count := binary.BigEndian.Uint32(h[4:])
	if count == 0 || count > maxArches { // Java's classes begin with the same bytes
		return nil, errNoProgram
	}
	if binary.BigEndian.Uint32(h) == 0xcafebabf {
		return outlineMachO(r, binary.BigEndian.Uint64(h[16:]))
	}
	return outlineMachO(r, uint64(binary.BigEndian.Uint32(h[16:])))
}

func outlineMachO(r io.ReaderAt, start uint64) (*program, error) {
	h, err := part(r, start, 32)
	if err != nil {
		return nil, errNoProgram
	}
	p := &program{r: r, format: "macho", order: binary.LittleEndian}
	if h[0] == 0xfe {
		p.order = binary.BigEndian
	}
	head := uint64(28)
	switch p.order.Uint32(h) {
	case 0xfeedface:
	case 0xfeedfacf:
		p.wide, head = true, 32
	default:
		return nil, errNoProgram
	}
	count, size := p.order.Uint32(h[16:]), uint64(p.order.Uint32(h[20:]))
	if size > maxCommands {
		return nil, fmt.Errorf("load commands of %d bytes", size)
	}
	commands, err := part(r, start+head, size)
	if err != nil {
		return nil, fmt.Errorf("load commands: %w", err)
	}
	for range count {
		if len(commands) < 8 {
			break
		}
		kind, size := p.order.Uint32(commands), uint64(p.order.Uint32(commands[4:]))
		if size < 8 || size > uint64(len(commands)) {
			return nil, fmt.Errorf("load commands: one of %d bytes", size)
		}
		p.machCommand(kind, commands[:size], start)
		commands = commands[size:]
		if len(p.sections) > maxHeaders {
			return nil, fmt.Errorf("more than %d sections", maxHeaders)
		}
	}
	return p, nil
}

// machCommand keeps the sections of a segment, and the name of a library.
func (p *program) machCommand(kind uint32, c []byte, start uint64) {
	const segment, segment64, dylib, writable = 1, 0x19, 0xd, 2
	word := func(at int) uint64 {
		if p.wide {
			return p.order.Uint64(c[at:])
		}
		return uint64(p.order.Uint32(c[at:]))
	}
	switch {
	case kind == dylib && len(c) > 24:
		p.id = textAt(c, uint64(p.order.Uint32(c[8:])), 1024)
	case kind == segment && !p.wide && len(c) >= 56, kind == segment64 && p.wide && len(c) >= 72:
		first, size, prot, flags := 56, 68, 44, 56
		if p.wide {
			first, size, prot, flags = 72, 80, 60, 64
		}
		data := p.order.Uint32(c[prot:])&writable != 0
		for at := first; at+size <= len(c) && len(p.sections) <= maxHeaders; at += size {
			s := section{name: textAt(c[at:at+16], 0, 16), data: data}
			if p.wide {
				s.addr, s.size, s.offset = word(at+32), word(at+40), uint64(p.order.Uint32(c[at+48:]))
			} else {
				s.addr, s.size, s.offset = word(at+32), word(at+36), uint64(p.order.Uint32(c[at+40:]))
			}
			const zeroFill = 1
			if p.order.Uint32(c[at+flags:])&0xff == zeroFill {
				s.size = 0
			}
			s.offset += start
			p.sections = append(p.sections, s)
		}
	}
}
