package gateway

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/gateway/limit"
	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// maxMessage bounds one message of a WebSocket: OpenAI's Realtime API takes up to
// 15 MiB of audio in one event.
const maxMessage = 16 << 20

// upgrade decides about a request to change the protocol: only a WebSocket may be
// asked for, and the route has to have one there.
func (x *Exchange) upgrade() error {
	r := x.Request
	if r.Header.Get("Upgrade") == "" {
		return nil
	}
	if refused, is := errors.AsType[*stream.Cut](stream.Handshake(r)); is {
		return Refuse(refused.Code, "%s", refused.Detail)
	}
	if x.ask != nil {
		return Refuse(verdict.RequestProtocol, "the messages of a WebSocket are judged where they pass: send it through the gateway")
	}
	x.upgrades = true
	return nil
}

// socket passes a WebSocket on, and has every message of it judged.
func (x *Exchange) socket() error {
	s := x.Route.server
	defer x.bound()()
	to := *s.upstream.URL
	to.Path, to.RawQuery = x.Request.URL.Path, x.Request.URL.RawQuery
	socket := stream.Socket{Dial: x.dialAgain, URL: &to, Host: to.Host, Header: x.handedOn(), Up: x.sentOptions(), Down: x.answerOptions()}
	socket.Down.Memory = socket.Up.Memory
	if x.Route.API == OpenAI {
		socket.Down.Messages, socket.Error = body.Realtime().Server, stream.RealtimeError(x.ID)
		x.turns, socket.Down.Message = new(turns), x.happened
	}
	up, down, err := socket.Serve(x.Writer, x.Request.WithContext(x.running.Context()))
	if err != nil { // nothing was answered yet
		s.broke(x, x.running.Context(), err)
		return nil
	}
	x.settle(answers)
	x.sent.status = http.StatusSwitchingProtocols
	x.ended(up, down)
	return nil
}

// sentOptions are for what the caller sends once it was let in.
func (x *Exchange) sentOptions() stream.Options {
	l := x.Route.Media
	o := stream.Options{
		Messages: x.Operation.Messages, Inspect: x.gateway.options.Inspect, Media: &l,
		Message: x.message, EventBytes: min(l.Bytes, maxMessage), Memory: (*streamMemory)(&x.memory),
	}
	if x.Route.API == OpenAI {
		o.Messages = body.Realtime().Client
	}
	return o
}

// message judges a further message of a stream, as the stages did with the first.
func (x *Exchange) message(b *body.Body) error {
	if err := x.judgeMessage(b); err != nil {
		d := denialOf(err)
		return &stream.Cut{Code: d.Code, Detail: d.Detail}
	}
	return nil
}

func (x *Exchange) judgeMessage(b *body.Body) error {
	if b.Model != "" && b.Model != x.Decision.Model {
		return Refuse(verdict.RequestModel, "a message asks for another model than the one that the stream was allowed for")
	}
	if err := x.pinned(b.Version); err != nil {
		return err
	}
	if err := x.kept(b); err != nil {
		return err
	}
	for i := range b.Parts {
		if err := x.takes(&b.Parts[i]); err != nil {
			return err
		}
	}
	x.Body = b
	defer func() { x.Body = nil }()
	if err := x.spendMore(b); err != nil {
		return err
	}
	if err := x.decideMore(b); err != nil {
		return err
	}
	f := x.Route.Firewall
	if f == nil {
		return nil
	}
	x.until = time.Now().Add(x.Route.perMessage) // each message has the budget of a whole request
	if steers(b) {
		if result := x.check(f); result.Block {
			return Refuse(result.Code, "%s", result.Code.Info().Meaning)
		}
	}
	for i := range b.Texts {
		if x.late() {
			return errLate
		}
		score := f.Score(b.Texts[i].Value)
		if !score.Complete {
			return Refuse(verdict.WAFFailed, "a text could not be scored")
		}
		x.Outcome.TextScore += score.Score
	}
	if x.late() {
		return errLate
	}
	return nil
}

// takes holds a piece of content in a message of a stream to what the route
// takes. Nothing in it is replaced: what would have to be is refused.
func (x *Exchange) takes(p *media.Part) error {
	if p.URL != "" {
		return media.Refuse(verdict.MediaAddress, p.Where, "a message of a stream holds content itself, not its address")
	}
	if x.Route.Strip && p.Carries&personal != 0 {
		return media.Refuse(verdict.MediaMetadata, p.Where, "the route takes metadata out of images, and cannot do that in a stream: send the image without it")
	}
	return judgePart(x.Route, p)
}

// spendMore takes the tokens of a further message: what it sends, and the answer
// that it asks for.
func (x *Exchange) spendMore(b *body.Body) error {
	if most := x.Route.Limits.Answer; most > 0 && b.MaxTokens > most {
		return Refuse(verdict.LimitTokens, "the answer may have %d tokens, %d are asked for", most, b.MaxTokens)
	}
	t := x.predict()
	if x.turns != nil {
		t.Output = x.turns.asked(b, x.Route.Limits.Answer)
	} else {
		t.Output = times(b.MaxTokens, max(b.Choices, 1))
	}
	if err := x.charge(t); err != nil {
		return err
	}
	if x.turns != nil {
		x.turns.pay(t.Output)
	}
	return nil
}

// charge takes tokens and their price while a stream runs. It is safe for
// concurrent use by both of its directions.
func (x *Exchange) charge(t Tokens) error {
	l := &x.Route.Limits
	var bounds []limit.Bound
	hold := func(unit string, n, most int64, per time.Duration) {
		if n > 0 && most > 0 {
			bounds = append(bounds, limit.Bound{Route: x.Route.Name, Who: x.Principal.ID, Unit: unit, N: n, Most: most, Per: per})
		}
	}
	hold(limit.Tokens, plus(t.Input, t.Output), l.Tokens, time.Minute)
	if l.Cost > 0 {
		price := x.Route.Models[x.Decision.Model].Price
		if price == nil {
			return Refuse(verdict.LimitCost, "the route has no price for the model, so its cost cannot be bounded")
		}
		hold(limit.Cost, plus(times(t.Input, price.Input), times(t.Output, price.Output)), l.Cost, time.Hour)
	}
	// No places are among them, so that nothing has to be given back.
	if _, refused := x.gateway.limits.Take(bounds); refused != nil {
		if refused.Bound.Unit == limit.Cost {
			return Refuse(verdict.LimitCost, "messages of a higher price in an hour than the route allows")
		}
		return Refuse(verdict.LimitTokens, "more tokens in a minute than the route allows")
	}
	return nil
}

// steers reports whether a message holds a control that is more than a plain
// word: the type and the id of an event are no attack, and a socket has many.
func steers(b *body.Body) bool {
	for i := range b.Controls {
		c := &b.Controls[i]
		if len(c.Value) > 64 || !plain(c.Value) || !plain([]byte(strings.ReplaceAll(c.Where, "/", ""))) {
			return true
		}
	}
	return false
}

func plain(s []byte) bool {
	for _, c := range s {
		if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// handedOn are the headers of the request as the server behind gets them.
func (x *Exchange) handedOn() http.Header {
	h := x.Request.Header.Clone()
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Upgrade", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Origin", "Cookie"} {
		h.Del(name)
	}
	h.Set("X-Request-Id", x.ID)
	h.Set("X-Apex-Principal", x.Principal.ID)
	return h
}

// dialAgain connects to the server for a WebSocket, and once more where that
// failed: nothing was sent yet.
func (x *Exchange) dialAgain(ctx context.Context) (net.Conn, error) {
	s := x.Route.server
	s.budget.earn()
	for {
		x.sends++
		conn, err := s.connect(ctx, "http/1.1")
		if x.sends > 1 {
			x.Outcome.Attempts = x.sends
		}
		if err == nil || x.sends >= maxAttempts || !s.again(ctx, err, taken{}) || !s.budget.spend() {
			return conn, err
		}
		if err := pause(ctx, x.sends); err != nil {
			return nil, err
		}
		x.Route.Units.Resent.Add(1)
	}
}

// ended keeps how both directions of a stream ended.
func (x *Exchange) ended(up, down stream.Summary) {
	x.Outcome.Sent = &up
	x.answered(down)
	if up.Cut != "" {
		x.Outcome.Code = string(up.Cut)
	}
}
