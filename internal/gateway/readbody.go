package gateway

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"time"

	"github.com/apexlogic/apex/internal/gateway/bodies"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/internal/media/encoding"
	"github.com/apexlogic/apex/verdict"
)

// readBody reads the whole body within its bounds, takes it apart, and makes
// the bytes that were looked at the ones that are passed on.
func readBody(x *Exchange) error {
	r := x.Request
	if x.ask != nil && x.ask.Cut {
		return &Denial{Code: verdict.BodyIncomplete, Detail: "who asks did not hand on the whole body", Status: http.StatusRequestEntityTooLarge}
	}
	if x.Operation.Call {
		return x.openCall()
	}
	if x.Operation.Messages == nil || x.Operation.Socket {
		if r.ContentLength != 0 {
			return Refuse(verdict.RequestMethod, "the operation takes no body")
		}
		x.arrived = true
		x.Decision.Model = x.Operation.Model
		return nil
	}
	raw, err := x.read(r)
	if err != nil {
		return err
	}
	if raw, err = x.decode(raw); err != nil {
		return err
	}
	r.Header.Del("Content-Encoding")
	x.Decision.Bytes = int64(len(raw))
	if err := x.parse(raw); err != nil {
		return err
	}
	sum := x.Body.Digest(raw)
	x.Decision.Body = hex.EncodeToString(sum[:])
	return nameModel(x)
}

// parse takes the message apart that is to be passed on.
func (x *Exchange) parse(raw []byte) (err error) {
	h := x.Request.Header
	x.Raw, x.arrived = raw, true
	x.Body, err = x.parser.Parse(body.Message{
		Type: h["Content-Type"], TensorHeader: h["Inference-Header-Content-Length"], API: x.Operation.Messages, Data: raw,
	}, &x.Route.Media, x.inspect)
	return err
}

// read reads the body into the exchange's buffer.
func (x *Exchange) read(r *http.Request) ([]byte, error) {
	most := x.Route.Media.Bytes
	// A body that trickles in would hold its place for ever. The deadline is the
	// connection's, so it goes by the machine's clock.
	connection := http.NewResponseController(x.Writer)
	if within := x.Route.Limits.Body; within > 0 {
		if err := connection.SetReadDeadline(time.Now().Add(within)); err == nil {
			defer connection.SetReadDeadline(time.Time{})
		}
	}
	n, err := x.fill(r.Body, r.ContentLength, most)
	if n > most {
		return nil, Refuse(verdict.BodyLimit, "the body has more than %d bytes", most)
	}
	if refusal(err) {
		return nil, err
	}
	if err != nil {
		return nil, Refuse(verdict.BodyIncomplete, "the body did not come to its end")
	}
	if r.ContentLength >= 0 && n != r.ContentLength {
		return nil, Refuse(verdict.BodyIncomplete, "the body is shorter than its length says")
	}
	return x.buffer, nil
}

// fill reads up to one byte more than most into the exchange's buffer. Each part is
// as long as all before it, several times; memory for it is taken once those have
// come, so that a caller who announces a body and sends none costs no more than
// the first.
func (x *Exchange) fill(r io.Reader, announced, most int64) (n int64, err error) {
	whole := most
	if announced >= 0 {
		whole = min(announced, most)
	}
	for part := min(bodies.First, whole); ; part = min(part*bodies.Growth, whole) {
		if err := x.room(part - n); err != nil {
			return n, err
		}
		// There has to be room to read on when it has all, to see that it has; the
		// buffer would be copied into one of twice the size.
		if need := int(part) + 1 + bytes.MinRead; need > cap(x.buffer) {
			x.buffer = append(make([]byte, 0, need), x.buffer[:n]...)
		}
		upto := part - n
		if part == whole {
			upto++
		}
		into := bytes.NewBuffer(x.buffer[:n])
		came, err := into.ReadFrom(io.LimitReader(r, upto))
		x.buffer = into.Bytes()
		if n += came; err != nil || part == whole || n < part {
			return n, err
		}
	}
}

// decode takes a body out of its Content-Encoding. How long it is then is known
// afterwards: until then it has room for as much as it may be.
func (x *Exchange) decode(raw []byte) ([]byte, error) {
	values := x.Request.Header["Content-Encoding"]
	l := &x.Route.Media
	if len(values) == 0 {
		return encoding.Decode(values, raw, l)
	}
	most := min(l.Bytes, int64(len(raw))*l.Ratio)
	if err := x.room(most); err != nil {
		return nil, err
	}
	plain, err := encoding.Decode(values, raw, l)
	x.memory.Give(most - min(most, int64(len(plain))))
	return plain, err
}

// maxName bounds the name of a model, which is recorded as it came.
const maxName = 256

// nameModel finds the model that is asked for, and holds it to the route's.
func nameModel(x *Exchange) error {
	name := x.Body.Model
	switch at := x.Operation.Model; {
	case name == "":
		name = at
	case at != "" && at != name:
		return Refuse(verdict.RequestModel, "the path and the body ask for two models")
	}
	if name == "" {
		name = x.Route.Default
	}
	if x.Route.API == OpenAI && x.Request.URL.RawQuery != "" { // a router may go by it, and not by the body
		for _, asked := range x.Request.URL.Query()["model"] {
			if asked != name {
				return Refuse(verdict.RequestModel, "the query and the body ask for two models")
			}
		}
	}
	if len(name) > maxName { // it would be content in the record
		return Refuse(verdict.RequestModel, "the model's name has more than %d bytes", maxName)
	}
	x.Decision.Model = name
	return nil
}
