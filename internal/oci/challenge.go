package oci

import (
	"errors"
	"fmt"
	"strings"
)

// challenge is what a WWW-Authenticate header asks for.
type challenge struct {
	scheme  string // "bearer" or "basic"; "" when nothing was asked yet
	realm   string
	service string
}

// maxChallenge is the length of one WWW-Authenticate value that is looked at.
const maxChallenge = 8 << 10

var errChallenge = errors.New("the WWW-Authenticate header cannot be read")

// pickChallenge returns the challenge to answer: Bearer before Basic, since a
// token is worth less to a thief than a password.
func pickChallenge(values []string) (challenge, error) {
	var basic *challenge
	for _, v := range values {
		all, err := parseChallenges(v)
		if err != nil {
			return challenge{}, err
		}
		for _, ch := range all {
			switch ch.scheme {
			case "bearer":
				return ch, nil
			case "basic":
				basic = &ch
			}
		}
	}
	if basic == nil {
		return challenge{}, errors.New("neither Bearer nor Basic is offered")
	}
	return *basic, nil
}

// parseChallenges reads one header value (RFC 9110 section 11.6.1): challenges
// separated by commas, each a scheme and comma-separated parameters. Schemes
// are folded to lower case; unknown parameters are skipped. A parameter given
// twice is an error, because readers differ on which one counts.
func parseChallenges(text string) ([]challenge, error) {
	if len(text) > maxChallenge {
		return nil, errChallenge
	}
	var all []challenge
	seen := map[string]bool{}
	p := text
	for {
		p = strings.TrimLeft(p, ", \t")
		if p == "" {
			return all, nil
		}
		word, rest := cutToken(p)
		if word == "" {
			return nil, errChallenge
		}
		after := strings.TrimLeft(rest, " \t")
		if !strings.HasPrefix(after, "=") || len(all) == 0 {
			// A scheme. It is followed by a space, a comma, or the end.
			if rest != "" && !strings.ContainsAny(rest[:1], " \t,") {
				return nil, errChallenge
			}
			all = append(all, challenge{scheme: strings.ToLower(word)})
			clear(seen)
			p = rest
			continue
		}
		value, rest, err := cutValue(strings.TrimLeft(after[1:], " \t"))
		if err != nil {
			return nil, err
		}
		key := strings.ToLower(word)
		if seen[key] {
			return nil, fmt.Errorf("%w: parameter %q is given twice", errChallenge, key)
		}
		seen[key] = true
		ch := &all[len(all)-1]
		switch key {
		case "realm":
			ch.realm = value
		case "service":
			ch.service = value
		}
		p = rest
		if t := strings.TrimLeft(p, " \t"); t != "" && t[0] != ',' {
			return nil, errChallenge
		}
	}
}

// cutToken splits a leading token (RFC 9110 section 5.6.2) from s.
func cutToken(s string) (tok, rest string) {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

func isTokenByte(b byte) bool {
	switch {
	case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

// cutValue splits a leading quoted string or token from s.
func cutValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		// Some registries leave the quotes of a URL out.
		end := strings.IndexAny(s, ", \t\"")
		if end < 0 {
			end = len(s)
		}
		visible := strings.IndexFunc(s[:end], func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
		if end == 0 || !visible {
			return "", "", errChallenge
		}
		return s[:end], s[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c < ' ' && c != '\t', c == 0x7f:
			return "", "", errChallenge
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errChallenge
}
