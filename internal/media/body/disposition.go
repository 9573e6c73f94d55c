package body

import (
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// dispositionOf reads the Content-Disposition of a part in the one form that all
// readers agree in: name first, then the file's name, nothing else, and in neither
// a character by which one of them would see another parameter. Some readers
// search the line for name=, some split it at each semicolon, some take a
// backslash away, some decode %22 (WHATWG HTML, multipart/form-data) or encoded
// words (RFC 2047), and some know the extended parameters of RFC 2231.
func dispositionOf(line string) (name, file string, code verdict.Code) {
	kind, rest, _ := strings.Cut(line, ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "form-data") {
		return "", "", verdict.BodyMalformed
	}
	name, rest, ok := parameter(rest, "name")
	if !ok {
		return "", "", verdict.BodyAmbiguous
	}
	if rest != "" {
		if file, rest, ok = parameter(rest[1:], "filename"); !ok || rest != "" {
			return "", "", verdict.BodyAmbiguous
		}
	}
	if strings.ContainsAny(name, ";=%*") || strings.ContainsFunc(name, unshown) || strings.TrimSpace(name) != name {
		return "", "", verdict.BodyAmbiguous
	}
	for _, two := range []string{";", "=?", "%22", "%0a", "%0d"} {
		if strings.Contains(strings.ToLower(file), two) {
			return "", "", verdict.BodyAmbiguous
		}
	}
	return name, file, ""
}

// unshown are the characters that end a line or a string for some reader.
func unshown(r rune) bool { return r < ' ' || r == 0x7f }

// parameter reads one parameter, quoted or a token. Rest is what follows it: "",
// or what begins with a semicolon.
func parameter(s, name string) (value, rest string, ok bool) {
	key, s, ok := strings.Cut(strings.TrimLeft(s, " "), "=")
	if !ok || !strings.EqualFold(key, name) {
		return "", "", false
	}
	if quoted, is := strings.CutPrefix(s, `"`); is {
		value, rest, ok = strings.Cut(quoted, `"`)
		rest = strings.TrimLeft(rest, " ")
		return value, rest, ok && value != "" && strings.IndexByte(value, '\\') < 0 && (rest == "" || rest[0] == ';')
	}
	n := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?=`, r) })
	if n < 0 {
		n = len(s)
	}
	rest = strings.TrimLeft(s[n:], " ")
	return s[:n], rest, n > 0 && (rest == "" || rest[0] == ';')
}
