package jinja

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// textMethod applies a method or filter that makes text of text.
func textMethod(s, name string, a *callArgs) (string, bool) {
	arg := func(i int, key string) (string, bool) {
		v, ok := a.arg(i, key)
		if !ok || v.kind != textKind {
			return "", false
		}
		return v.text, true
	}
	cut, hasCut := arg(0, "chars")
	if !hasCut {
		cut = " \t\r\n\v\f"
	}
	switch name {
	case "lower", "casefold":
		return strings.ToLower(s), true
	case "upper":
		return strings.ToUpper(s), true
	case "strip", "trim":
		return strings.Trim(s, cut), true
	case "lstrip":
		return strings.TrimLeft(s, cut), true
	case "rstrip":
		return strings.TrimRight(s, cut), true
	case "removeprefix":
		return strings.TrimPrefix(s, cut), true
	case "removesuffix":
		return strings.TrimSuffix(s, cut), true
	case "__add__":
		return s + cut, hasCut
	case "capitalize":
		_, n := utf8.DecodeRuneInString(s)
		return strings.ToUpper(s[:n]) + strings.ToLower(s[n:]), true
	case "title":
		up := true
		return strings.Map(func(r rune) rune {
			was := up
			up = !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f)
			if was {
				return []rune(strings.ToUpper(string(r)))[0]
			}
			return []rune(strings.ToLower(string(r)))[0]
		}, s), true
	case "swapcase":
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return r - 32
			case r >= 'A' && r <= 'Z':
				return r + 32
			}
			return r
		}, s), true
	case "replace":
		old, ok1 := arg(0, "old")
		now, ok2 := arg(1, "new")
		if !ok1 || !ok2 || len(s)*(len(now)+1) > 1<<20 {
			return "", false
		}
		n := -1
		if v, ok := a.arg(2, "count"); ok && isNumber(v) {
			n = int(v.num)
		}
		return strings.Replace(s, old, now, n), true
	case "reverse":
		r := []rune(s)
		slices.Reverse(r)
		return string(r), true
	case "string", "safe", "escape", "e", "forceescape", "striptags", "encode", "decode", "urlize", "indent", "expandtabs", "wordwrap", "pprint":
		if name != "encode" && name != "decode" && strings.ContainsAny(s, "&<>'\"") {
			return strings.NewReplacer("&", gap, "<", gap, ">", gap, "'", gap, `"`, gap).Replace(s), true
		}
		return s, true
	}
	return "", false
}

// joined is separator.join(v).
func joined(v value, separator string, t taint) value {
	var items []value
	open := false
	switch v.kind {
	case listKind:
		items, open = v.list.items, v.list.open
	case dictKind:
		items, open = v.list.keys, v.list.open
	case textKind:
		if !v.known() {
			return pieces(strings.TrimSuffix(v.text, separator), t)
		}
		items = runes(v.text)
	default:
		return pieces(gap, t)
	}
	var b strings.Builder
	for i, item := range items {
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(item.str().text)
		if b.Len() > longest {
			return unknown(fromFold)
		}
	}
	if open {
		b.WriteString(gap)
	}
	return pieces(b.String(), t)
}
