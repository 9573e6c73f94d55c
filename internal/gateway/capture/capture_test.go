package capture

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/seal"
)

// kit is a store with a rule that captures everything.
type kit struct {
	store   *Store
	rule    *Rule
	key     *seal.PrivateKey
	clock   *clock.Fixed
	records []Record
	log     bytes.Buffer
}

func newKit(t *testing.T, change func(*Rule)) *kit {
	t.Helper()
	k := &kit{clock: clock.At(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))}
	var err error
	if k.key, err = seal.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	k.store = NewStore(Options{
		Dir: t.TempDir(), Clock: k.clock, Log: slog.New(slog.NewTextHandler(&k.log, nil)),
		Record: func(_ context.Context, r *Record) error { k.records = append(k.records, *r); return nil },
	})
	r := Rule{
		Route: "captioner", Sample: Million, Recipients: []*seal.PublicKey{k.key.Public()}, Expire: time.Hour,
		Bytes: 1 << 20, Keep: 1 << 30, Allowed: true, Denied: true,
	}
	if change != nil {
		change(&r)
	}
	k.rule = k.store.Rule(r)
	return k
}

func id(t *testing.T) string {
	t.Helper()
	u, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// offer hands in a capture of a request with the body, and has it written.
func (k *kit) offer(t *testing.T, body string) string {
	t.Helper()
	c := captureOf(id(t), body)
	k.rule.Offer(c)
	k.store.drain(t.Context())
	return c.ID
}

func captureOf(id, body string) *Capture {
	return &Capture{
		ID: id, At: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Route: "captioner", Decision: json.RawMessage(`{"allowed":true}`),
		Request: Request{Method: "POST", Host: "captioner.example", Target: "/v1/chat/completions", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)},
		Principal: Principal{
			ID: "spiffe://claims.example/intake", Method: identity.X509SVID, Issuer: "claims.example", Subject: "/intake", Groups: []string{"adjusters"},
			Claims: map[string]any{"level": int64(3), "on": true, "team": "claims", "roles": []string{"a", "b"}},
		},
	}
}

func (k *kit) list(t *testing.T) []Entry {
	t.Helper()
	all, err := List(k.store.o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestACaptureIsOpenedByItsKeyAsItWas(t *testing.T) {
	k := newKit(t, nil)
	c := captureOf(id(t), `{"model":"captioner"}`)
	c.Answer = k.rule.Answer()
	c.Answer.Add([]byte("a ca"))
	c.Answer.Add([]byte("r"))
	c.Answer.Status = 200
	k.rule.Offer(c)
	k.store.drain(t.Context())

	all := k.list(t)
	if len(all) != 1 || all[0].ID != c.ID || all[0].Route != "captioner" || !all[0].Expires.Equal(k.clock.Now().Add(time.Hour)) ||
		!reflect.DeepEqual(all[0].Keys, []string{k.key.ID()}) || time.Since(all[0].At).Abs() > time.Hour {
		t.Fatalf("the list is %+v", all)
	}
	got, digest, err := all[0].Open(k.key, k.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Request.Body) != `{"model":"captioner"}` || string(got.Answer.Body) != "a car" || got.Answer.Status != 200 ||
		got.Request.Method != "POST" || got.Request.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got %+v", got)
	}
	p, err := got.Principal.Identity()
	if err != nil || !reflect.DeepEqual(p.Claims, c.Principal.Claims) || p.ID != "spiffe://claims.example/intake" || p.Groups[0] != "adjusters" {
		t.Errorf("the principal is %+v, %v", p, err)
	}
	if len(k.records) != 1 || k.records[0].Digest != digest || k.records[0].ID != c.ID || k.records[0].Bytes != all[0].Bytes {
		t.Errorf("the record is %+v, the digest %s", k.records, digest)
	}
	if held := k.store.held.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	whole, err := os.ReadFile(all[0].path)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"model", "intake", "a car", "completions"} {
		if bytes.Contains(whole, []byte(secret)) {
			t.Errorf("%q can be read without a key", secret)
		}
	}
	if about, err := os.Stat(all[0].path); err != nil || about.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", about.Mode(), err)
	}
}

func TestACaptureUnderAnotherNameIsNotOpened(t *testing.T) {
	k := newKit(t, nil)
	k.offer(t, "x")
	all := k.list(t)
	as := filepath.Join(filepath.Dir(all[0].path), id(t)+suffix)
	if err := os.Rename(all[0].path, as); err != nil {
		t.Fatal(err)
	}
	renamed := k.list(t)
	if _, _, err := renamed[0].Open(k.key, k.clock.Now()); !errors.Is(err, seal.ErrChanged) {
		t.Error(err)
	}
	if err := os.Rename(as, all[0].path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := all[0].Open(k.key, k.clock.Now()); err != nil {
		t.Error(err)
	}
}

func TestAnExpiredCaptureIsNotOpenedAndIsSwept(t *testing.T) {
	k := newKit(t, nil)
	k.offer(t, "first")
	k.clock.Advance(30 * time.Minute)
	kept := k.offer(t, "second")
	k.clock.Advance(30 * time.Minute)
	all := k.list(t)
	if len(all) != 2 {
		t.Fatalf("%d are there", len(all))
	}
	if _, _, err := all[0].Open(k.key, k.clock.Now()); !errors.Is(err, seal.ErrExpired) {
		t.Errorf("the expired one: %v", err)
	}
	k.store.sweep()
	if all = k.list(t); len(all) != 1 || all[0].ID != kept {
		t.Fatalf("after the sweep there are %+v", all)
	}
	if _, _, err := all[0].Open(k.key, k.clock.Now()); err != nil {
		t.Errorf("the other one: %v", err)
	}
	// Also what another process wrote, of a route that there is no more.
	k.clock.Advance(time.Hour)
	NewStore(k.store.o).sweep()
	if all = k.list(t); len(all) != 0 {
		t.Errorf("a new process leaves %+v", all)
	}
}

func TestASweepDeletesWhatADeathLeftBehind(t *testing.T) {
	k := newKit(t, nil)
	k.offer(t, "whole")
	dir := filepath.Dir(k.list(t)[0].path)
	for _, name := range []string{id(t) + suffix, id(t) + suffix + temporary, "notes.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k.store.sweep()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left are %v, %v; the whole capture and what is not ours should be", left, err)
	}
}

func TestTheOldestMakeRoom(t *testing.T) {
	k := newKit(t, nil)
	k.offer(t, strings.Repeat("a", 1000))
	size := k.list(t)[0].Bytes
	k = newKit(t, func(r *Rule) { r.Keep = 3*size + size/2 })
	var ids []string
	for range 5 {
		ids = append(ids, k.offer(t, strings.Repeat("a", 1000)))
	}
	var left []string
	for _, e := range k.list(t) {
		left = append(left, e.ID)
	}
	if !reflect.DeepEqual(left, ids[2:]) {
		t.Errorf("left are %v of %v", left, ids)
	}
	if id := k.offer(t, strings.Repeat("a", 100_000)); len(k.list(t)) != 3 {
		t.Errorf("%s is longer than all that is kept, and there are %d", id, len(k.list(t)))
	}
	if last := k.records[len(k.records)-1]; last.Dropped != TooLong || last.Digest != "" {
		t.Errorf("its record is %+v", last)
	}
}

func TestWhatIsTooLongIsDroppedAndRecorded(t *testing.T) {
	k := newKit(t, func(r *Rule) { r.Bytes = 10 })
	k.offer(t, "12345678901")
	k.offer(t, "1234567890")
	if k.records[0].Dropped != TooLong || k.records[1].Dropped != "" || len(k.list(t)) != 1 {
		t.Errorf("the records are %+v", k.records)
	}
	c := captureOf(id(t), "x")
	c.Answer = k.rule.Answer()
	c.Answer.Add([]byte("12345678"))
	c.Answer.Add([]byte("90123"))
	c.Answer.Add([]byte("4"))
	k.rule.Offer(c)
	k.store.drain(t.Context())
	got, _, err := k.list(t)[1].Open(k.key, k.clock.Now())
	if err != nil || string(got.Answer.Body) != "1234567890" || !got.Answer.Cut {
		t.Errorf("a longer answer is %+v, %v", got, err)
	}
}

func TestWhatDoesNotFitIntoMemoryIsDroppedAndNobodyWaits(t *testing.T) {
	k := newKit(t, func(r *Rule) { r.Bytes = MaxBytes })
	k.rule.Offer(captureOf(id(t), strings.Repeat("x", memory)))
	k.rule.Offer(captureOf(id(t), "y"))
	for range waiting { // two of them find no place
		k.rule.Offer(captureOf(id(t), ""))
	}
	k.store.drain(t.Context())
	if k.records[0].Dropped != "" || k.records[1].Dropped != Busy || k.records[0].Lost != 2 || len(k.records) != waiting {
		t.Errorf("%d records, the first are %+v", len(k.records), k.records[:2])
	}
	k.offer(t, "z")
	if last := k.records[len(k.records)-1]; last.Dropped != "" {
		t.Errorf("afterwards: %+v", last)
	}
}

func TestAnAnswerThatIsNotHandedInGivesItsMemoryBack(t *testing.T) {
	k := newKit(t, nil)
	a := k.rule.Answer()
	a.Add(make([]byte, 1000))
	a.Drop()
	(*Answer)(nil).Drop()
	if held := k.store.held.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
}

func TestAFullDiskDropsAndSaysSoOnce(t *testing.T) {
	k := newKit(t, nil)
	real := k.store.o.Dir
	k.store.o.Dir = filepath.Join(real, "file") // in which no folder can be made
	if err := os.WriteFile(k.store.o.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k.offer(t, "x")
	k.offer(t, "x")
	if k.records[0].Dropped != Disk || k.records[1].Dropped != Disk {
		t.Errorf("the records are %+v", k.records)
	}
	if n := strings.Count(k.log.String(), "cannot be written"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	k.store.o.Dir = real
	k.offer(t, "x")
	if last := k.records[2]; last.Dropped != "" || last.Digest == "" {
		t.Errorf("with room again: %+v", last)
	}
}

func TestChanceSamples(t *testing.T) {
	for sample, want := range map[int64][2]int{Million: {20_000, 20_000}, 10_000: {100, 320}, 0: {0, 0}} {
		r := (&Store{}).Rule(Rule{Sample: sample})
		n := 0
		for range 20_000 {
			if r.Samples(id(t)) {
				n++
			}
		}
		// The bounds of 1 % are seven standard deviations away from 200.
		if n < want[0] || n > want[1] {
			t.Errorf("of 20,000, %d were sampled at %d of a million", n, sample)
		}
	}
	r := (&Store{}).Rule(Rule{Sample: Million})
	if r.Samples("") || r.Samples(strings.Repeat("z", 36)) {
		t.Error("what is no id is sampled")
	}
}

func TestCredentialsAreNotKept(t *testing.T) {
	h := http.Header{
		"Authorization": {"Bearer t"}, "Cookie": {"s=1"}, "X-Api-Key": {"k"}, "Dpop": {"p"}, "Proxy-Authorization": {"x"}, "Referer": {"https://a/?token=1"},
		"Sec-Websocket-Protocol": {"token"}, "X-Custom": {"v"}, "Content-Type": {"application/json"}, "User-Agent": {"curl"},
	}
	if got := Keep(h); !reflect.DeepEqual(got, http.Header{"Content-Type": {"application/json"}, "User-Agent": {"curl"}}) {
		t.Errorf("kept are %v", got)
	}
	for query, want := range map[string]string{
		"":                       "/v1/x",
		"limit=2&after=a":        "/v1/x?limit=2&after=a",
		"api_key=abc":            "/v1/x?api_key=withheld",
		"a=1&%61ccess_token=abc": "/v1/x?a=1&%61ccess_token=withheld",
		"X-Amz-Signature=abc&b":  "/v1/x?X-Amz-Signature=withheld&b",
		"%zz=abc":                "/v1/x?%zz=withheld",
	} {
		got, withheld := Target(&url.URL{Path: "/v1/x", RawQuery: query})
		if got != want || (len(withheld) > 0) != strings.Contains(want, "withheld") {
			t.Errorf("%s becomes %s, withheld are %v", query, got, withheld)
		}
	}
}

func TestTheStoreWritesWhatWasHandedInBeforeItEnds(t *testing.T) {
	k := newKit(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 {
		k.rule.Offer(captureOf(id(t), "x"))
	}
	cancel()
	if err := k.store.Run(ctx); err != nil || len(k.list(t)) != 3 {
		t.Errorf("%d are there, %v", len(k.list(t)), err)
	}
}

func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	c := captureOf("019ab2c4-0000-7000-8000-000000000000", "body")
	c.Answer = &Answer{Status: 200, Body: []byte("answer")}
	if err := c.write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(`{"schema":"apex.capture/v1","request":{"bytes":-1}}` + "\n"))
	f.Add([]byte(`{"schema":"apex.capture/v1","request":{"bytes":60000000}}` + "\nx"))
	f.Add([]byte(`{"schema":"apex.capture/v1","principal":{"claims":{"a":1.5}}}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := read(bytes.NewReader(data))
		if err != nil {
			return
		}
		if int64(len(c.Request.Body)) != c.Request.Bytes || len(c.Request.Body) > len(data) {
			t.Errorf("the body has %d bytes", len(c.Request.Body))
		}
		c.Principal.Identity()
		if err := c.write(io.Discard); err != nil {
			t.Errorf("what was read is not written: %v", err)
		}
	})
}

// BenchmarkSamples is what a request of a route that captures costs, when it is not
// picked.
func BenchmarkSamples(b *testing.B) {
	r := (&Store{}).Rule(Rule{Sample: 10_000})
	ids := make([]string, 1024)
	for i := range ids {
		u := uuid.Must(uuid.NewV7())
		ids[i] = u.String()
	}
	b.ReportAllocs()
	i, picked := 0, 0
	for b.Loop() {
		if r.Samples(ids[i&1023]) {
			picked++
		}
		i++
	}
	_ = picked
}

// BenchmarkWrite is what a capture costs beside the requests: sealed, written and
// recorded.
func BenchmarkWrite(b *testing.B) {
	key, err := seal.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := NewStore(Options{Dir: b.TempDir(), Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Record: func(context.Context, *Record) error { return nil }})
			r := s.Rule(Rule{Route: "captioner", Sample: Million, Recipients: []*seal.PublicKey{key.Public()}, Expire: time.Hour, Bytes: 4 << 20, Keep: 64 << 20, Allowed: true})
			body := hex.EncodeToString(make([]byte, n/2))
			b.ReportAllocs()
			for b.Loop() {
				r.Offer(captureOf(uuid.Must(uuid.NewV7()).String(), body))
				s.drain(b.Context())
			}
		})
	}
}
