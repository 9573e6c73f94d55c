package app

import (
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/apexlogic/apex/verdict"
)

func keyDER(key crypto.PrivateKey) ([]byte, error) { return x509.MarshalPKCS8PrivateKey(key) }

// The life of an identity: a workload gets it by go-spiffe from the socket, shows it
// to the gateway, has it renewed while it asks, and loses it by a Revocation, which
// cuts what runs and is renewed by nobody.
func TestAnIdentityLivesIsRenewedAndRevoked(t *testing.T) {
	release := make(chan struct{})
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/completions") {
			w.Header().Set("Content-Type", "text/event-stream")
			io.WriteString(w, "data: {\"choices\":[]}\n\n")
			http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-release:
				io.WriteString(w, "data: [DONE]\n\n")
			}
			return
		}
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}")
	}))
	defer behind.Close()
	w := newIdentityWorld(t, entry("intake", oneUser())+"---\n"+entry("other", oneUser())+"---\n"+
		strings.Replace(entry("laptop", "joinToken: {name: laptop}"), "claims.example/laptop", "claims.example/intake", 1)+"---\n"+
		strings.Replace(entry("tablet", "joinToken: {name: tablet}"), "claims.example/tablet", "claims.example/other", 1), behind.URL, nil)
	h := &lasting{t: t, s: w.gateway}

	at := workloadapi.WithClientOptions(workloadapi.WithAddr("unix://" + w.socket))
	watch := func(id string) *workloadapi.X509Source {
		s, err := workloadapi.NewX509Source(t.Context(), at, workloadapi.WithDefaultX509SVIDPicker(func(all []*x509svid.SVID) *x509svid.SVID {
			for _, one := range all {
				if one.ID.String() == id {
					return one
				}
			}
			return all[0]
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	const me, them = "spiffe://claims.example/intake", "spiffe://claims.example/other"
	mine, theirs := watch(me), watch(them)
	serial := func(s *workloadapi.X509Source) string {
		one, err := s.GetX509SVID()
		if err != nil {
			t.Fatal(err)
		}
		return one.ID.String() + " " + one.Certificates[0].SerialNumber.String()
	}
	first := serial(mine)
	if !strings.HasPrefix(first, me) || !strings.HasPrefix(serial(theirs), them) {
		t.Fatal(first, serial(theirs))
	}
	allowed := func(when string, c *http.Client, token string) {
		t.Helper()
		if status, code := w.ask(c, token); status != 200 {
			t.Fatalf("%s: %d %s", when, status, code)
		}
	}
	refused := func(when string, c *http.Client, token string, want verdict.Code) {
		t.Helper()
		if status, code := w.ask(c, token); status != 401 || code != want {
			t.Errorf("%s: %d %s, want %s", when, status, code, want)
		}
	}
	kept, fresh, asOther, nobody := w.client(mine, true), w.client(mine, false), w.client(theirs, true), w.gateway.as(t, nil)
	allowed("at first", kept, "")
	allowed("somebody else", asOther, "")

	// Tokens are for one audience.
	tokens, err := workloadapi.NewJWTSource(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer tokens.Close()
	token := func(id, audience string) string {
		t.Helper()
		all, err := workloadapi.FetchJWTSVIDs(t.Context(), jwtsvid.Params{Audience: audience}, workloadapi.WithAddr("unix://"+w.socket))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			if one.ID.String() == id {
				return one.Marshal()
			}
		}
		t.Fatal("no token of", id)
		return ""
	}
	bearer, elsewhere, othersBearer := token(me, "captioner"), token(me, "https://elsewhere.example"), token(them, "captioner")
	allowed("by a token", nobody, bearer)
	refused("by a token for somebody else", nobody, elsewhere, verdict.IdentityAudience)

	// Half of its life passes, and requests go on, on one connection and on new ones,
	// while go-spiffe's own watcher takes the next certificate.
	events := h.events(kept, "")
	w.clock.by.Add(int64(5*time.Minute + time.Second))
	renewed := mine.Updated()
	asked := 0
	for renewing := true; renewing; asked++ {
		select {
		case <-renewed:
			renewing = false
		default:
		}
		allowed("while it is renewed", kept, "")
		allowed("while it is renewed, anew", fresh, "")
	}
	if second := serial(mine); second == first || !strings.HasPrefix(second, me) {
		t.Fatalf("it was not renewed: %s", second)
	}
	allowed("renewed", fresh, "")
	allowed("renewed, on the connection of before", kept, "")
	t.Logf("%d requests while it was renewed, none failed", 2*asked)

	// A revocation cuts what runs, and refuses by its name.
	othersEvents := h.events(asOther, "")
	began := time.Now()
	w.change("revocation.yaml", revocation("/intake"))
	h.cut("revoked", events, verdict.IdentityRevoked)
	t.Logf("from the file to the cut %v", time.Since(began).Round(time.Millisecond))
	refused("revoked, on an open connection", kept, "", verdict.IdentityRevoked)
	refused("revoked, on a new connection", fresh, "", verdict.IdentityRevoked)
	refused("revoked, by a token of before", nobody, bearer, verdict.IdentityRevoked)
	allowed("somebody else", asOther, "")
	allowed("somebody else by a token", nobody, othersBearer)
	close(release)
	if rest, err := io.ReadAll(othersEvents); err != nil || !strings.Contains(string(rest), "[DONE]") || strings.Contains(string(rest), "apex_denied") {
		t.Errorf("somebody else's events: %q %v", rest, err)
	}

	// And nobody gives it again: not the socket, not the exchange, not the watcher.
	source, err := FromSocket(w.socket)
	if err != nil {
		t.Fatal(err)
	}
	notGiven := func(what string, err error) {
		t.Helper()
		if _, is := errors.AsType[*IdentityRefused](err); !is {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = source.Certificate(t.Context(), me)
	notGiven("a certificate of the socket", err)
	_, err = source.Token(t.Context(), me, []string{"captioner"})
	notGiven("a token of the socket", err)
	join := func(name string) string {
		token, err := JoinToken(w.state, name, time.Minute, w.clock)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	_, err = w.source(evidenceJoin, join("laptop"), "").Certificate(t.Context(), "")
	notGiven("a certificate of the exchange", err)
	_, err = w.source(evidenceJoin, join("laptop"), "").Token(t.Context(), "", []string{"captioner"})
	notGiven("a token of the exchange", err)
	if _, err := source.Certificate(t.Context(), them); err != nil {
		t.Error("somebody else at the socket:", err)
	}
	if _, err := w.source(evidenceJoin, join("tablet"), "").Certificate(t.Context(), ""); err != nil {
		t.Error("somebody else at the exchange:", err)
	}
	watched := mine.Updated()
	w.clock.by.Add(int64(5*time.Minute + time.Second))
	<-watched
	if now := serial(mine); !strings.HasPrefix(now, them) { // the picker takes what there is
		t.Errorf("the watcher was given %s", now)
	}

	// The Revocation taken back, it is given and let in again.
	w.change("revocation.yaml", "")
	if _, err := source.Certificate(t.Context(), me); err != nil {
		t.Error("not revoked any more, at the socket:", err)
	}
	again, err := w.source(evidenceJoin, join("laptop"), "").Token(t.Context(), "", []string{"captioner"})
	if err != nil {
		t.Fatal("not revoked any more, at the exchange:", err)
	}
	allowed("not revoked any more", nobody, again.Token)
	if err := w.end(); err != nil {
		t.Error(err)
	}
}
