package native

import (
	"bytes"
	"io"
	"strings"
)

const (
	// maxScan is how much text of one library is looked at. The version stands in
	// its read-only data, of which CUDA's own have gigabytes; others have less.
	maxScan = 32 << 20
	// chunk is read at a time, with enough of the one before that a mark on the
	// border is seen whole.
	chunk   = 1 << 20
	overlap = 256
)

// hit is a version that a mark was followed by.
type hit struct {
	library string
	version string
}

// scan looks for the marks of the libraries in the text of a program. Of each
// library the first version counts.
func (p *program) scan(wanted []library) []hit {
	var out []hit
	left := uint64(maxScan)
	seen := make([]string, len(wanted)) // by library
	armed := make([]bool, len(wanted))  // a mark that proves a bare version was seen
	bare := make([]string, len(wanted))
	buf := make([]byte, chunk+overlap)
	for _, s := range p.texts() {
		kept := 0
		for at := uint64(0); at < s.size && left > 0; {
			n := min(chunk, s.size-at, left)
			got, err := p.r.ReadAt(buf[kept:kept+int(n)], int64(min(s.offset+at, 1<<40)))
			data := buf[:kept+got]
			for i := range wanted {
				if seen[i] == "" {
					seen[i] = look(data, &wanted[i], &armed[i], &bare[i])
				}
			}
			if err != nil && got == 0 || err != nil && err != io.EOF {
				break
			}
			at += uint64(got)
			left -= uint64(got)
			kept = copy(buf, data[max(0, len(data)-overlap):])
			if err == io.EOF {
				break
			}
		}
	}
	for i := range wanted {
		if seen[i] == "" && armed[i] {
			seen[i] = bare[i]
		}
		if seen[i] != "" {
			out = append(out, hit{wanted[i].name, seen[i]})
		}
	}
	return out
}

// texts returns the parts where constant text lies: by name where there are
// sections, else all of them.
func (p *program) texts() []section {
	var out []section
	for _, s := range p.sections {
		switch s.name {
		case ".rodata", ".rodata.str1.1", ".rodata.str1.8", ".dynstr", ".rdata", "__cstring", "__const":
			if s.size > 0 {
				out = append(out, s)
			}
		}
	}
	switch {
	case len(out) > 0:
		return out
	case len(p.segments) > 0:
		return p.segments
	}
	return p.sections
}

// look returns the version that stands behind a mark of the library. For a mark
// that has none behind it, armed notes that it was seen, and bare a text that
// can be the version.
func look(data []byte, l *library, armed *bool, bare *string) string {
	for _, m := range l.marks {
		if m.major != "" {
			if m.before == "" || bytes.Contains(data, []byte(m.before)) {
				*armed = true
			}
			if *bare == "" {
				*bare = bareVersion(data, m.major)
			}
			continue
		}
		for rest := data; ; {
			i := bytes.Index(rest, []byte(m.before))
			if i < 0 {
				break
			}
			rest = rest[i+len(m.before):]
			if v := versionAt(rest, m); v != "" {
				return v
			}
		}
	}
	return ""
}

// versionAt reads a version: numbers with dots, and what is attached to them.
func versionAt(b []byte, m mark) string {
	end := 0
	for end < len(b) && end < 48 {
		c := b[end]
		if c >= '0' && c <= '9' || c == '.' || end > 0 && (c >= 'a' && c <= 'z' || c == '-' || c == '+' || m.underscores && c == '_') {
			end++
			continue
		}
		break
	}
	v := strings.TrimRight(string(b[:end]), ".-+_")
	if m.underscores {
		v = strings.ReplaceAll(v, "_", ".")
	}
	numbers := len(v)
	if i := strings.IndexFunc(v, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		numbers = i
	}
	if !isVersion(strings.TrimRight(v[:numbers], "."), 2) {
		return ""
	}
	if m.dated {
		rest := bytes.TrimLeft(b[end:min(len(b), end+4)], " ")
		if len(rest) == 0 || rest[0] < '0' || rest[0] > '9' || end >= len(b) || b[end] != ' ' {
			return ""
		}
	}
	return v
}

// bareVersion finds a text that is nothing but three or more numbers, of which
// the first is the major version: "\x003.40.1\x00".
func bareVersion(data []byte, major string) string {
	for rest := data; ; {
		i := bytes.Index(rest, []byte("\x00"+major))
		if i < 0 {
			return ""
		}
		rest = rest[i+1:]
		end := bytes.IndexByte(rest[:min(len(rest), 24)], 0)
		if end > 0 {
			if v, _, _ := strings.Cut(string(rest[:end]), ","); isVersion(v, 3) {
				return v
			}
		}
	}
}
