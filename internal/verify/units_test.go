package verify_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/apexlogic/apex/internal/meter"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/internal/verify/verifytest"
	"github.com/apexlogic/apex/verdict"
)

// countingWriter counts the bytes of bodies as the registry sends them.
type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (w countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.n.Add(int64(n))
	return n, err
}

var _ io.Writer = countingWriter{}

// totals returns the units of the engine by team.
func totals(m *meter.Meter, unit string) map[string]uint64 {
	out := map[string]uint64{}
	for _, l := range m.Totals() {
		if l.Control == verify.Control && l.Unit == unit {
			out[l.Team] += l.Total
		}
	}
	return out
}

func TestWhatTeamsAreChargedIsWhatTheRegistryServed(t *testing.T) {
	var sent atomic.Int64
	k := verifytest.New(t, ocitest.Behind(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(countingWriter{w, &sent}, r) })
	}))
	teams := []string{"vision", "claims", ""}
	own := make([]verifytest.Pushed, len(teams))
	for i := range teams {
		own[i] = k.Good(fmt.Sprintf("team-%d/app", i))
	}
	shared := k.PushIndex("shared/app", verifytest.App("shared"))
	k.Sign("release", shared)
	k.Scanned(shared.Of(0))
	var questions []verdict.Question
	for i, team := range teams {
		labels := map[string]string{"app": verifytest.Labels["app"]}
		if team != "" {
			labels[verify.LabelTeam] = team
		}
		// Its own image, one that all teams want at once, and one that is not there.
		for _, asked := range []string{own[i].Image(), shared.Image(), own[i].Repo + ":missing"} {
			questions = append(questions, verdict.Question{Asked: asked, Labels: labels})
		}
	}
	k.Reconnect()
	k.Server.Forget()
	sent.Store(0)
	report := k.Verifier.Verify(t.Context(), questions)
	for i, v := range report.Verdicts {
		want := verdict.Allow
		if i%3 == 2 {
			want = verdict.Deny
		}
		if v.Decision != want {
			t.Fatalf("%s: %s %s", questions[i].Asked, v.Decision, v.Reason)
		}
	}

	requests, bytes := totals(k.Options.Meter, "requests"), totals(k.Options.Meter, "bytes")
	var sumRequests, sumBytes uint64
	for _, team := range teams {
		// A team's own image alone is seven requests or more.
		if requests[team] < 7 || bytes[team] == 0 {
			t.Errorf("the team %q is charged %d requests and %d bytes", team, requests[team], bytes[team])
		}
		sumRequests += requests[team]
		sumBytes += bytes[team]
	}
	if len(requests) != len(teams) {
		t.Errorf("somebody else is charged: %v", requests)
	}
	if served := uint64(len(k.Server.Requests())); sumRequests != served {
		t.Errorf("%d requests are charged, %d were served", sumRequests, served)
	}
	if served := uint64(sent.Load()); sumBytes != served {
		t.Errorf("%d bytes are charged, %d were sent", sumBytes, served)
	}

	// What is known costs nobody anything.
	k.Verifier.Verify(t.Context(), []verdict.Question{{Asked: own[0].Pinned(), Labels: questions[0].Labels}})
	if again := totals(k.Options.Meter, "requests"); again[teams[0]] != requests[teams[0]] {
		t.Errorf("a repetition is charged %d requests", again[teams[0]]-requests[teams[0]])
	}
}
