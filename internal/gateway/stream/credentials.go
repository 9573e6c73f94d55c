package stream

import (
	"bytes"

	"github.com/apexlogic/apex/verdict"
)

// Credentials is a guard that finds private keys and tokens whose form alone says
// what they are, in a text or over the border of two. It keeps nothing, and is
// safe for concurrent use. Passwords and keys without a form of their own it
// does not find.
type Credentials struct{}

// Judge refuses a text that holds a credential.
func (Credentials) Judge(text []byte, _ int) verdict.Code {
	for i := 0; i < len(text); i++ {
		for f := range forms[text[i]] {
			one := &forms[text[i]][f]
			if len(text)-i >= len(one.prefix) && string(text[i:i+len(one.prefix)]) == one.prefix && one.is(text, i) {
				return verdict.StreamCredential
			}
		}
	}
	return ""
}

// form is how a kind of credential is written: a prefix, and then so many
// characters of letters, digits, - and _ at least.
type form struct {
	prefix string
	least  int
	exact  bool // not more of them either
}

// keyBytes is how much of a private key's base64 has to be there: a heading that
// is only spoken of is none.
const keyBytes = 40

// forms, by the character that they begin with; nobody changes them. The longest, with what is before
// it, fits into the overlap of two texts.
var forms = [256][]form{
	'-': {{prefix: "-----BEGIN "}},
	'g': {{prefix: "ghp_", least: 36}, {prefix: "gho_", least: 36}, {prefix: "ghu_", least: 36}, {prefix: "ghs_", least: 36}, {prefix: "ghr_", least: 36},
		{prefix: "github_pat_", least: 60}, {prefix: "glpat-", least: 20}},
	'A': {{prefix: "AKIA", least: 16, exact: true}, {prefix: "ASIA", least: 16, exact: true}, {prefix: "AIza", least: 35, exact: true}},
	's': {{prefix: "sk_live_", least: 20}, {prefix: "sk-ant-", least: 32}, {prefix: "sk-proj-", least: 32}},
	'x': {{prefix: "xoxb-", least: 24}, {prefix: "xoxp-", least: 24}},
	'h': {{prefix: "hf_", least: 34, exact: true}},
	'n': {{prefix: "npm_", least: 36, exact: true}},
}

// is reports whether a credential of the form begins at i.
func (f *form) is(text []byte, i int) bool {
	if f.prefix[0] == '-' {
		return privateKey(text[i:])
	}
	if i > 0 && word(text[i-1]) { // within a longer word, such as base64
		return false
	}
	rest := text[i+len(f.prefix):]
	n, kinds, distinct := 0, 0, [256]bool{}
	for n < len(rest) && word(rest[n]) {
		if !distinct[rest[n]] {
			distinct[rest[n]] = true
			kinds++
		}
		n++
	}
	if n < f.least || f.exact && n != f.least || kinds < 6 { // xxxxxxxx stands for one in documentation
		return false
	}
	return !bytes.HasSuffix(rest[:n], []byte("EXAMPLE")) // as AWS marks those of its own
}

func word(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// privateKey reports whether a PEM heading of a private key has some of a key
// behind it.
func privateKey(text []byte) bool {
	const end = "PRIVATE KEY-----"
	at := bytes.Index(text[:min(len(text), 64)], []byte(end))
	if at < 0 {
		return false
	}
	n := 0
	for _, c := range text[at+len(end):] {
		switch {
		case c == '\n' || c == '\r' || c == ' ':
		case 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '=':
			if n++; n == keyBytes {
				return true
			}
		default:
			return false
		}
	}
	return false
}
