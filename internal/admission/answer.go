package admission

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"unicode/utf8"
)

// answer is what an API server is told. The zero value denies.
type answer struct {
	allowed bool
	// Of a denial.
	code    int // an HTTP status; 0: 403
	message string
	retry   int // seconds after which the client asks again; 0: it does not

	warnings []string
	// patch is an RFC 6902 patch; nil: the object stays as it is.
	patch []byte
	audit []annotation
}

// annotation is one line for the API server's audit log. The server puts the
// webhook's name and a slash in front of the key, and drops keys that hold a
// slash themselves.
type annotation struct{ key, value string }

// The keys of the audit annotations.
const (
	auditGeneration = "generation"
	auditVerdicts   = "verdicts"   // ids of the ledger's records
	auditCached     = "cached"     // "true" when no verdict was reached anew
	auditCode       = "code"       // of the first denial
	auditExceptions = "exceptions" // names of the exceptions that were used
)

// What an answer may hold. An API server shows warnings of 4,096 bytes in all
// and drops the rest; people read fewer.
const (
	maxWarnings = 5
	maxWarning  = 240
	maxMessage  = 2048
	maxAudit    = 1024
)

func deny(code int, message string) answer { return answer{code: code, message: message} }

// reasonOf returns the machine-readable word for a status.
func reasonOf(code int) string {
	switch code {
	case http.StatusTooManyRequests:
		return "TooManyRequests"
	case http.StatusBadRequest:
		return "BadRequest"
	case http.StatusUnprocessableEntity:
		return "Invalid"
	case http.StatusInternalServerError:
		return "InternalError"
	}
	return "Forbidden"
}

// note adds an audit annotation, cut to what the log takes.
func (a *answer) note(key, value string) {
	if value != "" {
		a.audit = append(a.audit, annotation{key, clip(value, maxAudit)})
	}
}

// warn adds a warning for the person who sent the request.
func (a *answer) warn(text string) {
	switch {
	case len(a.warnings) < maxWarnings-1:
		a.warnings = append(a.warnings, clip(text, maxWarning))
	case len(a.warnings) == maxWarnings-1:
		a.warnings = append(a.warnings, "there is more; the audit log and apex why have all of it")
	}
}

// appendTo appends the AdmissionReview that answers the review with the uid.
func (a *answer) appendTo(out []byte, uid string) []byte {
	out = append(out, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":`...)
	out = appendString(out, uid)
	out = append(out, `,"allowed":`...)
	out = strconv.AppendBool(out, a.allowed)
	if !a.allowed {
		code := a.code
		if code == 0 {
			code = http.StatusForbidden
		}
		out = append(out, `,"status":{"status":"Failure","message":`...)
		out = appendString(out, a.message)
		out = append(out, `,"reason":"`...)
		out = append(out, reasonOf(code)...)
		out = append(out, `","code":`...)
		out = strconv.AppendInt(out, int64(code), 10)
		if a.retry > 0 {
			out = append(out, `,"details":{"retryAfterSeconds":`...)
			out = strconv.AppendInt(out, int64(a.retry), 10)
			out = append(out, '}')
		}
		out = append(out, '}')
	}
	if a.patch != nil && a.allowed {
		out = append(out, `,"patchType":"JSONPatch","patch":"`...)
		out = base64.StdEncoding.AppendEncode(out, a.patch)
		out = append(out, '"')
	}
	if len(a.audit) > 0 {
		out = append(out, `,"auditAnnotations":{`...)
		for i, n := range a.audit {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendString(out, n.key)
			out = append(out, ':')
			out = appendString(out, n.value)
		}
		out = append(out, '}')
	}
	if len(a.warnings) > 0 {
		out = append(out, `,"warnings":[`...)
		for i, w := range a.warnings {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendString(out, w)
		}
		out = append(out, ']')
	}
	return append(out, "}}"...)
}

// appendString appends text as a JSON string (RFC 8259 section 7). Bytes that
// are not UTF-8 become U+FFFD.
func appendString(out []byte, text string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			out = append(out, text[start:i]...)
			switch c {
			case '"', '\\':
				out = append(out, '\\', c)
			case '\n':
				out = append(out, `\n`...)
			default:
				out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			out = append(out, text[start:i]...)
			out = append(out, "\ufffd"...)
			start = i + 1
		}
		i += size
	}
	out = append(out, text[start:]...)
	return append(out, '"')
}

// clip cuts text to at most n bytes, between characters, and shows that it did.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	cut := n - len("…")
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
