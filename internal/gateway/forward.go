package gateway

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/apexlogic/apex/internal/gateway/capture"
	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// forward passes the request on, with the body that was looked at, and the
// answer back while it is looked at.
func forward(x *Exchange) error {
	x.traceOn()
	x.begins()
	x.sent.within, x.sent.run = x.Route.Limits.Take, x.running
	switch {
	case x.Operation.Socket:
		return x.socket()
	case x.Operation.Call:
		return x.forwardCall()
	}
	r := x.Request
	if x.Raw != nil {
		r.Body, _ = x.body()
		r.ContentLength = int64(len(x.Raw))
	} else {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.TransferEncoding = nil
	r.Trailer = nil // what follows the body was not looked at
	x.answers = stream.Answers{Options: x.answerOptions(), Limits: x.wholeLimits(), Whole: x.Route.answers(), Done: x.answered}
	if x.Route.AnswerFirewall != nil {
		x.answers.Check = x.checkAnswer
	}
	if x.Route.API == OpenAI {
		x.answers.Error = stream.OpenAIError(x.ID)
	}
	x.Writer = &x.sent
	x.Route.server.proxy.ServeHTTP(&x.sent, r.WithContext(x.running.Context()))
	return nil
}

// answerOptions say how an answer is looked at.
func (x *Exchange) answerOptions() stream.Options {
	return stream.Options{
		Messages: x.Route.API.events(), Inspect: x.gateway.options.Inspect, Media: &x.Route.Media,
		Guards: x.Route.Guards, Part: x.answerPart,
	}
}

// wholeLimits are those of an answer that comes as a whole: the route's for
// content, and for the rest what answers need.
func (x *Exchange) wholeLimits() media.Limits {
	whole, l := stream.WholeLimits(), x.Route.Media
	l.Bytes, l.TextBytes, l.Values = whole.Bytes, whole.TextBytes, whole.Values
	return l
}

// answerPart holds a piece of content in an answer to what may come back.
func (x *Exchange) answerPart(p *media.Part) error {
	switch {
	case p.Carries&(media.Script|media.Attachment) != 0 && !x.Route.Active:
		return media.Refuse(verdict.MediaActive, p.Where, "the content holds something that a viewer would run or unpack")
	case p.URL != "":
		return media.Refuse(verdict.MediaAddress, p.Where, "the answer names content by an address, of which nothing can be said")
	}
	return nil
}

// bound ends a stream that takes too long. The exchange is another one's by the
// time that a late timer runs.
func (x *Exchange) bound() (stop func()) {
	limit, run := x.Route.server.upstream.Stream, x.running
	if limit <= 0 {
		return func() {}
	}
	timer := time.AfterFunc(limit, func() {
		run.Cut(&stream.Cut{Code: verdict.StreamLimit, Detail: "it takes longer than upstream.stream allows"})
	})
	return func() { timer.Stop() }
}

// body is the body that was looked at, from its beginning.
func (x *Exchange) body() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.Raw)), nil }

// answered is told how the answer ended.
func (x *Exchange) answered(s stream.Summary) {
	x.Outcome.Stream = &s
	if s.Cut != "" {
		x.Outcome.Code = string(s.Cut)
	}
}

// sent counts what the caller is given.
type sent struct {
	http.ResponseWriter
	status int
	bytes  int64
	within time.Duration   // for one writing; 0: takeWithin
	slow   *time.Timer     // that ends a writing which takes longer
	copy   *capture.Answer // nil: it is not captured
	hints  int             // answers that only announce one
	run    *live.Run       // that ends when there are too many of them
}

// maxHints bounds how many answers below 200 may come before the one that counts;
// servers send one or two. net/http has no bound for them.
const maxHints = 16

// takeWithin is how long a caller may take to take what is written at once, which
// is up to 32 KB: less than that a second is no reading.
const takeWithin = 30 * time.Second

// hurry bounds a writing that begins: who does not read holds a place at the
// server behind, too. A deadline that is set beforehand would also end an HTTP/2
// stream in which nothing is written.
func (s *sent) hurry() {
	within := cmp.Or(s.within, takeWithin)
	if s.slow != nil {
		s.slow.Reset(within)
		return
	}
	to := http.NewResponseController(s.ResponseWriter)
	s.slow = time.AfterFunc(within, func() { to.SetWriteDeadline(time.Unix(1, 0)) })
}

// FlushError flushes, within the time of a writing.
func (s *sent) FlushError() error {
	s.hurry()
	defer s.slow.Stop()
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// last bounds what is written once the gateway has nothing more to say: the end of
// an answer, or a denial, which stays in the server's buffer until then. net/http
// takes the deadline back before the next request.
func (s *sent) last(r *http.Request) {
	if r.ProtoMajor == 1 {
		http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now().Add(cmp.Or(s.within, takeWithin)))
	}
}

// WriteHeader remembers the status. Those below 200 only announce it, and stay
// here: nobody looks at what they hold.
func (s *sent) WriteHeader(status int) {
	if status < http.StatusOK && status != http.StatusSwitchingProtocols {
		if s.hints++; s.hints > maxHints && s.run != nil {
			s.run.Cut(&stream.Cut{Code: verdict.StreamInvalid, Detail: "the server behind the route announces an answer again and again"})
		}
		return
	}
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (s *sent) Write(p []byte) (int, error) {
	if s.status == 0 {
		s.status = http.StatusOK
	}
	s.hurry()
	n, err := s.ResponseWriter.Write(p)
	s.slow.Stop()
	s.bytes += int64(n)
	if s.copy != nil {
		s.copy.Add(p[:n])
	}
	return n, err
}

// Unwrap is for http.ResponseController.
func (s *sent) Unwrap() http.ResponseWriter { return s.ResponseWriter }

type exchangeKey struct{}

// exchangeOf returns the exchange that a request is passed on for.
func exchangeOf(ctx context.Context) *Exchange { return ctx.Value(exchangeKey{}).(*Exchange) }

// quiet is for the proxy, whose own words could hold an address; what matters of
// them is in the outcome's record.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
