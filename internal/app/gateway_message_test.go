package app

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"
	"gocloud.dev/pubsub"

	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/internal/identity/own"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/seal"
	"github.com/apexlogic/apex/verdict"
)

const eventsRoute = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: photos}
spec:
  hosts: [events.example]
  path: /photos
  api: Events
  json: {texts: [/note], media: [/picture]}
  upstream: {url: "%s", tls: Plaintext}
  events: %s
  identities:
    - spiffe: {trustDomain: claims.example}
  allow:
    - {identities: ["spiffe://claims.example/intake"], actions: [produce]}
  limits: {bodyBytes: 200000}
  media: {kinds: [Image, Unknown]}
---
apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: types}
spec:
  cedar: |
    forbid(principal, action == Action::"produce", resource == Topic::"example.secret");
`

// event is one of a sender, signed, unless change spoils it afterwards.
func event(t *testing.T, by *own.Identity, id string, change func(*message.Event), spoil func(*message.Event)) *message.Event {
	t.Helper()
	e := &message.Event{
		Attributes: map[string]string{"specversion": "1.0", "id": id, "source": "/intake", "type": "example.photo", "datacontenttype": "application/json"},
		Data:       []byte(`{"note":"a dent","picture":"` + drawing(t) + `"}`),
	}
	if change != nil {
		change(e)
	}
	c, err := by.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range c.Certificate {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, one)
	}
	if err := message.Sign(e, c.PrivateKey.(crypto.Signer), chain, time.Now()); err != nil {
		t.Fatal(err)
	}
	if spoil != nil {
		spoil(e)
	}
	return e
}

// received is what a receiver gets.
type received struct {
	id, principal, kind string
	body                string
}

// receiver is a server that takes events, and refuses those of one type.
func receiver(t *testing.T) (url string, got chan received) {
	t.Helper()
	got = make(chan received, 64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body)
		if r.Header.Get("Ce-Type") == "example.unwanted" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		if r.Header.Get("Ce-Apexchain") != "" || r.URL.Path != "/photos" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		got <- received{r.Header.Get("Ce-Id"), r.Header.Get("X-Apex-Principal"), r.Header.Get("Content-Type"), string(data)}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func TestEventsThatArePostedPassTheStages(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake, other := caller(t, bundles, "/intake"), workload(t, bundles, "mesh.example", "/intake")
	url, got := receiver(t)
	put(t, dir, "route.yaml", fmt.Sprintf(eventsRoute, url, "{window: 5m}"))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	post := func(e *message.Event, structured bool) (int, verdict.Code) {
		t.Helper()
		status, code, _ := s.ask(t, s.as(t, nil), "events.example", "/photos", string(e.Data), func(r *http.Request) {
			r.Header.Del("Content-Type")
			for name, value := range e.Metadata("ce-") {
				r.Header.Set(name, strings.ReplaceAll(value, " ", "%20"))
			}
			if structured {
				all := map[string]any{"data": json.RawMessage(e.Data)}
				for name, value := range e.Attributes {
					all[name] = value
					r.Header.Del("ce-" + name)
				}
				data, err := json.Marshal(all)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/cloudevents+json")
				r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(data))), int64(len(data))
			}
		})
		return status, code
	}
	first := event(t, intake, "1", nil, nil)
	for _, tc := range []struct {
		name       string
		event      *message.Event
		structured bool
		status     int
		code       verdict.Code
	}{
		{"a signed event", first, false, 202, ""},
		{"the same again", first, false, 202, ""},
		{"one in structured mode", event(t, intake, "2", nil, nil), true, 202, ""},
		{"sealed data", event(t, intake, "3", func(e *message.Event) {
			e.Attributes["datacontenttype"], e.Data = "application/jose", []byte("a.b.c.d.e")
		}, nil), false, 202, ""},
		{"data that was changed", event(t, intake, "4", nil, func(e *message.Event) { e.Data = []byte(`{"note":"no dent"}`) }), false, 401, verdict.MessageSignature},
		{"a sender of another trust domain", event(t, other, "5", nil, nil), false, 401, verdict.IdentityUntrusted},
		{"a type that is forbidden", event(t, intake, "6", func(e *message.Event) { e.Attributes["type"] = "example.secret" }, nil), false, 403, verdict.AccessForbidden},
		{"a picture that is none", event(t, intake, "7", func(e *message.Event) { e.Data = []byte(`{"picture":"PHN2Zz48L3N2Zz4="}`) }, nil), false, 403, verdict.MediaActive},
		{"an attack in a field", event(t, intake, "8", func(e *message.Event) {
			e.Data = []byte(`{"id":"1' UNION SELECT password FROM users--"}`)
		}, nil), false, 403, verdict.WAFBlocked},
		{"keys that are there twice", event(t, intake, "9", func(e *message.Event) { e.Data = []byte(`{"note":"a","note":"b"}`) }, nil), false, 403, verdict.BodyAmbiguous},
		{"one that the receiver refuses", event(t, intake, "10", func(e *message.Event) { e.Attributes["type"] = "example.unwanted" }, nil), false, 403, verdict.MessageRefused},
		{"another one with the id of the first", event(t, intake, "1", func(e *message.Event) { e.Data = []byte(`{"note":"another"}`) }, nil), false, 403, verdict.MessageReplay},
	} {
		if status, code := post(tc.event, tc.structured); status != tc.status || code != tc.code {
			t.Errorf("%s: %d %s, want %d %s", tc.name, status, code, tc.status, tc.code)
		}
	}
	for _, id := range []string{"1", "2", "3"} {
		r := <-got
		if r.id != id || r.principal != "spiffe://claims.example/intake" || r.body == "" {
			t.Errorf("%s: %+v", id, r)
		}
	}
	messages, decisions := eventRecords(t, s)
	if len(got) != 0 || messages["allowed"] != 4 || messages["repeated"] != 1 || decisions != 8 {
		t.Errorf("%d more, %v, %d decisions", len(got), messages, decisions)
	}
}

func TestSealedPartsPassAndClearTextInTheirPlaceDoesNot(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	url, got := receiver(t)
	key, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	route := strings.Replace(eventsRoute, "kinds: [Image, Unknown]", "kinds: [Image]", 1) // no route has to take all that is unknown
	put(t, dir, "route.yaml", fmt.Sprintf(route, url, fmt.Sprintf("{sealed: {places: [/patient], recipients: [%s]}}", key.ID())))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	data := `{"note":"a dent","patient":{"name":"M. Doe"},"picture":"` + drawing(t) + `"}`
	sealed := func(to *seal.PrivateKey, places ...string) func(*message.Event) {
		return func(e *message.Event) {
			e.Data = []byte(data)
			if err := message.Seal(e, []*seal.PublicKey{to.Public()}, places, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, tc := range []struct {
		name   string
		change func(*message.Event)
		status int
		code   verdict.Code
	}{
		{"a part is sealed", sealed(key, "/patient"), 202, ""},
		{"the whole is sealed", sealed(key), 202, ""},
		{"it is in clear text", func(e *message.Event) { e.Data = []byte(data) }, 403, verdict.MessageSealed},
		{"it is for another key", sealed(other, "/patient"), 403, verdict.MessageSealed},
		{"it is spelled in another way", func(e *message.Event) {
			e.Data = []byte(strings.Replace(data, "patient", "Patient", 1))
		}, 403, verdict.BodyAmbiguous},
		{"what is not sealed is an attack", func(e *message.Event) {
			sealed(key, "/patient")(e)
			e.Data = []byte(strings.Replace(string(e.Data), `{"note"`, `{"id":"1' UNION SELECT password FROM users--","note"`, 1))
		}, 403, verdict.WAFBlocked},
		{"sealed in another format", func(e *message.Event) {
			e.Attributes["datacontenttype"], e.Data = "application/jose", []byte("a.b.c.d.e")
		}, 403, verdict.MessageSealed},
	} {
		e := event(t, intake, fmt.Sprint("sealed-", i), tc.change, nil)
		status, code, _ := s.ask(t, s.as(t, nil), "events.example", "/photos", string(e.Structured()), func(r *http.Request) {
			r.Header.Set("Content-Type", "application/cloudevents+json")
		})
		if status != tc.status || code != tc.code {
			t.Errorf("%s: %d %s, want %d %s", tc.name, status, code, tc.status, tc.code)
		}
		if tc.status != 202 {
			continue
		}
		r := <-got
		back := &message.Event{Data: []byte(r.body), Attributes: map[string]string{
			"specversion": "1.0", "id": r.id, "source": "/intake", "type": "example.photo", "datacontenttype": r.kind,
		}}
		if r.kind != "application/json" {
			back.Attributes[message.SealedType] = "application/json"
		}
		if strings.Contains(r.body, "Doe") {
			t.Errorf("%s: %s", tc.name, r.body)
		}
		if _, err := message.Open(back, key, time.Now()); err != nil || string(back.Data) != data {
			t.Errorf("%s: %v %s", tc.name, err, back.Data)
		}
	}
	if len(got) != 0 {
		t.Error("something was delivered that was refused")
	}
}

// eventRecords counts what a gateway kept of events, and ends it.
func eventRecords(t *testing.T, s *served) (messages map[string]int, decisions int) {
	t.Helper()
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), filepath.Join(s.state, "ledger", roleGateway), ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	messages = map[string]int{}
	for e, err := range l.Records(t.Context(), ledger.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch e.Type {
		case message.RecordSchema:
			var r message.Record
			if err := json.Unmarshal(e.Data, &r); err != nil {
				t.Fatal(err)
			}
			switch {
			case r.Repeated:
				messages["repeated"]++
			case r.Allowed:
				messages["allowed"]++
			default:
				messages[r.Code]++
			}
		case gateway.DecisionSchema:
			var d gateway.Decision
			if err := json.Unmarshal(e.Data, &d); err != nil {
				t.Fatal(err)
			}
			if d.Door != doorMessage || d.Route != "photos" {
				t.Errorf("%+v", d)
			}
			decisions++
		}
	}
	return messages, decisions
}

// natsServer is a broker on loopback.
func natsServer(t *testing.T) *natsd.Server {
	t.Helper()
	n, err := natsd.NewServer(&natsd.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go n.Start()
	t.Cleanup(func() { n.Shutdown(); n.WaitForShutdown() })
	if !n.ReadyForConnections(2 * time.Minute) {
		t.Fatal("the broker does not start")
	}
	return n
}

func TestEventsOfABrokerPassTheStagesAndGoToAnotherTopic(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	n := natsServer(t)
	url := "nats://" + n.Addr().String() + "/"
	listen := func(subject string) *pubsub.Subscription {
		s, end, err := (&message.Broker{URL: url + subject}).Subscribe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { end(context.WithoutCancel(t.Context())) })
		return s
	}
	before := n.NumSubscriptions()
	judged, graves := listen("judged"), listen("graves")
	put(t, dir, "route.yaml", fmt.Sprintf(eventsRoute, "http://nobody.example",
		fmt.Sprintf(`{from: {url: "%sincoming?queue=gateways", tls: Plaintext}, to: {url: "%sjudged", tls: Plaintext}, deadLetters: {url: "%sgraves", tls: Plaintext}}`, url, url, url)))
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	waiting, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for n.NumSubscriptions() < before+3 { // ours, and the gateway's

		select {
		case <-waiting.Done():
			t.Fatal("the gateway does not subscribe")
		case <-time.After(5 * time.Millisecond):
		}
	}
	topic, err := (&message.Broker{URL: url + "incoming"}).Topic(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { topic.Close(context.WithoutCancel(t.Context())) })
	for _, e := range []*message.Event{
		event(t, intake, "1", nil, nil),
		event(t, intake, "2", nil, func(e *message.Event) { e.Data = []byte(`{"note":"changed"}`) }),
	} {
		if err := topic.Send(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	good, err := judged.Receive(waiting)
	if err != nil {
		t.Fatal(err)
	}
	good.Ack()
	if good.Metadata["ce-id"] != "1" || good.Metadata["ce-apexchain"] != "" || !strings.Contains(string(good.Body), "a dent") {
		t.Errorf("%v %s", good.Metadata, good.Body)
	}
	bad, err := graves.Receive(waiting)
	if err != nil {
		t.Fatal(err)
	}
	bad.Ack()
	if bad.Metadata["ce-id"] != "2" || bad.Metadata[message.DeadCode] != string(verdict.MessageSignature) {
		t.Errorf("%v", bad.Metadata)
	}
	messages, decisions := eventRecords(t, s)
	if messages["allowed"] != 1 || messages[string(verdict.MessageSignature)] != 1 || decisions != 1 {
		t.Errorf("%v, %d decisions", messages, decisions)
	}
}
