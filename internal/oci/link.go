package oci

import (
	"errors"
	"strings"
)

// nextLink returns the target of the rel="next" link in the values of a Link
// header (RFC 8288), or "" when there is none. A header that cannot be read is
// an error: half a listing must not pass for a whole one.
func nextLink(values []string) (string, error) {
	next := ""
	for _, v := range values {
		if len(v) > maxHeaderBytes {
			return "", errLink
		}
		for p := strings.TrimLeft(v, ", \t"); p != ""; p = strings.TrimLeft(p, ", \t") {
			if p[0] != '<' {
				return "", errLink
			}
			target, rest, ok := strings.Cut(p[1:], ">")
			if !ok {
				return "", errLink
			}
			isNext, rest, err := cutLinkParams(rest)
			if err != nil {
				return "", err
			}
			if isNext {
				if next != "" || target == "" {
					return "", errLink
				}
				next = target
			}
			p = rest
		}
	}
	return next, nil
}

var errLink = errors.New("the Link header cannot be read")

// cutLinkParams reads the parameters of one link up to the comma that ends it.
func cutLinkParams(s string) (isNext bool, rest string, err error) {
	sawRel := false
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return isNext, s, nil
		}
		if s[0] != ';' {
			return false, "", errLink
		}
		s = strings.TrimLeft(s[1:], " \t")
		key, after := cutToken(s)
		if key == "" {
			if s == "" || s[0] == ',' || s[0] == ';' {
				continue // an empty parameter
			}
			return false, "", errLink
		}
		after = strings.TrimLeft(after, " \t")
		value := ""
		if strings.HasPrefix(after, "=") {
			after = strings.TrimLeft(after[1:], " \t")
			if strings.HasPrefix(after, `"`) {
				if value, after, err = cutValue(after); err != nil {
					return false, "", errLink
				}
			} else {
				value, after = cutToken(after)
			}
		}
		s = after
		// Only the first rel counts (RFC 8288 section 3.3).
		if strings.EqualFold(key, "rel") && !sawRel {
			sawRel = true
			for _, r := range strings.Fields(value) {
				isNext = isNext || strings.EqualFold(r, "next")
			}
		}
	}
}
