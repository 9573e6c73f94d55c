package stream

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// judge looks at the messages of one direction of a stream.
type judge struct {
	o       *Options
	windows windows
	limits  media.Limits
	parser  body.Parser
	sum     Summary
	// describe is inspect, bound once; kind is the type of the last message.
	describe body.Inspect
	kind     string
	generic  *body.API // for JSON of no protocol, once it was asked for
	audio    *body.API // for messages of a type whose delta is audio; nil: there are none
}

func (j *judge) begin(o *Options) {
	j.o, j.windows.options, j.limits = o, o, media.Defaults()
	if o.Media != nil {
		j.limits = *o.Media
	}
	j.describe = j.inspect
	j.limits.Bytes, j.limits.TextBytes = o.EventBytes, o.EventBytes
}

var jsonType = []string{"application/json"}

// message shows the texts of a message to the guards, and its parts to who takes
// them. Data that is no JSON where JSON is expected is one text, unless it looks
// like JSON: what a client might read although our parser does not could hide
// anything in its escapes.
func (j *judge) message(data []byte) (err error) {
	defer failed(&err)
	api := j.o.Messages
	if api == nil {
		// A text; but one that looks like JSON will be read as JSON by somebody.
		if err := j.plain(data); err != nil || !looksLikeJSON(data) {
			return err
		}
		api = j.nobodys()
	}
	b, err := j.parse(api, data)
	lane := ""
	if err == nil {
		if lane = j.typeOf(b); j.audio != nil && body.Realtime().IsAudio(lane) {
			b, err = j.parse(j.audio, data)
		}
	}
	if err != nil {
		switch malformed := media.CodeOf(err) == verdict.BodyMalformed; {
		case malformed && j.o.Messages == nil:
			return nil // it only looks like it, and was looked at as a text
		case malformed && !looksLikeJSON(data):
			return j.plain(data)
		}
		return j.refused(err)
	}
	return j.all(b, lane)
}

// nobodys is the table for JSON of no protocol that is known.
func (j *judge) nobodys() *body.API {
	if j.generic == nil {
		j.generic = body.Answers()
	}
	return j.generic
}

// failed makes a cut of a panic, of a guard or an inspector: it ends its own
// stream and no other. The value is not kept, since it could hold content.
func failed(err *error) {
	if recover() != nil {
		*err = cut(verdict.GatewayFailed, "a message could not be looked at")
	}
}

func (j *judge) parse(api *body.API, data []byte) (*body.Body, error) {
	return j.parser.Parse(body.Message{Type: jsonType, API: api, Data: data, Passing: true}, &j.limits, j.describe)
}

// all shows what a message consists of. Lane tells apart messages of several types.
func (j *judge) all(b *body.Body, lane string) error {
	if err := j.tell(b); err != nil {
		return err
	}
	if b.Model != "" && j.o.Model != nil {
		if err := j.refused(j.o.Model(strings.Clone(b.Model))); err != nil {
			return err
		}
	}
	for _, all := range [...][]media.Text{b.Texts, b.Controls} {
		for i := range all {
			t := &all[i]
			j.sum.Text += int64(len(t.Value))
			if err := j.windows.judge(t.Where, lane, t.Role, t.Value); err != nil {
				return err
			}
		}
	}
	for i := range b.Parts {
		if err := j.part(b.Parts[i]); err != nil {
			return err
		}
	}
	return nil
}

// tell shows a message to who judges it as a whole.
func (j *judge) tell(b *body.Body) error {
	if j.o.Message == nil {
		return nil
	}
	return j.refused(j.o.Message(b))
}

// part hands a part on; what it says outlives the message.
func (j *judge) part(p media.Part) error {
	j.sum.Parts++
	if p.URL != "" && j.o.Part == nil {
		return cut(verdict.MediaAddress, "a message names content by an address")
	}
	if j.o.Part == nil {
		return nil
	}
	p.Where, p.URL, p.Datatype = strings.Clone(p.Where), strings.Clone(p.URL), strings.Clone(p.Datatype)
	return j.refused(j.o.Part(&p))
}

// plain shows a text that is no message of its own.
func (j *judge) plain(data []byte) error {
	if j.o.Message != nil {
		if err := j.tell(&body.Body{Length: int64(len(data)), Texts: []media.Text{{Value: data}}}); err != nil {
			return err
		}
	}
	j.sum.Text += int64(len(data))
	return j.windows.judge("", "", "", data)
}

// refused makes a cut of a refusal. A refusal for size is the stream's limit,
// one for form says that the stream is none; one for content keeps its code.
func (j *judge) refused(err error) error {
	if err == nil || isCut(err) {
		return err
	}
	r, is := errors.AsType[*media.Refusal](err)
	switch {
	case !is:
		return cut(verdict.GatewayFailed, "a message could not be looked at")
	case r.Code == verdict.BodyLimit:
		return cut(verdict.StreamLimit, "a message: %s", r.Error())
	case r.Code == verdict.BodyMalformed || r.Code == verdict.BodyAmbiguous || r.Code == verdict.BodyType || r.Code == verdict.BodyEncoding:
		return cut(verdict.StreamInvalid, "a message: %s", r.Error())
	}
	return cut(r.Code, "a message: %s", r.Error())
}

// inspect describes media. Samples without a header have nothing to be known by.
func (j *judge) inspect(r io.Reader, where, declared string, l *media.Limits) (media.Part, error) {
	switch {
	case j.o.Inspect == nil:
		return media.Part{}, media.Refuse(verdict.MediaKind, where, "no media is expected here")
	case declared == body.PCM:
		return samples(r, where, l)
	}
	return j.o.Inspect(r, where, declared, l)
}

// typeOf returns what a message of JSON says under "type", when that is no plain name.
func (j *judge) typeOf(b *body.Body) string {
	for i := range b.Controls {
		if b.Controls[i].Where == "/type" {
			v := b.Controls[i].Value
			if len(v) > 64 {
				return ""
			}
			if string(v) != j.kind {
				j.kind = string(v)
			}
			return j.kind
		}
	}
	return ""
}

func looksLikeJSON(data []byte) bool {
	data = bytes.TrimLeft(data, "\xef\xbb\xbf\x00 \t\r\n\v\f")
	return len(data) > 0 && (data[0] == '{' || data[0] == '[' || data[0] == '"')
}

// windows hold the end of each text that a stream interleaves.
type windows struct {
	options *Options
	tails   map[string]*[]byte
	key     []byte
	scratch []byte
}

// judge shows a text to every guard.
func (w *windows) judge(where, lane, role string, text []byte) error {
	if len(w.options.Guards) == 0 || len(text) == 0 {
		return nil
	}
	w.nameLane(where, lane, role)
	return w.look(text)
}

// line shows a line of an event that is no data; it goes on in the next one of its name.
func (w *windows) line(name, text []byte) error {
	if len(w.options.Guards) == 0 {
		return nil
	}
	w.key = append(append(w.key[:0], "line "...), name[:min(len(name), 16)]...)
	return w.look(text)
}

// look shows a text of the lane that w.key names.
func (w *windows) look(text []byte) error {
	tail, known := w.tails[string(w.key)]
	if !known {
		if len(w.tails) >= maxLanes {
			return cut(verdict.StreamLimit, "the stream interleaves more than %d texts", maxLanes)
		}
		if w.tails == nil {
			w.tails = map[string]*[]byte{}
		}
		tail = new([]byte)
		w.tails[string(w.key)] = tail
	}
	w.scratch = append(append(w.scratch[:0], *tail...), text...)
	if err := w.ask(w.scratch, len(text)); err != nil {
		return err
	}
	*tail = append((*tail)[:0], w.scratch[max(0, len(w.scratch)-w.options.Overlap):]...)
	if cap(w.scratch) > keptBytes {
		w.scratch = nil
	}
	return nil
}

// ask shows a text to every guard, as it stands.
func (w *windows) ask(text []byte, fresh int) (err error) {
	defer failed(&err)
	for _, g := range w.options.Guards {
		if code := g.Judge(text, fresh); code != "" {
			return cut(code, "the stream holds what the route does not let pass")
		}
	}
	return nil
}

// keptBytes is how large a buffer of an idle stream may be: with two of them and
// its texts' ends a stream stays within 64 KB.
const keptBytes = 16 << 10

// nameLane names a text by its place, without the positions in lists, which
// differ from event to event, and by what it goes on.
func (w *windows) nameLane(where, lane, role string) {
	w.key = w.key[:0]
	for len(where) > 0 { // begins with '/'
		end := strings.IndexByte(where[1:], '/') + 1
		if end == 0 {
			end = len(where)
		}
		if segment := where[:end]; len(segment) == 1 || segment[1] < '0' || segment[1] > '9' {
			w.key = append(w.key, segment...)
		}
		where = where[end:]
	}
	w.key = append(append(w.key, ' '), lane...)
	w.key = append(append(w.key, ' '), role...)
}
