package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown bounds one foreign text on a screen, in bytes.
const maxShown = 4096

// plain makes foreign text safe to show on one line: line breaks become spaces,
// and control characters (terminal escapes begin with one), characters that
// reorder text (Trojan Source, CVE-2021-42574), invisible ones and invalid
// UTF-8 are written out, "\x1b".
func plain(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "…"
	}
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || !shown(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && s[i] != 0xEF:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || r == '\r' || r == '\t':
			b.WriteByte(' ')
		case r < 0x100 && !shown(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case !shown(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}

// shown reports whether a character is visible or a plain space.
func shown(r rune) bool { return r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Zs, r) }

// columns is the width of text, counting a character as one column.
func columns(s string) int { return utf8.RuneCountInString(s) }

// wrap breaks text into lines of at most width columns, at spaces where it can.
// Width 0 or less does not break.
func wrap(s string, width int) []string {
	if width <= 0 || columns(s) <= width {
		return []string{s}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		// A digest or a URL that is longer than the line stays whole: it has to
		// survive being copied.
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
