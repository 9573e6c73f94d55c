// Package capture keeps copies of requests that the gateway has judged, so that
// what other policies would have decided about them can be found out later.
//
// Start with [Store], which writes captures and lets them expire, with [Rule], what
// a route says of them, and with [List] and [Entry.Open] to read them. A capture is
// an envelope of package seal for the keys that the route names; the gateway holds
// none that opens it. Credentials are in no capture: of a request's header only
// what [Keep] lists is kept.
//
// A capture is no control. Nothing waits for it: what cannot be kept at once, since
// too much waits already or the disk is full, is dropped, and the ledger says so.
package capture

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Schema is the value of Capture.Schema, and the context of its envelope.
const Schema = "apex.capture/v1"

// Capture is a request that was judged: what was passed on, or refused.
type Capture struct {
	Schema    string    `json:"schema"`
	ID        string    `json:"id"` // of the decision's record
	At        time.Time `json:"at"`
	Route     string    `json:"route"`
	Request   Request   `json:"request"`
	Principal Principal `json:"principal"`
	// Verdict on the model, as policies saw it.
	Verdict string `json:"verdict,omitempty"`
	// Decision is the record of it; see gateway.Decision.
	Decision json.RawMessage `json:"decision"`
	Answer   *Answer         `json:"answer,omitempty"`
}

// Request is what was asked for.
type Request struct {
	Method string      `json:"method"`
	Host   string      `json:"host"`
	Target string      `json:"target"` // path and query
	Header http.Header `json:"header,omitempty"`
	// Withheld are the fields of the query whose values are not kept; see [Target].
	Withheld []string `json:"withheld,omitempty"`
	// Address that it came from, which policies may ask for.
	Address string `json:"address,omitempty"`
	// Stream says that messages followed, which are not here: websocket or grpc.
	Stream string `json:"stream,omitempty"`
	Bytes  int64  `json:"bytes"` // of Body
	// Body as it was passed on or refused, without its Content-Encoding.
	Body []byte `json:"-"`
}

// Answer is what the caller was given.
type Answer struct {
	Status int    `json:"status"`
	Type   string `json:"type,omitempty"`
	// Cut says that it was longer than captures are.
	Cut   bool   `json:"cut,omitempty"`
	Bytes int64  `json:"bytes"` // of Body
	Body  []byte `json:"-"`

	rule *Rule
}

// kept are the headers that captures have: those that say how a message is to be
// read. Headers that hold credentials, or could, are none of them.
var kept = [...]string{
	"Accept", "Accept-Encoding", "Accept-Language", "Content-Type", "Data-Classification", "Inference-Header-Content-Length", "Openai-Beta", "Origin", "User-Agent", "X-Requested-With",
}

// Keep returns the headers that are kept; they share their values with h.
func Keep(h http.Header) http.Header {
	out := http.Header{}
	for _, name := range kept {
		if v := h[name]; len(v) > 0 {
			out[name] = v
		}
	}
	return out
}

// credentialWords are in the names of query fields that hold credentials, as
// api_key, access_token, X-Amz-Signature or sessionid.
var credentialWords = [...]string{"key", "token", "secret", "pass", "sig", "auth", "code", "cred", "session", "jwt", "assertion"}

// withheldValue stands in place of a value that is not kept.
const withheldValue = "withheld"

// Target returns path and query, and the names of the query's fields whose values
// are not in it because they could be credentials.
func Target(u *url.URL) (target string, withheld []string) {
	if u.RawQuery == "" {
		return u.Path, nil
	}
	var b strings.Builder
	b.WriteString(u.Path)
	separator := byte('?')
	for field := range strings.SplitSeq(u.RawQuery, "&") {
		name, value, hasValue := strings.Cut(field, "=")
		b.WriteByte(separator)
		separator = '&'
		b.WriteString(name)
		if !hasValue {
			continue
		}
		b.WriteByte('=')
		if isCredential(name) {
			withheld = append(withheld, name)
			value = withheldValue
		}
		b.WriteString(value)
	}
	return b.String(), withheld
}

func isCredential(name string) bool {
	plain, err := url.QueryUnescape(name)
	if err != nil {
		return true // whoever reads it otherwise may find a credential
	}
	plain = strings.ToLower(plain)
	for _, word := range credentialWords {
		if strings.Contains(plain, word) {
			return true
		}
	}
	return false
}

// maxHead bounds a capture without its bodies: headers of 64 KB, a record and an
// identity, each byte of which JSON may write as six.
const maxHead = 1 << 20

// write writes the capture: a line of JSON, the request's body, the answer's.
func (c *Capture) write(w io.Writer) error {
	c.Schema, c.Request.Bytes = Schema, int64(len(c.Request.Body))
	if c.Answer != nil {
		c.Answer.Bytes = int64(len(c.Answer.Body))
	}
	head, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if len(head) > maxHead {
		return fmt.Errorf("what is said of the request has %d bytes", len(head))
	}
	if _, err := w.Write(append(head, '\n')); err != nil {
		return err
	}
	if _, err := w.Write(c.Request.Body); err != nil || c.Answer == nil {
		return err
	}
	_, err = w.Write(c.Answer.Body)
	return err
}

// errMalformed is the error of what is no capture.
var errMalformed = errors.New("the content is no capture of a known version")

// read reads what write wrote, all of it.
func read(r io.Reader) (*Capture, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var head []byte
	for {
		line, err := in.ReadSlice('\n')
		if head = append(head, line...); len(head) > maxHead+1 {
			return nil, errMalformed
		}
		if err == nil {
			break
		}
		if err == io.EOF {
			return nil, errMalformed
		}
		if err != bufio.ErrBufferFull {
			return nil, err
		}
	}
	c := &Capture{}
	d := json.NewDecoder(bytes.NewReader(head))
	d.UseNumber() // the claims of the principal are whole numbers
	if err := d.Decode(c); err != nil || c.Schema != Schema {
		return nil, errMalformed
	}
	var err error
	if c.Request.Body, err = take(in, c.Request.Bytes); err != nil {
		return nil, err
	}
	if c.Answer != nil {
		if c.Answer.Body, err = take(in, c.Answer.Bytes); err != nil {
			return nil, err
		}
	}
	if _, err := in.ReadByte(); err != io.EOF { // only then is the envelope whole
		if err == nil {
			err = errMalformed
		}
		return nil, err
	}
	return c, nil
}

// take reads n bytes.
func take(r io.Reader, n int64) ([]byte, error) {
	if n < 0 || n > MaxBytes {
		return nil, errMalformed
	}
	var b bytes.Buffer
	if _, err := io.CopyN(&b, r, n); err != nil {
		if err == io.EOF {
			err = errMalformed
		}
		return nil, err
	}
	return b.Bytes(), nil
}
