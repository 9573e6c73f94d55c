package imported

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
)

const (
	// MaxRecord bounds a record of loads. A program that imports all of PyTorch
	// and TensorFlow writes 2 MB with -X importtime and 20 MB with -v.
	MaxRecord = 64 << 20
	// maxLine bounds one line; a longer one is a program's own output.
	maxLine = 64 << 10
	// maxLoads bounds what one record may name.
	maxLoads = 500_000
	// maxName bounds the name of a module, and maxPath is PATH_MAX.
	maxName = 512
	maxPath = 4096
)

// ErrFormat is wrapped by errors about a file that is no record of loads.
var ErrFormat = errors.New("not a record of loaded modules")

// Observed reads a record of what a program was seen to load. It is one of, as its
// first line that is one says:
//
//   - JSON lines: {"module":"torch.nn"}, or {"file":"/usr/lib/libcudnn.so.9"};
//     other members are left out, and a line that is something else is an error;
//   - what Python writes with -X importtime, or with -v;
//   - the text of /proc/PID/maps, of one process or of several.
//
// The last three come mixed with what the program itself writes: lines of another
// form are passed over. from is noted as where the evidence is from. A file
// without a single load is an error that wraps [ErrFormat].
func Observed(from string, data []byte) (Evidence, error) {
	e := newEvidence(fact.ImportObserved, from)
	if len(data) > MaxRecord {
		return e, fmt.Errorf("%s: %w of %d bytes", from, bounded.ErrTooLarge, MaxRecord)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, MaxRecord+1)
	var read reader
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), "\r")
		if len(line) > maxLine || strings.TrimSpace(line) == "" {
			continue
		}
		if read.line == nil {
			if read = readerOf(line); read.line == nil {
				continue
			}
		}
		if !read.line(&e, line) && read.strict {
			return e, fmt.Errorf("%s:%d: a line names a load as {\"module\":\"torch.nn\"} or {\"file\":\"/usr/lib/x.so\"}", from, n)
		}
		if e.Len() > maxLoads {
			return e, fmt.Errorf("%s: %w of %d loads", from, bounded.ErrTooMany, maxLoads)
		}
	}
	if err := lines.Err(); err != nil {
		return e, fmt.Errorf("%s: %w", from, err)
	}
	if e.Len() == 0 {
		return e, fmt.Errorf("%s: %w: it is neither JSON lines, nor what python -X importtime or -v writes, nor the maps of a process", from, ErrFormat)
	}
	return e, nil
}

// reader reads the lines of one format; line says whether it was one.
type reader struct {
	line   func(e *Evidence, line string) bool
	strict bool
}

// readerOf tells the format by a line; its line is nil when that is of none.
func readerOf(line string) reader {
	for _, r := range []reader{{jsonLine, true}, {importTimeLine, false}, {verboseLine, false}, {mapsLine, false}} {
		scratch := newEvidence("", "")
		if r.line(&scratch, line) {
			return r
		}
	}
	return reader{}
}

// jsonLine reads {"module":"a.b"} or {"file":"/a/b.so"}.
func jsonLine(e *Evidence, line string) bool {
	const depth = 4 // the object, and what else a tracer may note
	var load struct{ Module, File string }
	if line[0] != '{' || bounded.JSON([]byte(line), depth, &load) != nil || load.Module == "" && load.File == "" {
		return false
	}
	if load.Module != "" && !isModule(load.Module) {
		return false
	}
	e.module(load.Module)
	if load.File != "" {
		e.file(load.File)
	}
	return true
}

// importTimeLine reads "import time:       735 |       1488 |     json.scanner";
// the heading of the columns is one too.
func importTimeLine(e *Evidence, line string) bool {
	rest, ok := strings.CutPrefix(line, "import time:")
	columns := strings.Split(rest, "|")
	if !ok || len(columns) != 3 {
		return false
	}
	e.module(strings.TrimSpace(columns[2]))
	return true
}

// verboseLine reads "import 'json.scanner' # <…>", and "# extension module
// '_json' loaded from '/…/_json.so'".
func verboseLine(e *Evidence, line string) bool {
	if rest, ok := strings.CutPrefix(line, "import "); ok {
		name, _, ok := strings.Cut(rest, " # ")
		if name = strings.Trim(name, "'"); !ok || !isModule(name) {
			return false
		}
		e.module(name)
		return true
	}
	if rest, ok := strings.CutPrefix(line, "# extension module '"); ok {
		name, rest, _ := strings.Cut(rest, "'")
		if file, ok := strings.CutPrefix(rest, " loaded from '"); ok && isModule(name) {
			e.module(name)
			e.file(strings.TrimSuffix(file, "'"))
			return true
		}
	}
	return false
}

// mapsLine reads "7f00-7f01 r-xp 00002000 fe:00 247278    /usr/lib/x.so".
func mapsLine(e *Evidence, line string) bool {
	fields := strings.Fields(line)
	if len(fields) < 5 || len(fields[1]) != 4 || !strings.HasPrefix(strings.TrimLeft(fields[0], "0123456789abcdef"), "-") || !strings.Contains(fields[3], ":") {
		return false
	}
	if strings.Trim(fields[0], "0123456789abcdef-") != "" || strings.Trim(fields[1], "rwxsp-") != "" {
		return false
	}
	// The path is all of the rest of the line, spaces included.
	at := strings.IndexByte(line, '/')
	if len(fields) == 5 || at < 0 || fields[5][0] != '/' {
		return true // memory without a file, or "[stack]"
	}
	e.file(strings.TrimSuffix(line[at:], " (deleted)"))
	return true
}
