// Package gateway decides about requests to inference servers, and passes on
// what it allows.
//
// Start with [Gateway.ServeHTTP], with [Exchange] (one request on its way) and
// with the table in stages.go: each stage is one file, and looks at one thing.
// The first that refuses ends the way, and a stage that fails or panics refuses.
// What was looked at is what is passed on, byte for byte.
//
// The rules of one exchange are one [Snapshot], from its first stage to the end
// of its answer, whatever is published meanwhile.
package gateway

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/bodies"
	"github.com/apexlogic/apex/internal/gateway/limit"
	"github.com/apexlogic/apex/internal/gateway/trace"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// Recorder keeps what was decided. Durable asks that the record survives the
// death of the machine before Record returns; otherwise that of the process
// suffices. A record that was not kept is an error, and the request is denied.
type Recorder interface {
	Record(ctx context.Context, d *Decision, durable bool) error
	// Outcome keeps what became of an exchange that was allowed. It is called
	// when the answer has ended, so there is nobody left to deny to.
	Outcome(ctx context.Context, o *Outcome) error
}

// Options are what a gateway needs of its surroundings.
type Options struct {
	Clock    clock.Clock
	Recorder Recorder
	// Inspect describes pieces of binary content.
	Inspect body.Inspect
	// Verdicts on models; nil: nothing is known of any.
	Verdicts Verdicts
	// Live knows what runs, and is shared with other doors; nil: a registry of its own.
	Live *live.Live
	// Limits counts together with other gateways; nil: this one counts for itself.
	Limits limit.Store
	// Bodies is the memory for messages under way; nil: they are bounded one by one.
	Bodies *bodies.Budget
	// Strangers keeps denials that come too fast to be recorded one by one, so that
	// they survive the death of the machine; nil: all are recorded one by one.
	Strangers func(context.Context, *Strangers) error
	// Traces take the spans of requests; nil: there are none.
	Traces *trace.Tracer
	Log    *slog.Logger
}

// Gateway serves requests by the snapshot in force. It is safe for concurrent
// use.
type Gateway struct {
	options   Options
	snapshot  atomic.Pointer[Snapshot]
	exchanges sync.Pool
	limits    *limit.Limiter
	live      *live.Live
	strangers *strangers // nil: each denial is recorded by itself
	using     sync.Mutex // so that what is revoked is that of the snapshot in force
	servers   []*server  // that may have connections, also of snapshots before
}

// callers is how many callers' rates are remembered.
const callers = 100_000

// New returns a gateway without a snapshot: it denies everything until Use.
func New(o Options) *Gateway {
	if o.Live == nil {
		o.Live = live.New(o.Clock)
	}
	g := &Gateway{options: o, live: o.Live, limits: limit.NewLimiter(o.Clock, callers, o.Limits), exchanges: sync.Pool{New: func() any { return new(Exchange) }}}
	if o.Strangers != nil {
		g.strangers = &strangers{keep: o.Strangers, seed: maphash.MakeSeed()}
	}
	return g
}

// Use brings a snapshot into force. Exchanges that are under way keep theirs,
// but those that it revokes, or would not let begin, end before Use returns.
// Connections to servers that no route names any more are closed when they are
// idle.
func (g *Gateway) Use(s *Snapshot) {
	g.using.Lock()
	before := g.snapshot.Swap(s)
	if s != nil {
		g.live.Use(&s.Revoked)
		g.useServers(s)
	}
	g.using.Unlock()
	if before == nil {
		return
	}
	g.live.Review()
	for _, old := range before.servers {
		if s == nil || !slices.Contains(s.servers, old) {
			old.closeIdle()
		}
	}
	before.release()
}

// useServers has connections to servers end that the snapshot revokes, also to
// those that no route names any more.
func (g *Gateway) useServers(s *Snapshot) {
	g.servers = slices.DeleteFunc(g.servers, func(old *server) bool { return slices.Contains(s.servers, old) || old.links.none() })
	g.servers = append(g.servers, s.servers...)
	for _, one := range g.servers {
		one.links.use(&s.Revoked, g.options.Clock)
	}
}

// held returns the snapshot in force, which lasts until it is released; nil when
// there is none.
func (g *Gateway) held() *Snapshot {
	for {
		s := g.snapshot.Load()
		if s == nil || s.hold() {
			return s
		}
	}
}

// Live returns the registry of what runs.
func (g *Gateway) Live() *live.Live { return g.live }

// Current returns the snapshot in force; nil before the first one.
func (g *Gateway) Current() *Snapshot { return g.snapshot.Load() }

// ServeHTTP takes one request through the stages.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := g.exchanges.Get().(*Exchange)
	x.begin(g, w, r)
	defer func() { // also when the answer breaks off, which is a panic
		x.sent.last(r)
		x.recordOutcome()
		x.capture()
		x.end()
		g.exchanges.Put(x)
	}()
	if err := x.run(); err != nil {
		x.deny(err)
	}
}

// run takes the exchange through all stages. A panic of a stage is a refusal of
// that stage; http.ErrAbortHandler passes on, since it is how a broken answer is
// ended.
func (x *Exchange) run() (err error) {
	began := time.Now() // by the machine's clock, which no time of day changes
	x.started = began
	if x.Snapshot == nil {
		return Refuse(verdict.GatewayNotReady, "the gateway has no rules yet")
	}
	stage := ""
	defer func() {
		x.chargeStages()
		switch failure := recover(); failure {
		case nil:
		case http.ErrAbortHandler:
			panic(failure)
		default:
			x.gateway.options.Log.Error("a stage panicked", "stage", stage, "request", x.ID, "stack", string(debug.Stack())) // not the value: it could hold content
			x.Decision.Stage = stage
			err = Refuse(verdict.GatewayFailed, "the stage %s failed", stage)
		}
	}()
	for i := range stages {
		if stages[i].passes && x.ask != nil {
			continue
		}
		stage, x.reached, x.until = stages[i].name, i, time.Time{}
		budget := x.budgetOf(i)
		if budget != byRoute {
			x.until = began.Add(budget)
		}
		err := stages[i].run(x)
		now := time.Now()
		x.spent[i], began = now.Sub(began), now
		if err == errServed {
			return nil
		}
		// What the record says is passed on is passed on, however long it took.
		if late := !x.passed && budget != byRoute && x.spent[i] > budget; late && (err == nil || errors.Is(err, errLate)) {
			err = overdue(stage, budget)
		}
		if err != nil {
			x.Decision.Stage = stage
			return err
		}
	}
	return nil
}

// begin makes the exchange ready for a request.
func (x *Exchange) begin(g *Gateway, w http.ResponseWriter, r *http.Request) {
	*x = Exchange{
		gateway: g, reached: -1, reviews: g.live.Reviews(), Snapshot: g.held(), Writer: w, Request: r,
		ID: newID(), Began: g.options.Clock.Now(), parser: x.parser, inspect: x.inspect, buffer: x.buffer[:0], fields: x.fields[:0], bounds: x.bounds[:0],
		structure: x.structure, texts: x.texts,
	}
	if x.inspect == nil { // once for all that the exchange is used for
		x.inspect = func(r io.Reader, where, declared string, l *media.Limits) (media.Part, error) {
			if x.late() {
				return media.Part{}, errLate
			}
			return x.gateway.options.Inspect(r, where, declared, l)
		}
	}
	x.sent.ResponseWriter = w
	x.Decision.Schema, x.Decision.ID, x.Decision.At = DecisionSchema, x.ID, x.Began
	if x.Snapshot != nil {
		x.Decision.Generation = x.Snapshot.Generation
	}
	x.beginTrace()
}

// end gives back what the exchange held, in the opposite order of taking.
func (x *Exchange) end() {
	x.endTrace()
	x.settle(nothing)
	for i := len(x.releases) - 1; i >= 0; i-- {
		x.releases[i]()
	}
	x.memory.End()
	if x.Snapshot != nil {
		x.Snapshot.release()
	}
	clear(x.fields[:cap(x.fields)])
	clear(x.bounds[:cap(x.bounds)])
	if cap(x.buffer) > keptBuffer {
		x.buffer = nil
	}
}

// keptBuffer is the largest body whose memory is kept for the next one; what lies
// in the pool is given back by the garbage collector.
const keptBuffer = 8 << 20

func newID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.NewString()
	}
	return id.String()
}
