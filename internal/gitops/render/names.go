package render

import "strings"

// The forms of names, as the Kubernetes API conventions have them ("Object
// names and IDs") and RFC 1123.
const (
	maxLabel     = 63
	maxSubdomain = 253
)

// isLabel says whether the text is a DNS label.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isSubdomain says whether the text is a DNS name of lower-case labels. A part
// of it may be longer than a label: the conventions do not forbid it.
func isSubdomain(s string) bool {
	if s == "" || len(s) > maxSubdomain {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || part[0] == '-' || part[len(part)-1] == '-' || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// isKind says whether the text is the name of a type: letters and digits.
func isKind(s string) bool {
	if s == "" || len(s) > maxLabel {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// checkName says what is wrong with an object's name, "" when nothing is.
func checkName(group, name string) string {
	switch group {
	case "rbac.authorization.k8s.io", "lambda.apexlogic.com":
		// Roles are called "system:controller:x"; functions and roles of AWS have
		// names of their own form. What a path of a URL cannot hold is refused.
		if len(name) > maxSubdomain {
			return "more than 253 characters"
		}
		if name == "." || name == ".." || strings.ContainsAny(name, "/%") || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
			return "a character that cannot stand in an address: write printable ASCII without / and %"
		}
		return ""
	}
	if len(name) > maxSubdomain {
		return "more than 253 characters"
	}
	if !isSubdomain(name) {
		return "characters that no name has: write lower-case letters, digits, dashes and dots, beginning and ending with a letter or digit"
	}
	return ""
}
