package archive

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleNameEscape = &scan.Rule{ID: "archive.name.escape", Severity: scan.Harmful,
		Why:        "Whoever unpacks the archive by this name writes outside of the directory that was meant.",
		Mend:       "Do not unpack it; ask its author for an archive with plain relative names.",
		References: []string{"CWE-22", "CVE-2007-4559"}}
	ruleNameAbsolute = &scan.Rule{ID: "archive.name.absolute", Severity: scan.Doubtful,
		Why:        "Some unpackers write a member with an absolute name where it says, outside of the directory that was meant.",
		Mend:       "Pack it again with relative names.",
		References: []string{"CWE-36"}}
	ruleNameDots = &scan.Rule{ID: "archive.name.dots", Severity: scan.Doubtful,
		Why:  "A name with dots in its path is one file to one reader and another file to the next.",
		Mend: "Pack it again with plain names.", References: []string{"CWE-23"}}
	ruleNameHidden = &scan.Rule{ID: "archive.name.hidden", Severity: scan.Doubtful,
		Why:        "Characters that cut a name short, hide or turn it make readers and people see different names.",
		Mend:       "Pack it again with plain names; find out who named the member so.",
		References: []string{"CWE-451", "CWE-626"}}
	ruleNameBackslash = &scan.Rule{ID: "archive.name.backslash", Severity: scan.Doubtful,
		Why:  "A backslash separates folders for one reader and is part of the name for another: they find different members.",
		Mend: "Pack it again with slashes."}
	ruleNameTwice = &scan.Rule{ID: "archive.name.twice", Severity: scan.Doubtful,
		Why:  "Of two members with one name some loaders take the first and others the last, so what was checked is not what is loaded.",
		Mend: "Pack it again with one member for each name."}
)

func nameRules() []*scan.Rule {
	return []*scan.Rule{ruleNameEscape, ruleNameAbsolute, ruleNameDots, ruleNameHidden, ruleNameBackslash, ruleNameTwice}
}

// checkName reports what is wrong with the name of a member by itself. Plain
// backslashes are left to the caller, who knows the other names.
func checkName(p *limited, name string, at int64) {
	where := scan.Where{Member: printable(name), Offset: -1}
	if c, ok := hiddenIn(name); ok {
		p.Report(ruleNameHidden, where, fmt.Sprintf("the name %q at byte %d holds %s", cut(name), at, c))
	}
	slashed := strings.ReplaceAll(name, `\`, "/")
	switch dots, leaves := climbs(slashed); {
	case leaves:
		p.Report(ruleNameEscape, where, fmt.Sprintf("the name %q leads out of the archive", cut(name)))
	case dots:
		p.Report(ruleNameDots, where, fmt.Sprintf("the name %q goes up and down again", cut(name)))
	}
	if isAbsolute(slashed) {
		p.Report(ruleNameAbsolute, where, fmt.Sprintf("the name %q is absolute", cut(name)))
	}
}

// isAbsolute says whether some system takes the name for an absolute path, or
// for one on another drive or machine.
func isAbsolute(slashed string) bool {
	if strings.HasPrefix(slashed, "/") {
		return true
	}
	return len(slashed) >= 2 && slashed[1] == ':' &&
		(slashed[0]|0x20 >= 'a' && slashed[0]|0x20 <= 'z') && (len(slashed) == 2 || slashed[2] == '/')
}

// climbs says whether a path has a ".." in it, and whether it leaves the
// directory that it starts from.
func climbs(slashed string) (dots, leaves bool) {
	if !strings.Contains(slashed, "..") {
		return false, false
	}
	depth := 0
	for part := range strings.SplitSeq(slashed, "/") {
		// "..\x00x" is ".." to who stops at NUL; ".. " is to Windows
		if cut, _, has := strings.Cut(part, "\x00"); has {
			part = cut
		}
		switch part = strings.TrimRight(part, " "); part {
		case "", ".":
		case "..":
			dots = true
			if depth--; depth < 0 {
				leaves = true
			}
		default:
			depth++
		}
	}
	return dots, leaves
}

// hiddenIn names the first character that hides or turns text.
func hiddenIn(name string) (string, bool) {
	for _, c := range name {
		switch {
		case c == 0:
			return "a NUL, at which some readers end it", true
		case c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0:
			return fmt.Sprintf("the control character U+%04X", c), true
		case c >= 0x202a && c <= 0x202e, c >= 0x2066 && c <= 0x2069, c == 0x200e, c == 0x200f, c == 0x061c:
			return fmt.Sprintf("U+%04X, which turns the direction of text", c), true
		case c == 0x200b, c == 0xfeff, c == 0x2060:
			return fmt.Sprintf("U+%04X, which is not seen", c), true
		}
	}
	return "", false
}

// printable is a name for reports; nameless members get one.
func printable(name string) string {
	if name == "" {
		return "(no name)"
	}
	return name
}

// cut keeps the beginning of a long name for a detail.
func cut(name string) string {
	const longest = 100
	if len(name) <= longest {
		return name
	}
	end := longest
	for end > 0 && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + "…"
}

// hasSuffix says whether the lower-case name ends with one of the endings.
func hasSuffix(name string, endings ...string) bool {
	name = strings.ToLower(name)
	for _, ending := range endings {
		if strings.HasSuffix(name, ending) {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// escaped says whether Info-ZIP or another writer has replaced what it could
// not write; then the Unicode path field has the true name.
func escaped(name string) bool { return strings.Contains(name, "#U") || strings.Contains(name, "?") }

// folded is the name as the most forgiving loader compares it: miniz ignores
// case, Windows takes either slash, and CPython ends it at NUL.
func folded(name string) (key string, slash, back bool) {
	key, _, _ = strings.Cut(name, "\x00")
	slash = strings.Contains(key, "/")
	if back = strings.Contains(key, `\`); back {
		key = strings.ReplaceAll(key, `\`, "/")
	}
	for strings.HasPrefix(key, "./") {
		key = key[2:]
	}
	return strings.ToLower(key), slash, back
}
