package app

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/egress"
	"github.com/apexlogic/apex/internal/gateway/message"
	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/report"
	"github.com/apexlogic/apex/verdict"
)

// TestMessagesAndConnectionsAreExplainedByTheirIDs: those of requests are in
// cmd/apex's script why_request.
func TestMessagesAndConnectionsAreExplainedByTheirIDs(t *testing.T) {
	state := t.TempDir()
	at := clock.At(time.Unix(1_800_000_000, 0))
	l, err := ledger.Open(t.Context(), filepath.Join(state, "ledger", "gateway"), ledger.Options{Origin: "apex.test/gateway", Clock: at})
	if err != nil {
		t.Fatal(err)
	}
	keep := func(kind string, v any) string {
		t.Helper()
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		r, err := l.Append(t.Context(), ledger.Record{Type: kind, Data: data}, ledger.Durable)
		if err != nil {
			t.Fatal(err)
		}
		at.Advance(time.Second)
		return r.ID.String()
	}
	const asked, went, other = "01a314ba-f400-7000-8000-000000000001", "01a314ba-f400-7000-8000-000000000002", "01a314ba-f400-7000-8000-000000000003"
	event := keep(message.RecordSchema, &message.Record{
		Schema: message.RecordSchema, Request: asked, Code: string(verdict.MessageSignature), Principal: "spiffe://claims.example/intake",
		ID: "7", Source: "/claims", Type: "claim.\x1b[31mfiled", Bytes: 12, Parts: []message.Part{{Kind: media.Image, Type: "image/png", Bytes: 9, Digest: "d1"}},
	})
	keep(egress.RecordSchema, &egress.Record{Schema: egress.RecordSchema, Event: egress.Opened, ID: went, Allowed: true, Host: "models.example", Port: 443, Kind: "connect"})
	keep(egress.RecordSchema, &egress.Record{Schema: egress.RecordSchema, Event: egress.Closed, ID: went, Allowed: true, Sent: 10, Received: 20, Lasted: time.Second})
	alone := keep(message.RecordSchema, &message.Record{Schema: message.RecordSchema, Allowed: true, ID: "not ours", Type: "claim.closed"})
	keep("apex.other/v1", map[string]string{"id": other})
	const one, two = "01a314ba-f400-7000-8000-000000000004", "01a314ba-f400-7000-8000-000000000005"
	keep(gateway.StrangersSchema, &gateway.Strangers{
		Schema: gateway.StrangersSchema, ID: "01a314ba-f400-7000-8000-000000000006",
		Denied: map[verdict.Code][]string{verdict.RequestIdentity: {one}, verdict.RequestRoute: {two}},
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name, id string
		records  int
		says     []string
	}{
		{"a message by its request", asked, 1, []string{"✗ message " + asked + ": deny", string(verdict.MessageSignature), "mend", "spiffe://claims.example/intake", `claim.\x1b[31mfiled`, "image image/png, 9 bytes, d1"}},
		{"the same by its record", event, 1, []string{"✗ message " + asked + ": deny"}},
		{"a message that came by a queue", alone, 1, []string{"✓ message " + alone + ": allow", "claim.closed"}},
		{"a connection", went, 2, []string{"✓ connection " + went + ": allow", "models.example:443 connect", "10 bytes out, 20 bytes in, in 1s", "record"}},
		{"one of many strangers", two, 1, []string{"✗ request " + two + ": deny", "request.route", "mend", "came too fast"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id, err := ledger.ParseID(tc.id)
			if err != nil {
				t.Fatal(err)
			}
			p, err := FindPassage(t.Context(), state, id)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Records) != tc.records {
				t.Errorf("%d records, want %d", len(p.Records), tc.records)
			}
			told, err := p.Explain(at.Now())
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := told.Write(&out, report.Options{}); err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, out.String())
				}
			}
			for i := range p.Records {
				if s := p.Records[i].Summary(); strings.ContainsRune(s, '\x1b') || strings.HasPrefix(s, "(") {
					t.Errorf("in a list: %q", s)
				}
			}
		})
	}
	id, _ := ledger.ParseID(other)
	if p, err := FindPassage(t.Context(), state, id); !errors.Is(err, ErrNoVerdict) {
		t.Errorf("of what is no request there is %+v, %v", p, err)
	}
}
