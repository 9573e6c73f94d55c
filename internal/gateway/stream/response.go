package stream

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/internal/media/encoding"
	"github.com/apexlogic/apex/verdict"
)

// Answers looks at the answer to one request, by the type that it has, whatever
// the request asked for: a stream of events or lines while it passes, anything
// else as a whole before its first byte passes. What it does not understand it
// refuses.
type Answers struct {
	// Options for both; Messages is for events and lines.
	Options
	// Whole says where texts and media stand in an answer that comes as a whole;
	// nil: it is no protocol's, and every string is looked at.
	Whole *body.API
	// Limits of an answer that comes as a whole; the zero value is [WholeLimits].
	Limits media.Limits
	// Check is told of an answer that comes as a whole, taken apart and found in
	// order, before its first byte passes, and refuses it with an error; nil: all
	// pass. What it is given holds until it returns.
	Check func(*Answer) error
	// Error writes a cut as the last event of a stream; nil: the connection is broken off.
	Error func(*Cut) []byte
	// Done is told once how the answer ended; nil: nobody is.
	Done func(Summary)
}

// Answer is an answer that came as a whole, decoded.
type Answer struct {
	Status int
	Type   string // its media type, without parameters; "" when it has none
	// Text is the answer itself, when its type begins with text/.
	Text []byte
	// Body is what the answer consists of, when it is of another type or looks like
	// JSON; nil: of nothing.
	Body *body.Body
}

// WholeLimits are the default limits of answers that come as a whole. Embeddings
// are many values, and there is no text that is too long to be looked at.
func WholeLimits() media.Limits {
	l := media.Defaults()
	l.Values, l.TextBytes = 4<<20, l.Bytes
	return l
}

// Ask prepares the headers of a request for what comes back: not encoded, since
// it would be decoded here, and whole, since of a range nothing can be said.
func Ask(h http.Header) {
	h.Set("Accept-Encoding", "identity")
	h.Del("Range")
	h.Del("If-Range")
}

// Modify is for httputil.ReverseProxy's ModifyResponse. Its error is a *Cut, and
// nothing of the answer has passed then. The context is that of the answer's
// request; its cause, when it is a *Cut, ends a stream.
func (a *Answers) Modify(res *http.Response) error {
	err := a.modify(res)
	if c, is := errors.AsType[*Cut](err); is && a.Done != nil {
		a.Done(Summary{Cut: c.Code})
	}
	return err
}

func (a *Answers) modify(res *http.Response) error {
	switch {
	case res.StatusCode == http.StatusSwitchingProtocols:
		return cut(verdict.StreamInvalid, "the server behind the route changes to a protocol that was not asked for")
	case res.StatusCode == http.StatusPartialContent || res.Header.Get("Content-Range") != "":
		return cut(verdict.StreamInvalid, "the answer is a part of something, of which nothing can be said")
	case res.Request.Method == http.MethodHead || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified:
		a.done(Summary{})
		return nil
	}
	kind, err := typeOfAnswer(res.Header)
	if err != nil {
		return err
	}
	switch kind {
	case "text/event-stream":
		return a.stream(res, false)
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		return a.stream(res, true)
	}
	return a.whole(res, kind)
}

func (a *Answers) done(s Summary) {
	if a.Done != nil {
		a.Done(s)
	}
}

// typeOfAnswer reads the Content-Type; "" when there is none.
func typeOfAnswer(h http.Header) (string, error) {
	all := h["Content-Type"]
	if len(all) == 0 {
		return "", nil
	}
	kind, params, err := mime.ParseMediaType(all[0])
	if err != nil || len(all) > 1 || len(all[0]) > 256 {
		return "", cut(verdict.StreamInvalid, "the answer has no Content-Type that can be read in one way")
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return "", cut(verdict.StreamInvalid, "the answer's charset is not UTF-8")
	}
	return kind, nil
}

// stream has the events of the answer looked at while they are read.
func (a *Answers) stream(res *http.Response, lines bool) error {
	if encoded(res.Header) {
		return cut(verdict.StreamInvalid, "the events are encoded, although they were asked for as they are")
	}
	e := newEvents(res.Request.Context(), res.Body, a.Options, a.Error)
	e.lines = lines
	res.Body = &streamed{events: e, answers: a, res: res}
	unsized(res)
	return nil
}

// unsized takes off what says how long the answer is: a cut makes it another length.
func unsized(res *http.Response) {
	res.ContentLength = -1
	for _, name := range []string{"Content-Length", "Etag", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"} {
		res.Header.Del(name)
	}
}

func encoded(h http.Header) bool {
	name := strings.ToLower(strings.TrimSpace(strings.Join(h["Content-Encoding"], ",")))
	return name != "" && name != "identity"
}

// streamed is the body of an answer that is a stream.
type streamed struct {
	*events
	answers *Answers
	res     *http.Response // for its trailers, which it has at the end only
	once    sync.Once
}

// Read hands out what was looked at. A cut that the stream itself tells of is its
// regular end; any other breaks the connection off.
func (s *streamed) Read(p []byte) (int, error) {
	n, err := s.events.Read(p)
	if err == nil {
		return n, nil
	}
	if err == io.EOF {
		if refused := s.judge.trailers(s.res.Trailer); refused != nil {
			s.err = refused
			s.judge.sum.Cut = refused.(*Cut).Code
			err = refused
		}
	}
	s.finish()
	if isCut(err) {
		clear(s.res.Trailer)
		if s.answers.Error != nil {
			err = io.EOF
		}
	}
	return n, err
}

// Close ends the stream.
func (s *streamed) Close() error {
	s.finish()
	return s.events.Close()
}

func (s *streamed) finish() { s.once.Do(func() { s.answers.done(s.judge.sum) }) }

// trailers looks at what follows an answer.
func (j *judge) trailers(all http.Header) error {
	for name, values := range all {
		for _, v := range values {
			text := []byte(v)
			if strings.HasSuffix(strings.ToLower(name), "-bin") { // of gRPC: base64, with or without its padding
				var err error
				if text, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(v, "=")); err != nil {
					return cut(verdict.StreamInvalid, "a binary trailer is not base64")
				}
			}
			if err := j.windows.ask(text, len(text)); err != nil {
				return err
			}
		}
	}
	return nil
}

// keptAnswer is the largest answer whose memory is kept for the next one.
const keptAnswer = 1 << 20

// wholes are the buffers of answers that come as a whole; what lies in the pool
// is given back by the garbage collector.
var wholes = sync.Pool{New: func() any { return new(reading) }}

// reading is an answer that is read as a whole.
type reading struct {
	buffer bytes.Buffer
	judge  judge
}

// whole reads the answer, looks at it, and hands out what was looked at.
func (a *Answers) whole(res *http.Response, kind string) error {
	r := wholes.Get().(*reading)
	r.buffer.Reset()
	r.judge = judge{parser: r.judge.parser}
	o, l := a.Options, a.Limits
	o.defaults()
	if l.Bytes == 0 {
		l = WholeLimits()
	}
	r.judge.begin(&o)
	r.judge.limits = l
	data, err := r.read(res.Request.Context(), res, &l, o)
	taken := Answer{Status: res.StatusCode, Type: kind}
	if err == nil {
		err = r.look(data, res, a.Whole, &taken)
	}
	if err == nil {
		err = r.judge.trailers(res.Trailer)
	}
	if err == nil && a.Check != nil {
		err = r.check(a.Check, &taken)
	}
	if err != nil {
		r.release()
		return err
	}
	if encoded(res.Header) {
		unsized(res)
		res.Header.Del("Content-Encoding")
	}
	res.ContentLength = int64(len(data))
	if len(res.Trailer) > 0 { // a length leaves no room for trailers in HTTP/1.1
		res.ContentLength = -1
		res.Header.Del("Content-Length")
	} else {
		res.Header.Set("Content-Length", strconv.Itoa(len(data)))
	}
	r.judge.sum.Bytes = int64(len(data))
	res.Body = &held{Reader: bytes.NewReader(data), reading: r}
	a.done(r.judge.sum)
	return nil
}

func (r *reading) read(ctx context.Context, res *http.Response, l *media.Limits, o Options) ([]byte, error) {
	var from source
	from.begin(ctx, res.Body, o.Idle)
	defer from.Close()
	if res.ContentLength > l.Bytes {
		return nil, cut(verdict.StreamLimit, "the answer has %d bytes, allowed are %d", res.ContentLength, l.Bytes)
	}
	if res.ContentLength > 0 {
		r.buffer.Grow(int(res.ContentLength) + bytes.MinRead)
	}
	n, err := r.buffer.ReadFrom(io.LimitReader(&from, l.Bytes+1))
	switch {
	case n > l.Bytes:
		return nil, cut(verdict.StreamLimit, "the answer has more than %d bytes", l.Bytes)
	case err != nil && isCut(err):
		return nil, err
	case err != nil:
		return nil, cut(verdict.UpstreamDown, "the answer did not come to its end")
	}
	data, err := encoding.Decode(res.Header["Content-Encoding"], r.buffer.Bytes(), l)
	return data, r.judge.refused(err)
}

// check shows the answer to who judges it as a whole.
func (r *reading) check(check func(*Answer) error, taken *Answer) (err error) {
	defer failed(&err)
	return r.judge.refused(check(taken))
}

// look judges a whole answer by its type, and says what it consists of.
func (r *reading) look(data []byte, res *http.Response, api *body.API, taken *Answer) (err error) {
	defer failed(&err)
	j, kind := &r.judge, taken.Type
	if api == nil {
		api = j.nobodys()
	}
	switch {
	case len(data) == 0:
		return nil
	case kind == "":
		return cut(verdict.StreamInvalid, "the answer has no Content-Type")
	case strings.HasPrefix(kind, "text/"):
		if !utf8.Valid(data) {
			return cut(verdict.StreamInvalid, "the answer is not UTF-8")
		}
		j.sum.Text += int64(len(data))
		if err := j.windows.ask(data, len(data)); err != nil {
			return err
		}
		taken.Text = data
		if !looksLikeJSON(data) {
			return nil
		}
		// Somebody might read it as what it looks like.
		b, err := j.parser.Parse(body.Message{Type: jsonType, API: api, Data: data}, &j.limits, j.inspect)
		if err != nil && media.CodeOf(err) == verdict.BodyMalformed {
			return nil
		}
		taken.Body = b
		return r.judged(b, err)
	}
	b, err := j.parser.Parse(body.Message{
		Type: []string{kindOf(kind, res.Header)}, TensorHeader: res.Header["Inference-Header-Content-Length"], API: api, Data: data,
	}, &j.limits, j.inspect)
	taken.Body = b
	return r.judged(b, err)
}

// kindOf is the type with what a reader of that type needs to know.
func kindOf(kind string, h http.Header) string {
	if strings.HasPrefix(kind, "multipart/") {
		return h.Get("Content-Type")
	}
	return kind
}

// judged shows all texts to the guards, each by itself: in a whole answer no text
// goes on in another.
func (r *reading) judged(b *body.Body, err error) error {
	j := &r.judge
	if err != nil {
		return j.refused(err)
	}
	for _, t := range slices.Concat(b.Texts, b.Controls) {
		j.sum.Text += int64(len(t.Value))
		if err := j.windows.ask(t.Value, len(t.Value)); err != nil {
			return err
		}
	}
	for i := range b.Parts {
		if err := j.part(b.Parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) release() {
	if r.buffer.Cap() > keptAnswer {
		return // with the parser, which refers to it
	}
	r.judge = judge{parser: r.judge.parser} // nothing of the request is kept
	wholes.Put(r)
}

// held is the body of an answer that was read as a whole.
type held struct {
	*bytes.Reader
	reading *reading
	once    sync.Once
}

// Read hands out the answer.
func (h *held) Read(p []byte) (int, error) {
	if h.Reader == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	return h.Reader.Read(p)
}

// WriteTo hands out all of it at once.
func (h *held) WriteTo(w io.Writer) (int64, error) {
	if h.Reader == nil {
		return 0, http.ErrBodyReadAfterClose
	}
	return h.Reader.WriteTo(w)
}

// Close gives the memory back.
func (h *held) Close() error {
	h.once.Do(func() {
		h.Reader = nil
		h.reading.release()
	})
	return nil
}
