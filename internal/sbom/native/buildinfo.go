package native

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
)

const (
	// maxModules is how long the list of modules in a program may be: one of a
	// thousand modules has 150 KB.
	maxModules = 4 << 20
	// maxSearch is how far build information is looked for where no section is
	// named after it: the linker puts it at the beginning of the data.
	maxSearch = 4 << 20

	buildInfoMagic  = "\xff Go buildinf:"
	buildInfoAlign  = 16
	buildInfoHeader = 32
)

// ErrNotGo says that a file is no program that Go built, or has no build
// information.
var ErrNotGo = errors.New("not a Go program")

// ReadBuildInfo returns the build information of a Go program, in ELF, PE or
// Mach-O. What it reads is bounded whatever the program says of itself. Errors
// wrap [ErrNotGo] when the file is none.
func ReadBuildInfo(r io.ReaderAt) (*debug.BuildInfo, error) {
	p, err := outline(r)
	if errors.Is(err, errNoProgram) {
		return nil, fmt.Errorf("%w: %w", ErrNotGo, err)
	}
	if err != nil {
		return nil, err
	}
	where, ok := p.buildInfoAt()
	if !ok {
		return nil, ErrNotGo
	}
	version, modules, err := p.buildInfo(where)
	if err != nil {
		return nil, err
	}
	// The list lies between two marks of 16 bytes (cmd/go/internal/modload).
	if n := len(modules); n >= 33 && modules[n-17] == '\n' {
		modules = modules[16 : n-16]
	} else {
		modules = ""
	}
	info, err := debug.ParseBuildInfo(modules)
	if err != nil {
		return nil, fmt.Errorf("read the list of modules: %w", err)
	}
	info.GoVersion = version
	return info, nil
}

// buildInfoAt finds the offset of the build information.
func (p *program) buildInfoAt() (uint64, bool) {
	for _, name := range []string{".go.buildinfo", "__go_buildinfo"} {
		if s, ok := p.named(name); ok {
			return p.searchBuildInfo(s)
		}
	}
	all := p.sections
	if p.format == "elf" {
		if len(p.sections) > 0 { // the linker gives it a section: this is not Go's
			return 0, false
		}
		all = p.segments
	}
	for _, s := range all {
		if s.data && s.size > 0 {
			return p.searchBuildInfo(s)
		}
	}
	return 0, false
}

func (p *program) searchBuildInfo(s section) (uint64, bool) {
	data, err := p.part(s.offset, min(s.size, maxSearch))
	if err != nil {
		return 0, false
	}
	// What aligns it is its address.
	skip := int(-s.addr % buildInfoAlign)
	for at := skip; at < len(data); {
		i := bytes.Index(data[at:], []byte(buildInfoMagic))
		if i < 0 {
			return 0, false
		}
		at += i
		if (at-skip)%buildInfoAlign == 0 && len(data)-at >= buildInfoHeader {
			return s.offset + uint64(at), true
		}
		at++
	}
	return 0, false
}

// buildInfo reads the version and the list of modules.
func (p *program) buildInfo(offset uint64) (version, modules string, err error) {
	h, err := p.part(offset, buildInfoHeader)
	if err != nil {
		return "", "", fmt.Errorf("read build information: %w", err)
	}
	const inline, big = 2, 1
	if h[15]&inline != 0 { // since Go 1.18
		offset += buildInfoHeader
		if version, offset, err = p.lengthText(offset); err == nil {
			modules, _, err = p.lengthText(offset)
		}
	} else {
		var order binary.ByteOrder = binary.LittleEndian
		if h[15]&big != 0 {
			order = binary.BigEndian
		}
		width := uint64(h[14])
		if width != 4 && width != 8 {
			return "", "", fmt.Errorf("%w: its build information has pointers of %d bytes", ErrNotGo, width)
		}
		if version, err = p.goText(pointer(order, h[16:], width), order, width); err == nil {
			modules, err = p.goText(pointer(order, h[16+width:], width), order, width)
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("read build information: %w", err)
	}
	if version == "" {
		return "", "", ErrNotGo
	}
	return version, modules, nil
}

// lengthText reads a text after its length, and returns where it ends.
func (p *program) lengthText(offset uint64) (string, uint64, error) {
	var head [binary.MaxVarintLen64]byte
	n, err := p.r.ReadAt(head[:], int64(offset))
	if n == 0 {
		return "", 0, err
	}
	length, used := binary.Uvarint(head[:n])
	if used <= 0 || length > maxModules {
		return "", 0, fmt.Errorf("a text in it is longer than %d bytes", maxModules)
	}
	text, err := p.part(offset+uint64(used), length)
	return string(text), offset + uint64(used) + length, err
}

// goText reads the string whose header, an address and a length, is there.
func (p *program) goText(addr uint64, order binary.ByteOrder, width uint64) (string, error) {
	if addr == 0 {
		return "", nil
	}
	h, err := p.at(addr, 2*width)
	if err != nil {
		return "", err
	}
	if uint64(len(h)) < 2*width {
		return "", io.ErrUnexpectedEOF
	}
	length := pointer(order, h[width:], width)
	if length == 0 {
		return "", nil
	}
	if length > maxModules {
		return "", fmt.Errorf("a text in it is longer than %d bytes", maxModules)
	}
	text, err := p.at(pointer(order, h, width), length)
	if err == nil && uint64(len(text)) < length {
		err = io.ErrUnexpectedEOF
	}
	return string(text), err
}

func pointer(order binary.ByteOrder, b []byte, width uint64) uint64 {
	if width == 4 {
		return uint64(order.Uint32(b))
	}
	return order.Uint64(b)
}
