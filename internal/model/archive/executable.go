package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleExecutable = &scan.Rule{ID: "executable.program", Severity: scan.Harmful,
		Why:        "This is a program and no model: opening or starting it runs it.",
		Mend:       "Do not open it; ask its author for the weights in a plain format (safetensors, GGUF).",
		References: []string{"CWE-506"}}
	ruleLibrary = &scan.Rule{ID: "executable.library", Severity: scan.Doubtful,
		Why:  "Native code runs as soon as a loader links it, and nothing here can tell what it does.",
		Mend: "Build the library from its source and deploy it as software, not as a model."}
	ruleScript = &scan.Rule{ID: "executable.script", Severity: scan.Harmful,
		Why:  "This is a script for a command interpreter and no model: starting it runs it.",
		Mend: "Do not start it; ask its author for the weights in a plain format."}
	rulePython = &scan.Rule{ID: "executable.python", Severity: scan.Doubtful,
		Why:  "This is a program that says who runs it, not a model.",
		Mend: "Review it as source code; keep it out of what loaders import."}
	ruleInner = &scan.Rule{ID: "executable.inner", Severity: scan.Note,
		Why: "Archives of software bring scripts and bytecode, which no loader of models starts.", Mend: "Review it as source code."}
	ruleBytecode = &scan.Rule{ID: "executable.bytecode", Severity: scan.Doubtful,
		Why:  "This is a program for a virtual machine and no model: whatever loads it runs it.",
		Mend: "Deploy it as software, reviewed and built from its source; ask its author for the weights in a plain format."}
)

// Executable reads what an operating system or a runtime would run: ELF, PE,
// Mach-O, APE (llamafile), DEX, the bytecode of virtual machines, scripts with an interpreter line, Windows
// shortcuts. It reads headers only.
func Executable() scan.Format {
	return scan.Format{Name: "executable", Claim: claimExecutable, Scan: scanExecutable,
		Rules: []*scan.Rule{ruleExecutable, ruleLibrary, ruleScript, rulePython, ruleInner, ruleBytecode}}
}

// A program is what identify says of a file.
type program struct {
	rule *scan.Rule
	as   string // the name of the format
	what string
}

func claimExecutable(f *scan.File) bool {
	head, err := f.Head()
	if err != nil {
		return false
	}
	_, ok := identify(f, head)
	return ok
}

func scanExecutable(p *scan.Place, f *scan.File) error {
	head, err := f.Head()
	if err != nil {
		return err
	}
	found, ok := identify(f, head)
	if !ok {
		return scan.ErrOther
	}
	if p.Depth() > 0 && (found.rule == ruleScript || found.rule == rulePython || found.rule == ruleBytecode) {
		found.rule = ruleInner // the model archives, which have none, report them by name
	}
	p.As(found.as)
	p.Report(found.rule, scan.At(0), found.what)
	return nil
}

func identify(f *scan.File, head []byte) (program, bool) {
	if len(head) < 4 {
		return program{}, false
	}
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return elf(head), true
	case bytes.HasPrefix(head, []byte("MZqFpD")), bytes.HasPrefix(head, []byte("jartsr='\n")):
		return program{ruleExecutable, "ape", "an Actually Portable Executable (llamafile, cosmopolitan)"}, true
	case head[0] == 'M' && head[1] == 'Z', head[0] == 'Z' && head[1] == 'M':
		return pe(f, head)
	case bytes.HasPrefix(head, []byte("#!")):
		return script(head)
	case bytes.HasPrefix(head, []byte("\x4c\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46")):
		return program{ruleExecutable, "lnk", "a Windows shortcut, which starts what it points to"}, true
	case bytes.HasPrefix(head, []byte("\x00asm\x01\x00\x00\x00")):
		return program{ruleBytecode, "wasm", "a WebAssembly module"}, true
	case bytes.HasPrefix(head, []byte("\x00asm")) && len(head) >= 8 && head[6] == 1 && head[7] == 0:
		return program{ruleBytecode, "wasm", "a WebAssembly component"}, true
	case isClass(head):
		return program{ruleBytecode, "class", "a Java class"}, true
	case isModules(head):
		return program{ruleBytecode, "jimage", "an image of Java modules"}, true
	case len(head) >= 12 && bytes.HasPrefix(head, []byte("\x1bLua")) && head[4] >= 0x50 && head[4] <= 0x5f, bytes.HasPrefix(head, []byte("\x1bLJ\x01")), bytes.HasPrefix(head, []byte("\x1bLJ\x02")):
		return program{ruleBytecode, "lua", "compiled Lua"}, true
	case bytes.HasPrefix(head, []byte("FOR1")) && len(head) >= 12 && string(head[8:12]) == "BEAM":
		return program{ruleBytecode, "beam", "a module of Erlang"}, true
	case bytes.HasPrefix(head, []byte("BC\xc0\xde")), bytes.HasPrefix(head, []byte("\xde\xc0\x17\x0b")):
		return program{ruleBytecode, "llvm", "bitcode of LLVM"}, true
	case len(head) >= 8 && bytes.HasPrefix(head, []byte("dex\n")) && head[7] == 0:
		return program{ruleLibrary, "dex", "a Dalvik executable"}, true
	}
	return macho(f, head)
}

// isClass verifies what follows the magic, which universal binaries of macOS
// have as well: a version from 1.0.2 (45) to 43 more, a pool of constants, and
// that the first constant is of a kind that there is (JVMS 4.1, 4.4).
func isClass(head []byte) bool {
	const oldest, newest, kinds = 45, 88, 20
	if len(head) < 11 || !bytes.HasPrefix(head, []byte("\xca\xfe\xba\xbe")) {
		return false
	}
	be := binary.BigEndian
	major, pool, kind := be.Uint16(head[6:]), be.Uint16(head[8:]), head[10]
	return major >= oldest && major <= newest && (pool == 1 || pool > 1 && kind >= 1 && kind <= kinds)
}

// isModules knows the file that the Java runtime keeps its modules in.
func isModules(head []byte) bool {
	return len(head) >= 8 && (bytes.HasPrefix(head, []byte("\xda\xda\xfe\xca\x00\x00\x01\x00")) || bytes.HasPrefix(head, []byte("\xca\xfe\xda\xda\x00\x01\x00\x00")))
}

// elf tells a program from a library by its type and its interpreter.
func elf(head []byte) program {
	found := program{ruleExecutable, "elf", "an ELF program"}
	if len(head) < 20 {
		return found
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	switch order.Uint16(head[16:]) {
	case 1:
		return program{ruleLibrary, "elf", "an ELF object file"}
	case 3: // position-independent: a library unless it names an interpreter
		if !hasInterpreter(head, order) {
			return program{ruleLibrary, "elf", "an ELF shared library"}
		}
	}
	return found
}

// hasInterpreter looks for a PT_INTERP segment among the first program
// headers. Those that lie beyond the head are not read: then it is no library
// that a compiler made, and counts as a program.
func hasInterpreter(head []byte, order binary.ByteOrder) bool {
	const ptInterp = 3
	var at uint64
	var size, count int
	if head[4] == 2 {
		if len(head) < 64 {
			return true
		}
		at, size, count = order.Uint64(head[32:]), int(order.Uint16(head[54:])), int(order.Uint16(head[56:]))
	} else {
		if len(head) < 52 {
			return true
		}
		at, size, count = uint64(order.Uint32(head[28:])), int(order.Uint16(head[42:])), int(order.Uint16(head[44:]))
	}
	for i := range count {
		next := at + uint64(i)*uint64(size)
		if next < at || next+4 > uint64(len(head)) {
			return true
		}
		if order.Uint32(head[next:]) == ptInterp {
			return true
		}
	}
	return false
}

// pe verifies the header that the DOS header points to. Without one, a DOS
// program is told from data by its fields.
func pe(f *scan.File, head []byte) (program, bool) {
	if len(head) < 64 {
		return program{}, false
	}
	at := int64(binary.LittleEndian.Uint32(head[60:]))
	header, err := f.Read(at, 24)
	if err == nil && bytes.HasPrefix(header, []byte("PE\x00\x00")) {
		const dll = 0x2000
		if binary.LittleEndian.Uint16(header[22:])&dll != 0 {
			return program{ruleLibrary, "pe", "a Windows library (PE, DLL)"}, true
		}
		return program{ruleExecutable, "pe", "a Windows program (PE)"}, true
	}
	if err == nil && (bytes.HasPrefix(header, []byte("NE")) || bytes.HasPrefix(header, []byte("LE")) || bytes.HasPrefix(header, []byte("LX"))) {
		return program{ruleExecutable, "pe", "an old Windows or OS/2 program"}, true
	}
	// a DOS program: header of 2 to 64 paragraphs, pages within the file
	pages, paragraphs := int64(binary.LittleEndian.Uint16(head[4:])), binary.LittleEndian.Uint16(head[8:])
	last, relocations := binary.LittleEndian.Uint16(head[2:]), binary.LittleEndian.Uint16(head[24:])
	if pages > 0 && pages <= 2048 && (pages-1)*512 <= f.Size() && last < 512 && paragraphs >= 2 && paragraphs <= 64 &&
		relocations >= 0x1c && relocations <= 0x200 {
		return program{ruleExecutable, "pe", "a DOS program"}, true
	}
	return program{}, false
}

// script reads the interpreter line. Comments that only begin like one are no
// scripts: the interpreter is an absolute path.
func script(head []byte) (program, bool) {
	const longest = 256 // Linux reads as much
	line, _, _ := bytes.Cut(head[2:min(len(head), longest)], []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 || !strings.HasPrefix(words[0], "/") {
		return program{}, false
	}
	if c, bad := hiddenIn(words[0]); bad {
		return program{ruleScript, "script", "an interpreter line with " + c}, true
	}
	name := words[0][strings.LastIndexByte(words[0], '/')+1:]
	if name == "env" {
		for _, word := range words[1:] {
			if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
				name = word[strings.LastIndexByte(word, '/')+1:]
				break
			}
		}
	}
	if strings.HasPrefix(name, "python") || strings.HasPrefix(name, "pypy") {
		return program{rulePython, "script", "a Python script with an interpreter line"}, true
	}
	return program{ruleScript, "script", fmt.Sprintf("a script for %q", cut(name))}, true
}

// macho verifies the header behind the magic: 0xcafebabe is Java's as well.
func macho(f *scan.File, head []byte) (program, bool) {
	if len(head) < 28 {
		return program{}, false
	}
	if kind, ok := machoKind(head); ok {
		switch kind {
		case 2, 5: // executable, preloaded
			return program{ruleExecutable, "mach-o", "a Mach-O program"}, true
		}
		return program{ruleLibrary, "mach-o", "a Mach-O library or object"}, true
	}
	magic, wide := binary.BigEndian.Uint32(head), int64(20)
	if magic != 0xcafebabe && magic != 0xcafebabf {
		return program{}, false
	}
	if magic == 0xcafebabf {
		wide = 32
	}
	count := int64(binary.BigEndian.Uint32(head[4:]))
	if count == 0 || count > int64(len(head)) || 8+count*wide > int64(len(head)) {
		return program{}, false
	}
	library := false
	const least = 45 // Java's class files have their version where the count is
	if count >= least && !isUniversal(head, count, wide, f.Size()) {
		return program{}, false
	}
	for i := range count {
		record := head[8+i*wide:]
		at := int64(binary.BigEndian.Uint32(record[8:]))
		if wide == 32 {
			at = int64(binary.BigEndian.Uint64(record[8:]) & (1<<62 - 1))
		}
		slice, err := f.Read(at, 28)
		if err != nil {
			continue
		}
		kind, ok := machoKind(slice)
		if ok && kind == 2 {
			return program{ruleExecutable, "mach-o", "a Mach-O program for several processors"}, true
		}
		library = library || ok
	}
	if !library && count > 1 && isUniversal(head, count, wide, f.Size()) {
		return program{ruleExecutable, "mach-o", "a table of programs for several processors (Mach-O)"}, true
	}
	return program{ruleLibrary, "mach-o", "a Mach-O library for several processors"}, library
}

// isUniversal verifies the table of a universal binary: each entry is for a
// processor that Apple's systems ran on, and places its program behind the
// table and the one before, where its alignment allows. The last program may
// be cut off.
func isUniversal(head []byte, count, wide, size int64) bool {
	const mostAlign = 15 // as the linker has it
	be := binary.BigEndian
	end := uint64(8 + count*wide)
	for i := range count {
		record := head[8+i*wide:]
		at, long, align := uint64(be.Uint32(record[8:])), uint64(be.Uint32(record[12:])), be.Uint32(record[16:])
		if wide == 32 {
			at, long, align = be.Uint64(record[8:]), be.Uint64(record[16:]), be.Uint32(record[24:])
		}
		switch be.Uint32(record) {
		case 7, 0x01000007, 12, 0x0100000c, 0x0200000c, 18, 0x01000012: // x86, ARM, PowerPC; of 64 bits or of 32 in 64
		default:
			return false
		}
		if align > mostAlign || at&(1<<align-1) != 0 || long == 0 || at < end || at >= uint64(size) || long > 1<<62 {
			return false
		}
		end = at + long
	}
	return true
}

func machoKind(head []byte) (kind uint32, ok bool) {
	var order binary.ByteOrder
	switch binary.LittleEndian.Uint32(head) {
	case 0xfeedface, 0xfeedfacf:
		order = binary.LittleEndian
	case 0xcefaedfe, 0xcffaedfe:
		order = binary.BigEndian
	default:
		return 0, false
	}
	kind = order.Uint32(head[12:])
	return kind, kind >= 1 && kind <= 12
}
