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

// isPickle recognises protocols 2 to 5 by their first two opcodes, and the
// text of protocol 0 by an import and its end.
func isPickle(b []byte) bool {
	if b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 {
		// What real picklers, and those who write pickles by hand, begin with.
		return bytes.IndexByte([]byte("\x95c}](){XUqKJMGNC\x8c\x8a\x8e\x88\x89B\x8fIFSVLTi\x96"), b[2]) >= 0 && bytes.IndexByte(b, '.') > 0
	}
	return isTextPickle(b)
}

// isTextPickle recognises "cmodule\nname\n" or "(i…" with an opcode that calls.
func isTextPickle(b []byte) bool {
	for len(b) > 0 && b[0] == '(' {
		b = b[1:]
	}
	if len(b) < 4 || b[0] != 'c' && b[0] != 'i' {
		return false
	}
	rest := b[1:]
	for range 2 {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		if !ok || len(line) == 0 || len(line) > 256 || !isDotted(line) {
			return false
		}
		rest = after
	}
	end := bytes.LastIndexByte(rest, '.')
	return end >= 0 && (b[0] == 'i' || bytes.ContainsAny(rest[:end], "R\x81ob"))
}

func isDotted(b []byte) bool {
	for _, c := range b {
		if c != '_' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && c < utf8.RuneSelf {
			return false
		}
	}
	return true
}

// decoded returns what a text is an encoding of: base64 of either alphabet,
// with or without padding, line breaks or the head of a data URL, or hex.
func decoded(text []byte) ([]byte, bool) {
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
