package reference

import (
	"errors"
	"fmt"
	"strings"
)

// ErrInvalid is wrapped by every error of [Parse].
var ErrInvalid = errors.New("invalid image reference")

// Error says what is wrong with a reference, where, and how to mend it.
type Error struct {
	// Text is the reference as [Redact] shows it.
	Text string
	// Position counts bytes from 1, in the text that was parsed.
	Position int
	Why      string
	Mend     string
}

// Error puts all of it into one sentence.
func (e *Error) Error() string {
	return fmt.Sprintf("image reference %q: at character %d: %s: %s", e.Text, e.Position, e.Why, e.Mend)
}

// Unwrap returns [ErrInvalid].
func (e *Error) Unwrap() error { return ErrInvalid }

func invalid(text string, at int, why, mend string) *Error {
	return &Error{Text: Redact(text), Position: at + 1, Why: why, Mend: mend}
}

// maxShown keeps hostile text out of logs: no reference that people write is longer.
const maxShown = 200

// Redact returns text fit to be shown: what could be a user name and password
// before a host is replaced by "…", and the rest is clipped to 200 bytes.
func Redact(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 && !looksLikeDigest(text[i+1:]) {
		scheme := ""
		if j := strings.Index(text[:i], "://"); j >= 0 {
			scheme = text[:j+len("://")]
		}
		text = scheme + "…" + text[i:]
	} else if i >= 0 {
		// The digest's own @; another one before it would be userinfo.
		if j := strings.LastIndexByte(text[:i], '@'); j >= 0 {
			text = "…" + text[j:]
		}
	}
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return text
}

// looksLikeDigest tells "@sha256:…" from "@host:port/path".
func looksLikeDigest(text string) bool {
	return strings.HasPrefix(text, "sha") && strings.Contains(text, ":") && !strings.Contains(text, "/")
}
