package native

const (
	// maxDynamic bounds the dynamic section; libraries have some fifty entries.
	maxDynamic = 64 << 10
	// maxNeeded bounds the libraries that one asks for.
	maxNeeded = 1024
)

// names returns what an ELF library is called by those that need it, and what it
// needs itself (System V ABI, chapter 5). What cannot be read is left out.
func (p *program) names() (soname string, needed []string) {
	if p.format == "macho" {
		return p.id, nil
	}
	if p.format != "elf" || p.dynamic.size == 0 {
		return "", nil
	}
	table, err := p.part(p.dynamic.offset, min(p.dynamic.size, maxDynamic))
	if err != nil {
		return "", nil
	}
	const end, need, strings, so = 0, 1, 5, 14
	var texts uint64
	var named, needs []uint64
	width := 4
	if p.wide {
		width = 8
	}
	for ; len(table) >= 2*width; table = table[2*width:] {
		tag, value := pointer(p.order, table, uint64(width)), pointer(p.order, table[width:], uint64(width))
		switch tag {
		case strings:
			texts = value
		case so:
			named = append(named, value)
		case need:
			needs = append(needs, value)
		}
		if tag == end || len(needs) > maxNeeded {
			break
		}
	}
	text := func(offset uint64) string {
		const longest = 256
		b, err := p.at(texts+offset, longest)
		if err != nil {
			return ""
		}
		return textAt(b, 0, longest)
	}
	for _, n := range needs {
		if name := text(n); name != "" {
			needed = append(needed, name)
		}
	}
	if len(named) > 0 {
		soname = text(named[0])
	}
	return soname, needed
}
