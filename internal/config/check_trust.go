package config

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// eachEntry calls f for every entry of every trust root with its path.
func eachEntry(s *Set, f func(root Object[v1alpha1.TrustRoot], e *v1alpha1.TrustEntry, path string)) {
	for _, root := range s.TrustRoots {
		for i := range root.Value.Spec.Entries {
			f(root, &root.Value.Spec.Entries[i], fmt.Sprintf("spec.entries[%d]", i))
		}
	}
}

// publicKeysOnly refuses a private key where a public one belongs. It does not
// repeat any of it.
func publicKeysOnly(s *Set, _ time.Time, report func(Problem)) {
	eachEntry(s, func(root Object[v1alpha1.TrustRoot], e *v1alpha1.TrustEntry, path string) {
		pems := map[string]string{}
		if e.Key != nil {
			pems[path+".key.pem"] = e.Key.PEM
		}
		if e.KMS != nil {
			pems[path+".kms.pem"] = e.KMS.PEM
		}
		if e.Certificate != nil {
			pems[path+".certificate.roots"] = e.Certificate.Roots
			pems[path+".certificate.timestampRoots"] = e.Certificate.TimestampRoots
		}
		for at, text := range pems {
			if strings.Contains(text, "PRIVATE KEY-----") {
				report(root.doc.problem(Error, verdict.PolicyInvalid, at,
					"holds a private key; a trust root takes public keys and certificates only. Replace the key everywhere: whoever could read this file has it", ""))
			}
		}
	})
}

// keyValidity refuses a key that is never valid.
func keyValidity(s *Set, _ time.Time, report func(Problem)) {
	eachEntry(s, func(root Object[v1alpha1.TrustRoot], e *v1alpha1.TrustEntry, path string) {
		if e.Key == nil || e.Key.ValidFrom == nil || e.Key.ValidUntil == nil {
			return
		}
		if !e.Key.ValidUntil.After(e.Key.ValidFrom.Time) {
			report(root.doc.problem(Error, verdict.PolicyInvalid, path+".key.validUntil", "is not after validFrom, so the key is never valid", ""))
		}
	})
}

// identityPattern is a regular expression over an identity, and where it stands.
type identityPattern struct {
	root       Object[v1alpha1.TrustRoot]
	path, text string
}

func identityPatterns(s *Set) []identityPattern {
	var all []identityPattern
	eachEntry(s, func(root Object[v1alpha1.TrustRoot], e *v1alpha1.TrustEntry, path string) {
		if e.Keyless == nil {
			return
		}
		if e.Keyless.IssuerRegExp != "" {
			all = append(all, identityPattern{root, path + ".keyless.issuerRegExp", e.Keyless.IssuerRegExp})
		}
		if e.Keyless.SubjectRegExp != "" {
			all = append(all, identityPattern{root, path + ".keyless.subjectRegExp", e.Keyless.SubjectRegExp})
		}
	})
	return all
}

// anchoredIdentities refuses identity patterns that are no regular expressions
// or match a part of an identity. Beginning with ^ and ending with $, as the
// schema asks, is not enough: "^a|b$" has two alternatives with one anchor each.
func anchoredIdentities(s *Set, _ time.Time, report func(Problem)) {
	for _, p := range identityPatterns(s) {
		re, err := syntax.Parse(p.text, syntax.Perl)
		switch {
		case err != nil:
			report(p.root.doc.problem(Error, verdict.PolicyInvalid, p.path, "is not a regular expression (RE2): "+err.Error(), ""))
		case !anchored(re, syntax.OpBeginText, true) || !anchored(re, syntax.OpEndText, false):
			inner := strings.TrimSuffix(strings.TrimPrefix(p.text, "^"), "$")
			suggestion := "^(" + inner + ")$"
			if fixed, err := syntax.Parse(suggestion, syntax.Perl); err != nil || strings.HasSuffix(inner, `\`) ||
				!anchored(fixed, syntax.OpBeginText, true) || !anchored(fixed, syntax.OpEndText, false) {
				suggestion = ""
			}
			report(p.root.doc.problem(Error, verdict.PolicyInvalid, p.path,
				"matches a part of an identity: ^ and $ have to hold for every alternative, and without the flag (?m)", suggestion))
		}
	}
}

// anchored reports whether every match of re begins (or ends) at the anchor.
func anchored(re *syntax.Regexp, anchor syntax.Op, first bool) bool {
	switch re.Op {
	case anchor:
		return true
	case syntax.OpCapture:
		return anchored(re.Sub[0], anchor, first)
	case syntax.OpConcat:
		if first {
			return anchored(re.Sub[0], anchor, first)
		}
		return anchored(re.Sub[len(re.Sub)-1], anchor, first)
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if !anchored(sub, anchor, first) {
				return false
			}
		}
		return true
	}
	return false
}

// strangers are identities that have nothing in common: a pattern that matches
// all of them names nobody.
var strangers = [...]string{
	"mallory@attacker.example",
	"https://attacker.example/org/repo/.github/workflows/x.yml@refs/heads/y",
	"spiffe://other.example/ns/z",
}

// wideIdentities warns about patterns that match strangers, and about dots that
// stand for any character where a host name is meant.
func wideIdentities(s *Set, _ time.Time, report func(Problem)) {
	for _, p := range identityPatterns(s) {
		re, err := regexp.Compile(p.text)
		if err != nil {
			continue
		}
		everybody := true
		for _, identity := range strangers {
			everybody = everybody && re.MatchString(identity)
		}
		if everybody {
			report(p.root.doc.problem(Warning, verdict.SignatureIdentity, p.path, quote(p.text)+" matches everybody; name the identities that are trusted", ""))
			continue
		}
		if escaped := escapeDots(p.text); escaped != p.text {
			report(p.root.doc.problem(Warning, verdict.SignatureIdentity, p.path,
				"a dot between letters stands for any character, so that another host matches too; write \\.", escaped))
		}
	}
}

// escapeDots escapes the dots of a pattern that stand between letters or
// digits, outside of character classes: those of host names.
func escapeDots(pattern string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern):
			b.WriteByte(c)
			i++
			c = pattern[i]
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '.' && !class && i > 0 && i+1 < len(pattern) && isWord(pattern[i-1]) && isWord(pattern[i+1]):
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
