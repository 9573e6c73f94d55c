package manifest

import (
	"bytes"
	"unicode/utf8"
)

var bom = []byte("\ufeff")

// screen refuses bytes that parsers read differently or at great cost, before
// any parser sees them, and returns data without a leading byte order mark.
func (b *builder) screen(data []byte) ([]byte, error) {
	if len(data) > b.limits.Bytes {
		return nil, problem(0, 0, "the file has %d bytes and the limit is %d: split it", len(data), b.limits.Bytes)
	}
	data = bytes.TrimPrefix(data, bom)
	if i := invalidUTF8(data); i >= 0 {
		line, col := position(data, i)
		return nil, problem(line, col, "not valid UTF-8: save the file as UTF-8")
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		line, col := position(data, i)
		return nil, problem(line, col, "a NUL character: save the file as UTF-8 text")
	}
	if n := directives(data); n > maxDirectives {
		return nil, problem(0, 0, "the file has %d lines that start with %% and the limit is %d: remove YAML directives", n, maxDirectives)
	}
	line, docs, start, marks := int32(0), 1, 0, 0
	for at := 0; at < len(data); {
		end := bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			end = len(data) - at
		}
		text := data[at : at+end]
		line++
		switch {
		case bytes.HasPrefix(text, bom):
			return nil, problem(line, 1, "a byte order mark in the middle of the file: remove it")
		case bytes.HasPrefix(text, []byte("---")):
			// kubectl and others cut files at such lines before they parse; YAML
			// takes "---x" for text. The two would see different objects.
			if len(text) > 3 && text[3] != ' ' && text[3] != '\t' && text[3] != '\r' {
				return nil, problem(line, 4, `text right behind "---": write the separator on a line of its own, and indent text that starts with ---`)
			}
			docs++
			start, marks = at, 0
		}
		if docs > b.limits.Documents+1 { // the first one may be empty
			return nil, problem(line, 1, "the file has more than %d documents: split it", b.limits.Documents)
		}
		for _, c := range text {
			switch c {
			case ',', ':', '-', '[', '{', '?', '\r':
				marks++
			}
		}
		marks++
		at += end + 1
		if at-start > maxDocument+1 || marks > maxMarks {
			return nil, problem(line, 1, "a document larger than an API server accepts (%d bytes, or %d separators): split it", maxDocument, maxMarks)
		}
	}
	return data, nil
}

// directives counts the lines that start with %. Lines end where YAML 1.1 ends
// them, which is at more characters than others know.
func directives(data []byte) (n int) {
	for at := 0; ; at++ {
		i := bytes.IndexByte(data[at:], '%')
		if i < 0 {
			return n
		}
		at += i
		before := data[:at]
		for _, end := range [...]string{"", "\n", "\r", "\u0085", "\u2028", "\u2029"} {
			if end == "" && at == 0 || end != "" && bytes.HasSuffix(before, []byte(end)) {
				n++
				break
			}
		}
	}
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// position returns line and column, from 1, of an offset; columns count bytes.
func position(data []byte, offset int) (line, col int32) {
	line = int32(1 + bytes.Count(data[:offset], []byte{'\n'}))
	col = int32(offset - bytes.LastIndexByte(data[:offset], '\n'))
	return line, col
}
