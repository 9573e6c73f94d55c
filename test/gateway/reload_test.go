package gateway

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/app"
)

// reloadText is a generation that carries its number three times: in the digest of
// the model, in the name of the one policy that permits, and in which of the
// servers answers.
const reloadText = `apiVersion: security.apexlogic.com/v1alpha1
kind: ProtectedRoute
metadata: {name: captioner}
spec:
  hosts: [captioner.example]
  api: OpenAI
  upstream: {url: "%[1]s", tls: Plaintext}
  identities:
    - spiffe: {trustDomain: claims.example, audience: captioner}
  models:
    - {name: captioner, digest: "sha256:%064[2]x"}
  limits: {bodyBytes: 200000, requests: 10000000, concurrent: 1000}
---
apiVersion: security.apexlogic.com/v1alpha1
kind: AccessPolicy
metadata: {name: rules}
spec:
  cedar: |
    @id("mark-%[2]d") permit (principal, action, resource);
`

// marks are the servers among which generations take turns.
const marks = 4

// TestReloadsUnderLoadFailNothingAndMixNothing brings a generation into force each
// second for APEX_RELOAD, by default 3s. For 20s or more the gateway is the built
// program, and its memory is held to what it was after ten seconds.
func TestReloadsUnderLoadFailNothingAndMixNothing(t *testing.T) {
	length := lasting(t, "APEX_RELOAD", 3*time.Second)
	h := build(t)
	var servers [marks]string
	for i := range servers {
		servers[i] = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, strings.Replace(sentence, "a dent", "server "+strconv.Itoa(i), 1))
		}))
	}
	generation := func(n int) string { return fmt.Sprintf(reloadText, servers[n%marks], n) }
	h.put("route.yaml", generation(1))
	var p *process
	if long := length >= 20*time.Second; long {
		p = h.spawn()
	} else {
		h.start(app.GatewayOptions{TrustDomain: "vision.example"})
	}
	type answered struct {
		id     string
		server int
	}
	const workers = 4
	var all [workers + 1][]answered // the last are the test's own
	ask := func(who int) bool {
		a := h.say("hello")
		_, server, _ := strings.Cut(a.text, "server ")
		n, err := strconv.Atoi(server[:min(1, len(server))])
		if a.err != nil || a.status != http.StatusOK || err != nil {
			t.Errorf("failed: %s", a)
			return false
		}
		all[who] = append(all[who], answered{a.id, n})
		return true
	}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for worker := range workers {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !ask(worker) {
					return
				}
			}
		})
	}
	ask(workers)
	var memory []int64 // each second
	end := time.Now().Add(length)
	n := 1
	for tick := time.NewTicker(time.Second); time.Now().Before(end) && !t.Failed(); <-tick.C {
		n++
		h.change("route.yaml", generation(n))
		ask(workers) // however busy the machine is, each generation decides about something
		if p != nil {
			now, _ := p.memory(t)
			memory = append(memory, now)
		}
	}
	close(stop)
	load.Wait()
	k := h.records()
	requests, mixed := 0, 0
	seen := map[string]string{} // mark by generation
	for _, worker := range all {
		for _, a := range worker {
			requests++
			d, there := k.decisions[a.id]
			o, ended := k.outcomes[a.id]
			if !there || !d.Allowed || !ended || o.Status != http.StatusOK {
				t.Fatalf("%s: record %v, allowed %v, ended %v %d", a.id, there, d.Allowed, ended, o.Status)
			}
			number, err := strconv.ParseUint(strings.TrimPrefix(d.Digest, "sha256:"), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			mark := fmt.Sprintf("rules/mark-%d", number)
			if other, known := seen[d.Generation]; known && other != mark {
				mixed++
			}
			seen[d.Generation] = mark
			if !slices.Equal(d.Policies, []string{mark}) || a.server != int(number)%marks {
				mixed++
				t.Logf("%s: model of %d, policies %v, server %d", d.Generation, number, d.Policies, a.server)
			}
		}
	}
	if mixed > 0 {
		t.Errorf("%d of %d decisions are of two generations", mixed, requests)
	}
	if len(seen) != n {
		t.Errorf("%d generations decided, %d were in force", len(seen), n)
	}
	t.Logf("%d requests, %d generations in force, %d decided, none failed", requests, n, len(seen))
	const settled = 10
	if len(memory) > 2*settled {
		base, most := slices.Max(memory[settled-3:settled+1]), slices.Max(memory[settled:])
		last := slices.Max(memory[len(memory)-5:])
		t.Logf("memory after %d s %d MB, at most %d MB, at the end %d MB", settled, base>>20, most>>20, last>>20)
		if last > base+base/10 {
			t.Errorf("memory grew by %d MB of %d MB", (last-base)>>20, base>>20)
		}
	}
}
