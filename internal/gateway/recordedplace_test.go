package gateway

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

// Keys are the caller's words as much as values are.
func TestARecordHoldsNoKeysOfTheCallers(t *testing.T) {
	w := newWorld(t, nil)
	for _, tc := range []struct {
		name, body, kept string
	}{
		{"a key that is a sentence", `{"the patient is Ada":{"a":1e999}}`, "/?/a: "},
		{"a key that is long", `{"` + strings.Repeat("k", maxSegment+1) + `":1e999}`, "/?: "},
		{"a short name", `{"messages":[{"seed":1e999}]}`, "/messages/0/seed: "},
	} {
		status, code, answer := w.ask(t, "POST", chat, tc.body, nil)
		if status != 400 || code != string(verdict.BodyMalformed) {
			t.Fatalf("%s: %d %s", tc.name, status, code)
		}
		if d, _ := w.records.last(t); !strings.HasPrefix(d.Detail, tc.kept) {
			t.Errorf("%s: recorded is %q", tc.name, d.Detail)
		}
		if key := strings.Split(tc.body, `"`)[1]; !strings.Contains(answer, "/"+key) {
			t.Errorf("%s: the caller is told %s, not where", tc.name, answer)
		}
	}
	if got := recordedPlace("/image[]"); got != "/image[]" {
		t.Error(got)
	}
	if got := recordedPlace(""); got != "" {
		t.Error(got)
	}
}
