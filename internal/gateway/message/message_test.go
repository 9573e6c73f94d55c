package message

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity/ca"
	"github.com/apexlogic/apex/internal/identity/chain"
	"github.com/apexlogic/apex/internal/identity/svid"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const (
	intake   = "spiffe://claims.example/intake"
	receiver = "apex-messages"
)

// post is a gate with a real authority behind it.
type post struct {
	gate      *Gate
	clock     *clock.Fixed
	authority *ca.CA
	key       crypto.Signer
	chain     []*x509.Certificate

	mu        sync.Mutex
	records   []Record
	passed    []*Message
	broken    error // what the recorder answers
	unpassed  error // what Pass answers
	inspected int
}

func (p *post) Record(_ context.Context, r *Record, durable bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	if !durable && !r.Repeated {
		return errors.New("a decision that is not durable")
	}
	p.records = append(p.records, *r)
	return nil
}

func (p *post) counts() (records, passed int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.records), len(p.passed)
}

func (p *post) last() Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.records) == 0 {
		return Record{}
	}
	return p.records[len(p.records)-1]
}

func newAuthority(t testing.TB, c clock.Clock) *ca.CA {
	t.Helper()
	a, err := ca.Open(t.TempDir(), spiffeid.RequireTrustDomainFromString("claims.example"), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func issue(t testing.TB, a *ca.CA, id string) (crypto.Signer, []*x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := a.IssueX509(spiffeid.RequireFromString(id), key.Public(), 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificates
}

func newPost(t testing.TB, change func(*Options)) *post {
	t.Helper()
	p := &post{clock: clock.At(epoch)}
	p.authority = newAuthority(t, p.clock)
	p.key, p.chain = issue(t, p.authority, intake)
	bundles, err := svid.NewBundles(p.authority.Bundle())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := svid.NewJWT(bundles, []string{receiver}, p.clock)
	if err != nil {
		t.Fatal(err)
	}
	who, err := chain.New(svid.NewX509(bundles, p.clock), tokens)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Identity: who, Recorder: p, Clock: p.clock, Retry: time.Millisecond,
		Inspect: func(_ context.Context, contentType string, data []byte) ([]media.Part, error) {
			p.mu.Lock()
			p.inspected++
			p.mu.Unlock()
			if contentType == "application/x-bad" {
				return nil, media.Refuse(verdict.MediaKind, "data", "no such kind")
			}
			return []media.Part{{Kind: media.Words, Type: contentType, Bytes: int64(len(data)), Digest: sha256.Sum256(data)}}, nil
		},
		Decide: func(_ context.Context, m *Message) error {
			switch m.Event.Attributes["type"] {
			case "forbidden":
				return media.Refuse(verdict.AccessForbidden, "", "forbidden")
			case "broken":
				return errors.New("secret")
			case "panic":
				panic("secret")
			}
			return nil
		},
		Pass: func(_ context.Context, m *Message) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.unpassed != nil {
				return p.unpassed
			}
			p.passed = append(p.passed, m)
			return nil
		},
	}
	if change != nil {
		change(&o)
	}
	if p.gate, err = NewGate(o); err != nil {
		t.Fatal(err)
	}
	return p
}

// event returns an event that nobody signed.
func event(id string) *Event {
	return &Event{Data: []byte(`{"a":"secret"}`), Attributes: map[string]string{
		"specversion": "1.0", "id": id, "source": "/intake", "type": "claim.filed", "datacontenttype": "application/json", "tenant": "a",
	}}
}

// signed returns an event that intake signed.
func (p *post) signed(t testing.TB, id string, change func(*Event)) *Event {
	t.Helper()
	e := event(id)
	if change != nil {
		change(e)
	}
	if err := Sign(e, p.key, p.chain, p.clock.Now()); err != nil {
		t.Fatal(err)
	}
	return e
}

// bound returns an event with a token that was made for it.
func (p *post) bound(t testing.TB, id string) *Event {
	t.Helper()
	e := event(id)
	audience, err := Bind(e, p.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	p.token(t, e, receiver, audience)
	return e
}

func (p *post) token(t testing.TB, e *Event, audiences ...string) {
	t.Helper()
	token, _, err := p.authority.IssueJWT(spiffeid.RequireFromString(intake), audiences, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	e.Attributes[Token] = token
}

func TestAMessageThatItsSenderSignedIsRecordedAndPassedOn(t *testing.T) {
	for what, make := range map[string]func(*post) *Event{
		"with a certificate": func(p *post) *Event { return p.signed(t, "1", nil) },
		"with a token":       func(p *post) *Event { return p.bound(t, "1") },
	} {
		p := newPost(t, nil)
		outcome, err := p.gate.Take(t.Context(), make(p))
		if outcome != Passed || err != nil {
			t.Fatalf("%s: %v %v", what, outcome, err)
		}
		r, m := p.last(), p.passed[0]
		if !r.Allowed || r.Principal != intake || r.ID != "1" || r.Source != "/intake" || r.Type != "claim.filed" || len(r.Parts) != 1 || r.Bytes != 14 || r.Data == "" || r.Digest == "" || r.Schema != RecordSchema {
			t.Errorf("%s: %+v", what, r)
		}
		if m.Principal.ID != intake || !m.Time.Equal(epoch) || m.Event.Attributes["tenant"] != "a" || string(m.Event.Data) != `{"a":"secret"}` {
			t.Errorf("%s: %+v", what, m)
		}
		for _, name := range []string{Chain, Token, Signature} {
			if _, there := m.Event.Attributes[name]; there {
				t.Errorf("%s: %s is passed on", what, name)
			}
		}
		if b, _ := json.Marshal(r); strings.Contains(string(b), "secret") {
			t.Errorf("%s: the record holds data", what)
		}
	}
}

func TestWhatWasChangedOrNotSignedIsDenied(t *testing.T) {
	p := newPost(t, nil)
	strangers := newAuthority(t, p.clock)
	strangersKey, strangersChain := issue(t, strangers, intake)
	for what, test := range map[string]struct {
		event func() *Event
		want  verdict.Code
	}{
		"as it was sent": {func() *Event { return p.signed(t, "a", nil) }, ""},
		"an attribute that a broker added, which is taken out": {func() *Event {
			e := p.signed(t, "b", nil)
			e.Attributes["knativearrivaltime"] = "2026"
			return e
		}, ""},
		"other data":            {func() *Event { e := p.signed(t, "c", nil); e.Data = []byte(`{"a":1}`); return e }, verdict.MessageSignature},
		"another type":          {func() *Event { e := p.signed(t, "d", nil); e.Attributes["type"] = "x"; return e }, verdict.MessageSignature},
		"another id":            {func() *Event { e := p.signed(t, "e", nil); e.Attributes["id"] = "x"; return e }, verdict.MessageSignature},
		"another time":          {func() *Event { e := p.signed(t, "f", nil); e.Attributes["time"] = "2026-11-23T12:00:01Z"; return e }, verdict.MessageSignature},
		"another extension":     {func() *Event { e := p.signed(t, "g", nil); e.Attributes["tenant"] = "b"; return e }, verdict.MessageSignature},
		"an extension left out": {func() *Event { e := p.signed(t, "h", nil); delete(e.Attributes, "tenant"); return e }, verdict.MessageSignature},
		"a subject added":       {func() *Event { e := p.signed(t, "i", nil); e.Attributes["subject"] = "x"; return e }, verdict.MessageSignature},
		"fewer names signed": {func() *Event {
			e := p.signed(t, "j", nil)
			e.Attributes[Signed] = strings.Replace(e.Attributes[Signed], ",tenant", "", 1)
			return e
		}, verdict.MessageSignature},
		"a name signed twice":       {func() *Event { e := p.signed(t, "k", nil); e.Attributes[Signed] += ",type"; return e }, verdict.MessageMalformed},
		"names in another order":    {func() *Event { e := p.signed(t, "l", nil); e.Attributes[Signed] = "type,time"; return e }, verdict.MessageMalformed},
		"no signature":              {func() *Event { e := p.signed(t, "m", nil); delete(e.Attributes, Signature); return e }, verdict.MessageSignature},
		"an empty signature":        {func() *Event { e := p.signed(t, "n", nil); e.Attributes[Signature] = ""; return e }, verdict.MessageSignature},
		"nothing signed":            {func() *Event { return event("o") }, verdict.MessageSignature},
		"a certificate and a token": {func() *Event { e := p.signed(t, "p", nil); p.token(t, e, receiver); return e }, verdict.MessageSignature},
		"another's key": {func() *Event {
			e := event("q")
			if err := Sign(e, strangersKey, p.chain, epoch); err != nil {
				t.Fatal(err)
			}
			return e
		}, verdict.MessageSignature},
		"a stranger's authority": {func() *Event {
			e := event("r")
			if err := Sign(e, strangersKey, strangersChain, epoch); err != nil {
				t.Fatal(err)
			}
			return e
		}, verdict.IdentitySignature},
		"a chain that is none":   {func() *Event { e := p.signed(t, "s", nil); e.Attributes[Chain] = "AAAA"; return e }, verdict.MessageSignature},
		"a token for it":         {func() *Event { return p.bound(t, "t") }, ""},
		"a token for another":    {func() *Event { e := p.bound(t, "u"); e.Attributes[Token] = p.bound(t, "v").Attributes[Token]; return e }, verdict.MessageSignature},
		"a token for no message": {func() *Event { e := p.bound(t, "w"); p.token(t, e, receiver); return e }, verdict.MessageSignature},
		"a token for another receiver": {func() *Event {
			e := event("x")
			audience, _ := Bind(e, epoch)
			p.token(t, e, audience)
			return e
		}, verdict.IdentityAudience},
		"a token, and other data": {func() *Event { e := p.bound(t, "y"); e.Data = []byte("1"); return e }, verdict.MessageSignature},
		"a token that is none":    {func() *Event { e := p.bound(t, "z"); e.Attributes[Token] = "a.b.c"; return e }, verdict.IdentityMalformed},
		"no time":                 {func() *Event { e := p.signed(t, "A", nil); delete(e.Attributes, "time"); return e }, verdict.MessageSignature},
		"a time that is none":     {func() *Event { return p.signed(t, "B", func(e *Event) { e.Attributes["time"] = "noon" }) }, verdict.MessageMalformed},
		"too much data":           {func() *Event { return p.signed(t, "C", func(e *Event) { e.Data = make([]byte, DefaultData+1) }) }, verdict.BodyLimit},
		"what nobody may send":    {func() *Event { return p.signed(t, "D", func(e *Event) { e.Attributes["type"] = "forbidden" }) }, verdict.AccessForbidden},
		"content of no kind": {func() *Event {
			return p.signed(t, "E", func(e *Event) { e.Attributes["datacontenttype"] = "application/x-bad" })
		}, verdict.MediaKind},
		"a type that is none": {func() *Event { return p.signed(t, "F", func(e *Event) { e.Attributes["datacontenttype"] = "a/b/c" }) }, verdict.BodyType},
	} {
		e := test.event()
		_, before := p.counts()
		outcome, err := p.gate.Take(t.Context(), e)
		_, after := p.counts()
		if test.want == "" {
			if outcome != Passed || err != nil || after != before+1 {
				t.Errorf("%s: %v %v", what, outcome, err)
			} else if _, there := p.passed[after-1].Event.Attributes["knativearrivaltime"]; there {
				t.Errorf("%s: what nobody signed was passed on", what)
			}
			continue
		}
		if code, _ := codeOf(err); outcome != Denied || code != test.want || after != before || p.last().Code != string(test.want) || p.last().Allowed {
			t.Errorf("%s: %v %v, want %s", what, outcome, err, test.want)
		}
	}
}

func TestAMessageIsTakenOnceAndOnlyWithinItsTime(t *testing.T) {
	p := newPost(t, nil)
	e := p.signed(t, "1", nil)
	take := func(e *Event) (Outcome, verdict.Code) {
		outcome, err := p.gate.Take(t.Context(), e.Clone())
		if err == nil {
			return outcome, ""
		}
		code, _ := codeOf(err)
		return outcome, code
	}
	if outcome, code := take(e); outcome != Passed {
		t.Fatal(outcome, code)
	}
	if outcome, code := take(e); outcome != Repeated || !p.last().Repeated {
		t.Errorf("the same again: %v %v", outcome, code)
	}
	if outcome, code := take(p.signed(t, "1", func(e *Event) { e.Data = []byte("2") })); outcome != Denied || code != verdict.MessageReplay {
		t.Errorf("another with the same id: %v %v", outcome, code)
	}
	if outcome, code := take(p.signed(t, "2", nil)); outcome != Passed {
		t.Errorf("another id: %v %v", outcome, code)
	}
	if outcome, code := take(p.signed(t, "1", func(e *Event) { e.Attributes["source"] = "/other" })); outcome != Passed {
		t.Errorf("another source: %v %v", outcome, code)
	}
	if _, passed := p.counts(); passed != 3 {
		t.Errorf("%d were passed on", passed)
	}
	early := p.signed(t, "3", func(e *Event) { e.Attributes["time"] = epoch.Add(DefaultSkew + time.Second).Format(time.RFC3339) })
	if outcome, code := take(early); outcome != Denied || code != verdict.MessageStale {
		t.Errorf("of the future: %v %v", outcome, code)
	}
	p.clock.Advance(time.Second)
	if outcome, code := take(early); outcome != Passed {
		t.Errorf("a second later: %v %v", outcome, code)
	}
	late := p.signed(t, "4", nil)
	p.clock.Advance(DefaultWindow - time.Second)
	if outcome, code := take(late); outcome != Passed {
		t.Errorf("a second before its time is over: %v %v", outcome, code)
	}
	p.clock.Advance(time.Second)
	for _, e := range []*Event{e, late} {
		if outcome, code := take(e); outcome != Denied || code != verdict.MessageStale {
			t.Errorf("after its time: %v %v", outcome, code)
		}
	}
}

func TestASignatureOutlivesNotItsCredential(t *testing.T) {
	p := newPost(t, func(o *Options) { o.Window = time.Hour })
	e := p.signed(t, "1", nil)
	p.clock.Advance(9 * time.Minute)
	if outcome, err := p.gate.Take(t.Context(), e.Clone()); outcome != Passed {
		t.Fatal(outcome, err)
	}
	late := p.signed(t, "2", nil)
	p.clock.Advance(5 * time.Minute)
	outcome, err := p.gate.Take(t.Context(), late)
	if code, _ := codeOf(err); outcome != Denied || code != verdict.IdentityExpired {
		t.Error(outcome, err)
	}
}

func TestAMessageThatCouldNotBeProcessedIsProcessedTheNextTime(t *testing.T) {
	for what, test := range map[string]struct {
		fail, mend func(*post)
		kind       string
		want       verdict.Code
	}{
		"the record":  {func(p *post) { p.broken = errors.New("full") }, func(p *post) { p.broken = nil }, "claim.filed", verdict.GatewayRecord},
		"passing on":  {func(p *post) { p.unpassed = errors.New("down") }, func(p *post) { p.unpassed = nil }, "claim.filed", verdict.UpstreamDown},
		"the check":   {func(*post) {}, nil, "broken", verdict.GatewayFailed},
		"a panic":     {func(*post) {}, nil, "panic", verdict.GatewayFailed},
		"the refusal": {func(p *post) { p.broken = errors.New("full") }, nil, "forbidden", verdict.GatewayRecord},
	} {
		p := newPost(t, nil)
		e := p.signed(t, "1", func(e *Event) { e.Attributes["type"] = test.kind })
		test.fail(p)
		for range 2 {
			outcome, err := p.gate.Take(t.Context(), e.Clone())
			if code, _ := codeOf(err); outcome != Failed || code != test.want || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v %v", what, outcome, err)
			}
		}
		if _, passed := p.counts(); passed > 0 {
			t.Errorf("%s: passed on all the same", what)
		}
		if test.mend != nil {
			test.mend(p)
			if outcome, err := p.gate.Take(t.Context(), e); outcome != Passed {
				t.Errorf("%s, mended: %v %v", what, outcome, err)
			}
		}
	}
}

func TestSealedDataStaysSealed(t *testing.T) {
	p := newPost(t, nil)
	e := p.signed(t, "1", func(e *Event) { e.Attributes["datacontenttype"] = "application/jose"; e.Data = []byte("a.b.c.d.e") })
	if outcome, err := p.gate.Take(t.Context(), e); outcome != Passed {
		t.Fatal(outcome, err)
	}
	m := p.passed[0]
	if !m.Sealed || p.inspected != 0 || len(m.Parts) != 1 || m.Parts[0].Digest != sha256.Sum256([]byte("a.b.c.d.e")) || string(m.Event.Data) != "a.b.c.d.e" || len(p.last().Parts) != 1 {
		t.Errorf("%+v", m)
	}
	if outcome, err := p.gate.Take(t.Context(), p.signed(t, "2", nil)); outcome != Passed || p.inspected != 1 || p.passed[1].Sealed {
		t.Error(outcome, err, "and what is not sealed is inspected")
	}
}

func TestMemoryIsBoundedAndForgetsWhatIsOver(t *testing.T) {
	c := clock.At(epoch)
	m := NewMemory(c, 2)
	begin := func(id string) State {
		s, err := m.Begin(t.Context(), Key{ID: id}, [32]byte{1}, epoch.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if begin("a") != New || begin("a") != Busy || begin("b") != New || begin("c") != Busy {
		t.Fatal("two at once")
	}
	m.End(t.Context(), Key{ID: "a"}, true)
	m.End(t.Context(), Key{ID: "b"}, false)
	if begin("a") != Done || begin("b") != New {
		t.Fatal("what is done stays, what failed is taken again")
	}
	if s, _ := m.Begin(t.Context(), Key{ID: "a"}, [32]byte{2}, epoch); s != Another {
		t.Error("another one with the key", s)
	}
	c.Advance(time.Minute + 1)
	if begin("c") != New {
		t.Error("what is over makes room")
	}
}
