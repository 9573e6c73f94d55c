// Package shared counts limits for several gateways in one Redis.
//
// Start with [Open] and [Store.Run]; a [Store] is a limit.Store. A decision is one
// script and one round trip, by the server's clock: all bounds are taken or none.
// Rates are kept as the instant by which a caller has no debt (GCRA). Places are
// leases, which a gateway renews while it lives: those of one that died end after
// half a minute.
//
// The store never makes a request wait for long: what is not answered within
// Options.Within is decided locally, and after three such in a row nobody asks
// any more until a probe in the background is answered in time.
//
// Names of routes and identities are in the keys as digests only.
//
// Source: Redis, "EVALSHA", "TIME" and the RESP2 protocol specification.
package shared

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/apexlogic/apex/internal/gateway/limit"
)

const (
	// leaseFor is how long a place is held by a gateway that says nothing, and
	// renewEvery how often one that lives speaks of its places.
	leaseFor   = 30 * time.Second
	renewEvery = 10 * time.Second
	// beatEvery is how often a gateway says that it shares the counts, and
	// probeEvery how often one finds out whether a lost store is back.
	beatEvery  = time.Second
	probeEvery = 250 * time.Millisecond
	// presentFor is how long a gateway that says nothing is counted as sharing.
	presentFor = 15 * time.Second
	// awayAfter is after how many failures in a row the store is not asked: one
	// is a lost packet, three are not.
	awayAfter = 3
	// sharersUnknown is by how many the limits are divided when the store was
	// never reached.
	sharersUnknown = 4
	// maxSharers bounds what the store says about how many share.
	maxSharers = 10_000
	// connectWithin bounds the connection and its greeting, in the background.
	connectWithin = 3 * time.Second
	// maxLeaving is how many places may wait to be given back; what does not fit
	// ends with its lease.
	maxLeaving = 4096
	// renewTogether is how many leases one command renews.
	renewTogether = 256
)

// DefaultWithin is how long a decision waits for the store. A Redis next door
// answers in a fraction of a millisecond.
const DefaultWithin = 5 * time.Millisecond

// Options say which store to use, and how.
type Options struct {
	// URL of the store: redis://HOST:PORT/DB, rediss:// with TLS, unix:///SOCKET.
	// A user may be in it; a password may not, since addresses are shown.
	URL string
	// Password returns the password, each time a connection is made; nil: none.
	Password func() (string, error)
	// Authorities who sign the server's certificate; nil: the system's.
	Authorities *x509.CertPool
	// Within bounds how long a decision waits. Default: DefaultWithin.
	Within time.Duration
	Log    *slog.Logger
}

// Store shares counts. It is safe for concurrent use.
type Store struct {
	client *redis.Client
	within time.Duration
	log    *slog.Logger
	id     string // of this gateway among those who share

	failures atomic.Int32
	away     atomic.Bool
	sharers  atomic.Int32
	serial   atomic.Uint64
	leaving  chan lease

	mu   sync.Mutex
	held map[string][]string // keys by lease
}

// lease is what a request holds.
type lease struct {
	name string
	keys []string
}

// Open returns a store. It does not wait for the server: until Run has reached
// it, limits are local.
func Open(o Options) (*Store, error) {
	options, err := parse(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Within <= 0 {
		o.Within = DefaultWithin
	}
	if o.Password != nil {
		user := options.Username
		options.CredentialsProviderContext = func(context.Context) (string, string, error) {
			password, err := o.Password()
			return user, password, err
		}
	}
	if options.TLSConfig != nil {
		options.TLSConfig.RootCAs = o.Authorities
	}
	options.Protocol = 2 // the fewest kinds of answers
	options.DisableIdentity = true
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	options.MaxRetries = -1
	options.DialerRetries = 1
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout, options.PoolTimeout = connectWithin, connectWithin, connectWithin, connectWithin
	options.ContextTimeoutEnabled = true
	options.Dialer = dialer(options.TLSConfig)
	var id [8]byte
	rand.Read(id[:])
	s := &Store{
		client: redis.NewClient(options), within: o.Within, log: o.Log, id: hex.EncodeToString(id[:]),
		leaving: make(chan lease, maxLeaving), held: map[string][]string{},
	}
	s.away.Store(true) // until it was reached
	return s, nil
}

// oneRedis is what can be shared by.
const oneRedis = "neither Redis Cluster nor Sentinel is spoken, name one Redis, or the address that leads to the primary"

// parse reads the address of a store.
func parse(address string) (*redis.Options, error) {
	if strings.Contains(address, ",") {
		return nil, errors.New("the store of limits has several addresses: " + oneRedis)
	}
	u, err := url.Parse(address)
	if err != nil { // which quotes the address, and with it a password
		return nil, errors.New("the store of limits is not a URL such as redis://127.0.0.1:6379/0")
	}
	if _, is := u.User.Password(); is {
		return nil, errors.New("the URL of the store of limits holds a password, which everybody can see: leave it out, and name a file with it")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("the URL of the store of limits takes no parameters: scheme://[user@]host:port/database is all of it")
	}
	switch {
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return nil, fmt.Errorf("the store of limits has the scheme %q; redis, rediss (with TLS) and unix are known: %s", u.Scheme, oneRedis)
	case u.Scheme != "unix" && u.Host == "":
		return nil, errors.New("the URL of the store of limits names no host")
	}
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("the URL of the store of limits: %w", err)
	}
	return options, nil
}

// dialer connects, and bounds what comes back.
func dialer(secure *tls.Config) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectWithin)
		defer cancel()
		plain := &net.Dialer{KeepAlive: 30 * time.Second}
		var conn net.Conn
		var err error
		if secure != nil {
			conn, err = (&tls.Dialer{NetDialer: plain, Config: secure}).DialContext(ctx, network, address)
		} else {
			conn, err = plain.DialContext(ctx, network, address)
		}
		if err != nil {
			return nil, err
		}
		return &boundedConn{Conn: conn}, nil
	}
}

// Gateways is how many share the counts.
func (s *Store) Gateways() int {
	if n := int(s.sharers.Load()); n > 0 {
		return n
	}
	return sharersUnknown
}

// Shared reports whether limits are shared now, and not local.
func (s *Store) Shared() bool { return !s.away.Load() }

// Close ends the connections.
func (s *Store) Close() error { return s.client.Close() }

// Take takes the bounds, all or none; see limit.Store.
func (s *Store) Take(bounds []limit.Bound) (refused int, wait time.Duration, leave func(), err error) {
	if s.away.Load() {
		return 0, 0, nil, limit.ErrAway
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.within)
	defer cancel()
	keys, args, l := s.words(bounds)
	answer, err := takeScript.Run(ctx, s.client, keys, args...).Int64Slice()
	if err == nil && (len(answer) != 2 || answer[0] < 0 || answer[0] > int64(len(bounds))) {
		err = errors.New("the store answered with something else than a decision")
	}
	if err != nil {
		s.give(l) // whether it was taken is not known
		s.failed(err)
		return 0, 0, nil, err
	}
	s.failures.Store(0)
	if n := answer[0]; n > 0 {
		per := bounds[n-1].Per
		return int(n), min(max(0, time.Duration(min(answer[1], per.Microseconds()))*time.Microsecond), per), nil, nil
	}
	if len(l.keys) == 0 {
		return 0, 0, nil, nil
	}
	s.mu.Lock()
	s.held[l.name] = l.keys
	s.mu.Unlock()
	return 0, 0, func() {
		s.mu.Lock()
		delete(s.held, l.name)
		s.mu.Unlock()
		s.give(l)
	}, nil
}

// words puts bounds into the keys and arguments of the script.
func (s *Store) words(bounds []limit.Bound) (keys []string, args []any, l lease) {
	l.name = s.id + "-" + strconv.FormatUint(s.serial.Add(1), 36)
	keys = make([]string, len(bounds))
	args = append(make([]any, 0, 2+3*len(bounds)), l.name, leaseFor.Microseconds())
	for i := range bounds {
		b := &bounds[i]
		keys[i] = keyOf(b)
		per := b.Per.Microseconds()
		cost := int64(0)
		switch {
		case per == 0:
			l.keys = append(l.keys, keys[i])
		case b.N > b.Most:
			cost = per + 1 // more than there ever is
		default:
			cost = int64(float64(b.N) / float64(b.Most) * float64(per))
		}
		args = append(args, cost, b.Most, per)
	}
	return keys, args, l
}

// keyOf names what is counted, without saying for whom.
func keyOf(b *limit.Bound) string {
	h := sha256.New()
	for _, part := range []string{b.Route, b.Who} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return "apex:limit:" + b.Unit + ":" + base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// give has a lease given back in the background.
func (s *Store) give(l lease) {
	if len(l.keys) == 0 {
		return
	}
	select {
	case s.leaving <- l:
	default: // it ends by itself
	}
}

// failed counts a failure, and stops asking after several.
func (s *Store) failed(err error) {
	if s.failures.Add(1) != awayAfter {
		return
	}
	s.away.Store(true) // which it is from the start, too
	s.log.Warn("limits are local: the store that shares them does not answer", "share", "1/"+strconv.Itoa(s.Gateways()), "err", explained(err))
}

// explained is an error for the log: without the address, which is in the
// configuration, and with what to do about a server of the wrong kind.
func explained(err error) string {
	text := strings.TrimPrefix(err.Error(), "redis: ")
	for answer, why := range map[string]string{
		"CROSSSLOT": "it is a Redis Cluster: " + oneRedis, "MOVED": "it is a Redis Cluster: " + oneRedis, "CLUSTERDOWN": "it is a Redis Cluster: " + oneRedis,
		"READONLY": "it is a replica: name the primary", "ERR unknown command": "it runs no scripts, as a Sentinel: " + oneRedis,
		"NOAUTH": "it wants a password: name a file with it", "WRONGPASS": "it does not take the password",
	} {
		if strings.HasPrefix(text, answer) {
			return why
		}
	}
	return text
}
