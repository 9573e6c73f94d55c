package tensor

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"unicode/utf8"
)

// What texts of a header are looked at for.
const (
	// longestText is how much of one text is decoded and handed on. Real chat
	// templates stay below 100 KB, real metadata below 10 MB.
	longestText = 16 << 20
	// shortestCode is the least that could be a program once it is decoded:
	// the shortest pickle that runs anything takes more.
	shortestCode = 16
	// longestHash is the longest text of hex digits that is taken for a digest.
	longestHash = 128
)

// program names what content is by its first bytes where that is something
// that is loaded or run, and has no place between numbers; "" for anything else.
// Only marks that chance does not bring about are used.
func program(b []byte) string {
	if len(b) < shortestCode {
		return ""
	}
	has := func(prefix string) bool { return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix }
	switch {
	case isPickle(b):
		return "a pickle"
	case has("\x7fELF") && (b[4] == 1 || b[4] == 2) && (b[5] == 1 || b[5] == 2):
		return "an ELF program"
	case has("MZ") && (bytes.Contains(b[:min(len(b), 512)], []byte("PE\x00\x00")) || bytes.Contains(b[:min(len(b), 512)], []byte("DOS mode"))):
		return "a Windows program"
	case has("\xcf\xfa\xed\xfe"), has("\xce\xfa\xed\xfe"), has("\xfe\xed\xfa\xcf"), has("\xca\xfe\xba\xbe\x00\x00\x00"):
		return "a program"
	case has("PK\x03\x04"):
		return "a zip archive"
	case has("#!/"), has("#! /"):
		return "a script"
	case has("\x1f\x8b\x08"), has("7z\xbc\xaf\x27\x1c"), has("\xfd7zXZ\x00"), has("\x28\xb5\x2f\xfd"):
		return "a packed file"
	}
	return ""
}

// isPickle recognises protocols 2 to 5 by their first opcodes, and the text of
// protocol 0 by an import.
func isPickle(b []byte) bool {
	if b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 {
		// What real picklers, and those who write pickles by hand, begin with.
		return bytes.IndexByte([]byte("\x95c}](){XUqKJMGNC\x8c\x8a\x8e\x88\x89B\x8fIFSVLTi\x96"), b[2]) >= 0 && bytes.IndexByte(b, '.') > 0
	}
	return isTextPickle(b)
}

// isTextPickle finds an import, "cmodule\nname\n" with an opcode behind it, in
// text that begins with one or with a bracket. Prose in lines of one word is
// told from it by what follows.
func isTextPickle(b []byte) bool {
	const lines = 64
	if b[0] != 'c' && b[0] != '(' {
		return false
	}
	for range lines {
		line, rest, ok := bytes.Cut(b, []byte("\n"))
		if !ok {
			return false
		}
		at := bytes.TrimLeft(line, "(t")
		if len(at) > 1 && (at[0] == 'c' || at[0] == 'i') && isDotted(at[1:]) {
			name, after, ok := bytes.Cut(rest, []byte("\n"))
			if ok && len(name) > 0 && isDotted(name) && len(after) > 0 && followsImport(at[0], after) {
				return true
			}
		}
		b = rest
	}
	return false
}

// followsImport says whether what stands behind an import of a text pickle can
// make use of it: a call, or a memo and then one.
func followsImport(op byte, after []byte) bool {
	if op == 'i' {
		return bytes.IndexByte([]byte(".p0(tsa"), after[0]) >= 0
	}
	switch c := after[0]; c {
	case '(', ')', ']', '}', 'p', 'q', 'N':
		if c == 'p' && (len(after) < 2 || after[1] < '0' || after[1] > '9') {
			return false
		}
		for _, use := range [...]string{"tR", ")R", "\x85R", "\x86R", "\x87R", "\x81"} {
			if bytes.Contains(after, []byte(use)) {
				return true
			}
		}
		end := bytes.TrimRight(after, " \n")
		return bytes.HasSuffix(end, []byte("o.")) || bytes.HasSuffix(end, []byte("b.")) || bytes.HasSuffix(end, []byte("R."))
	}
	return false
}

func isDotted(b []byte) bool {
	for _, c := range b {
		if c != '_' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c < utf8.RuneSelf {
			return false
		}
	}
	return true
}

// latin1 returns the bytes that letters stand for, if none is beyond a byte.
func latin1(text []byte) ([]byte, bool) {
	out := make([]byte, 0, len(text))
	for _, r := range string(text[:min(len(text), longestText)]) {
		if r > 0xff {
			return nil, false
		}
		out = append(out, byte(r))
	}
	return out, true
}

// decoded returns what a text is an encoding of: base64 of either alphabet,
// with or without padding, line breaks or the head of a data URL, hex, or
// Latin-1 of what begins as pickles do.
func decoded(text []byte) ([]byte, bool) {
	if bytes.HasPrefix(text, []byte("\u0080")) { // bytes that were taken for Latin-1
		return latin1(text)
	}
	text = bytes.TrimSpace(text)
	if bytes.HasPrefix(text, []byte("data:")) {
		if _, after, ok := bytes.Cut(text, []byte(";base64,")); ok {
			text = after
		}
	}
	if len(text) < shortestCode*4/3 || len(text) > longestText {
		return nil, false
	}
	if len(text) > longestHash {
		out := make([]byte, hex.DecodedLen(len(text)))
		if n, err := hex.Decode(out, text); err == nil {
			return out[:n], true
		}
	}
	plain := make([]byte, 0, len(text))
	for _, c := range text {
		switch c {
		case '\n', '\r', ' ', '\t':
			continue
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		plain = append(plain, c)
	}
	plain = bytes.TrimRight(plain, "=")
	if len(plain)%4 == 1 {
		plain = plain[:len(plain)-1]
	}
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(plain)))
	n, err := base64.RawStdEncoding.Decode(out, plain)
	return out[:n], err == nil
}

// isTemplate says whether a text has the marks of a Jinja template.
func isTemplate(text []byte) bool {
	return bytes.Contains(text, []byte("{{")) && bytes.Contains(text, []byte("}}")) ||
		bytes.Contains(text, []byte("{%")) && bytes.Contains(text, []byte("%}"))
}

// code returns the first piece of a program in a text that no description of a
// model has a use for: calls that import or run what they are given. Words
// alone never count.
func code(text []byte) string {
	for _, mark := range [...]string{
		"__import__(", "os.system(", "os.popen(", "os.exec", "subprocess.Popen(", "subprocess.run(", "subprocess.call(",
		"subprocess.check_", "pickle.loads(", "marshal.loads(", "pty.spawn(", "/dev/tcp/", "<script", "javascript:",
		"!!python/object", "!!python/name",
		"exec(", "eval(",
	} {
		for from := 0; ; {
			at := bytes.Index(text[from:], []byte(mark))
			if at < 0 {
				break
			}
			at += from
			from = at + len(mark)
			// "model.eval()" and "retrieval(" are not eval.
			if before := at - 1; before >= 0 && (mark == "exec(" || mark == "eval(") {
				if c := text[before]; c == '.' || isDotted(text[before:at]) {
					continue
				}
			}
			return mark
		}
	}
	return ""
}
