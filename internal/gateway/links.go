package gateway

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/identity/live"
	"github.com/apexlogic/apex/verdict"
)

// link is a connection to a server that showed an identity. It ends by name when
// that identity may not be talked to any more, with all that runs on it.
type link struct {
	net.Conn
	server *server
	ended  atomic.Pointer[stream.Cut]
}

// Read reads, or says why it was ended.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	return n, l.why(err)
}

// Write writes, or says why it was ended.
func (l *link) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	return n, l.why(err)
}

func (l *link) why(err error) error {
	if err != nil {
		if c := l.ended.Load(); c != nil {
			return c
		}
	}
	return err
}

// Close closes the connection.
func (l *link) Close() error {
	l.server.links.remove(l)
	return l.Conn.Close()
}

func (l *link) end(c *stream.Cut) {
	l.ended.CompareAndSwap(nil, c)
	l.Conn.Close()
}

// links are the connections of one server whose identity is known. It is safe for
// concurrent use; its zero value has none, and believes everybody.
type links struct {
	mu      sync.Mutex
	open    map[*link]*identity.Principal
	revoked *live.Revoked
	timer   *time.Timer // that looks for what expired; nil while nothing is open
	clock   clock.Clock // nil until a snapshot is in force
	stream  time.Duration
	// idle closes what no request uses.
	idle func()
}

// lookEvery is how often is looked for identities that have expired.
const lookEvery = time.Second

// add takes a connection in, unless its server is revoked.
func (ls *links) add(l *link, who *identity.Principal) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if c := ls.refuses(who); c != nil {
		return c
	}
	if ls.open == nil {
		ls.open = map[*link]*identity.Principal{}
	}
	ls.open[l] = who
	if ls.timer == nil && ls.clock != nil {
		ls.timer = time.AfterFunc(lookEvery, ls.look)
	}
	return nil
}

func (ls *links) remove(l *link) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	delete(ls.open, l)
}

// none reports whether nothing is open.
func (ls *links) none() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.open) == 0
}

// use brings what is revoked into force, and ends what it names before it returns.
func (ls *links) use(revoked *live.Revoked, c clock.Clock) {
	ls.mu.Lock()
	ls.revoked, ls.clock = revoked, c
	ls.mu.Unlock()
	ls.sweep()
}

// refuses returns why a server may not be talked to; nil when it may.
func (ls *links) refuses(who *identity.Principal) *stream.Cut {
	if ls.revoked == nil || ls.revoked.Why(who, "") == "" {
		return nil
	}
	return &stream.Cut{Code: verdict.UpstreamIdentity, Detail: "the identity of the server behind the route is revoked"}
}

// sweep ends connections to servers that are revoked, and those whose server's
// identity expired for longer than an answer may take. Between the two they are
// closed as soon as nothing runs on them: a server cannot show a new identity on a
// connection that it has.
func (ls *links) sweep() {
	type ending struct {
		link *link
		why  *stream.Cut
	}
	var all []ending
	stale := false
	ls.mu.Lock()
	for l, who := range ls.open {
		why := ls.refuses(who)
		if why == nil && ls.clock != nil && !who.NotAfter.IsZero() {
			over := ls.clock.Now().Sub(who.NotAfter)
			stale = stale || over >= 0
			if over > ls.stream {
				why = &stream.Cut{Code: verdict.UpstreamIdentity, Detail: "the identity of the server behind the route expired"}
			}
		}
		if why != nil {
			delete(ls.open, l)
			all = append(all, ending{l, why})
		}
	}
	ls.mu.Unlock()
	for _, e := range all {
		e.link.end(e.why)
	}
	if stale {
		ls.idle()
	}
}

// look sweeps for as long as anything is open.
func (ls *links) look() {
	ls.sweep()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if len(ls.open) == 0 {
		ls.timer = nil
		return
	}
	ls.timer.Reset(lookEvery)
}
