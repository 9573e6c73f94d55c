package gateway

import (
	"bytes"
	"io"
	"net/http"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/verdict"
)

// Ask is a request that somebody else passes on, and asks about: a proxy of a
// mesh, or who takes messages from a broker.
type Ask struct {
	// Door that it came by, for the record.
	Door string
	// Request without its body. What it shows of its caller is in its TLS and its
	// header Authorization, unless Principal is there.
	Request *http.Request
	// Body as it came; nil: none. Cut says that it is not, or may not be, whole.
	Body []byte
	Cut  bool
	// Rewrites says that Judged.Body is passed on. Who passes on the body as it
	// came is refused where that is not what was looked at.
	Rewrites bool
	// Principal that was verified already, by what is in the message itself.
	Principal *identity.Principal
	// Route that it is for, with what it does there; nil: by host and path. The
	// question is then judged by the route's own snapshot.
	Route     *Route
	Operation *Operation
}

// Judged is what was decided about an Ask, and recorded.
type Judged struct {
	ID string
	// Principal whom it comes from; nil: that could not be verified.
	Principal *identity.Principal
	Route     *Route
	// Denial says why it must not pass; nil: it may.
	Denial *Denial
	// Body is what was looked at, without its encoding; the caller may keep it.
	Body []byte
}

// Judge takes a question through the stages, but those that pass it on. What it
// allows is recorded as allowed; what becomes of it is not.
func (g *Gateway) Judge(a *Ask) Judged {
	r := a.Request
	r.Body, r.ContentLength = http.NoBody, int64(len(a.Body))
	if len(a.Body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(a.Body))
	}
	x := g.exchanges.Get().(*Exchange)
	x.begin(g, nil, r)
	defer func() {
		x.end()
		g.exchanges.Put(x)
	}()
	x.ask = a
	x.Decision.Door = a.Door
	if a.Route != nil {
		x.by(a.Route.snapshot)
	}
	j := Judged{ID: x.ID}
	if err := x.run(); err != nil {
		j.Denial = x.refuse(err)
	} else {
		j.Body, x.buffer = x.Raw, nil
	}
	x.capture()
	j.Principal, j.Route = x.Principal, x.Route
	return j
}

// by has the exchange judged by another snapshot than the one in force. One that
// has ended meanwhile judges nothing.
func (x *Exchange) by(s *Snapshot) {
	if x.Snapshot != nil {
		x.Snapshot.release()
	}
	x.Snapshot, x.Decision.Generation = nil, ""
	if s.hold() {
		x.Snapshot, x.Decision.Generation = s, s.Generation
	}
}

// unchanged refuses what was looked at in another form than it will be passed on.
func unchanged(x *Exchange) error {
	if x.ask == nil || x.ask.Rewrites || bytes.Equal(x.Raw, x.ask.Body) {
		return nil
	}
	return Refuse(verdict.BodyEncoding, "who asks passes the body on as it came, and the route changes it: send it without Content-Encoding, or through the gateway")
}
