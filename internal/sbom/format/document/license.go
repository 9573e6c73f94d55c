package document

import "strings"

// Identifier reports whether the text is one of the identifiers of the SPDX
// licence list that packages state most. The list has some 700; what is not here
// is written as a name, which every format allows.
func Identifier(text string) bool {
	switch text {
	case "0BSD", "AFL-2.1", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-1.1", "Apache-2.0", "Artistic-1.0-Perl", "Artistic-2.0",
		"BSD-2-Clause", "BSD-3-Clause", "BSD-4-Clause", "BSL-1.0", "BlueOak-1.0.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0",
		"CDDL-1.0", "EPL-1.0", "EPL-2.0", "EUPL-1.2", "GPL-1.0-or-later", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only",
		"GPL-3.0-or-later", "HPND", "ISC", "LGPL-2.0-only", "LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only",
		"LGPL-3.0-or-later", "MIT", "MIT-0", "MIT-CMU", "MPL-1.1", "MPL-2.0", "NCSA", "OFL-1.1", "OpenSSL", "PSF-2.0", "PostgreSQL",
		"Python-2.0", "Ruby", "Unicode-3.0", "Unicode-DFS-2016", "Unlicense", "Vim", "W3C", "WTFPL", "X11", "ZPL-2.1", "Zlib", "bzip2-1.0.6",
		"curl", "libpng-2.0", "libtiff":
		return true
	}
	return false
}

// Expression reports whether the text is an SPDX licence expression of identifiers
// that [Identifier] knows, so that a reader that knows the whole list accepts it.
func Expression(text string) bool {
	depth, operand := 0, true // operand: one is expected next
	for _, word := range strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text)) {
		switch {
		case word == "(" && operand:
			depth++
		case word == ")" && !operand && depth > 0:
			depth--
		case (word == "AND" || word == "OR") && !operand:
			operand = true
		case operand && Identifier(word):
			operand = false
		default:
			return false
		}
	}
	return depth == 0 && !operand
}

// Licenses cleans the licences that a document states of a package, without
// those that say nothing.
func Licenses(stated []string) []string {
	var out []string
	for _, s := range stated {
		switch s = strings.TrimSpace(Clean(s)); s {
		case "", "NONE", "NOASSERTION":
		default:
			out = append(out, Clip(s, MaxText))
		}
	}
	return out
}
