package cluster

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/ledger"
)

// kills is how often the process is killed in the middle of its work.
const kills = 6

// A replica keeps its ledger on a volume of its own: what it has answered is there
// for the process that comes after it, however the one before has ended.
func TestWhatWasAnsweredIsInTheLedgerAfterEachKill(t *testing.T) {
	c := newCluster(t, 0)
	c.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: strict, labels: {apexlogic.com/enforce: "true"}}}`)
	state := t.TempDir()
	var mu sync.Mutex
	var answered []string // the images that were refused to somebody
	seen := map[string]bool{}
	for round := range kills {
		p, err := c.begin(state)
		if err != nil {
			t.Fatalf("process %d: %v", round, err)
		}
		if round == 0 {
			// While it runs, nobody else writes there.
			if second, err := c.begin(state); err == nil {
				second.kill()
				t.Fatal("two processes write to one ledger")
			} else if !strings.Contains(err.Error(), ledger.ErrLocked.Error()) {
				t.Errorf("the second process says: %v", err)
			}
		}
		c.awaitAsked()
		// Askers ask until the answers end.
		var askers sync.WaitGroup
		var killed atomic.Bool
		enough, once := make(chan struct{}), sync.Once{}
		most := 5 + rand.IntN(30)
		for asker := range 3 {
			askers.Go(func() {
				for n := 0; !killed.Load(); n++ {
					image := fmt.Sprintf("127.0.0.1:1/x@sha256:%056x%02x%02x%04x", 0, round, asker, n)
					body := map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": fmt.Sprintf("p-%d-%d-%d", round, asker, n), "namespace": "strict"},
						"spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": image}}}}
					_, err := c.client.Apply(t.Context(), body, kube.ApplyOptions{Manager: "a-person"})
					if err == nil {
						t.Errorf("%s is stored, and nobody has allowed it", image)
						return
					}
					if !strings.Contains(err.Error(), "policy.unselected") {
						continue // nobody answers any more, or not at the moment
					}
					mu.Lock()
					answered = append(answered, image)
					full := len(answered) >= (round+1)*most
					mu.Unlock()
					if full {
						once.Do(func() { close(enough) })
					}
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(patience):
			t.Error("nothing is answered")
		}
		p.kill()
		killed.Store(true)
		askers.Wait()
		records := recorded(t, state)
		mu.Lock()
		for _, image := range answered {
			if !records[image] {
				t.Errorf("after kill %d the ledger does not have what was answered about %s", round, image)
			}
		}
		mu.Unlock()
		for image := range seen {
			if !records[image] {
				t.Errorf("after kill %d the record about %s is gone", round, image)
			}
		}
		seen = records
	}
	t.Logf("%d answers, %d records, %d kills", len(answered), len(seen), kills)
	// The last one ends by itself, and leaves the same.
	p, err := c.begin(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	records := recorded(t, state)
	for image := range seen {
		if !records[image] {
			t.Errorf("the record about %s is gone", image)
		}
	}
}

// recorded returns the images about which the ledger holds a verdict.
func recorded(t *testing.T, state string) map[string]bool {
	t.Helper()
	l, err := ledger.Open(t.Context(), state+"/ledger/controller", ledger.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out := map[string]bool{}
	for e, err := range l.Records(t.Context(), ledger.Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			Asked string `json:"asked"`
		}
		if e.Type == ledger.TypeVerdict && json.Unmarshal(e.Data, &v) == nil {
			out[v.Asked] = true
		}
	}
	return out
}
