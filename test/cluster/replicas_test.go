package cluster

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestEveryReplicaDecidesByThePolicyOfTheCluster(t *testing.T) {
	c := newCluster(t, 3)
	for round := range 3 {
		c.holds(false, round)
		c.everywhere(false)
		if err := c.create("denied"); err == nil {
			t.Error("the API server stores what every replica denies")
		}
		c.holds(true, round)
		c.everywhere(true)
		if err := c.create("allowed"); err != nil {
			t.Errorf("the twin: %v", err)
		}
	}
}

// While leaders change, the API server restarts and its history is dropped, no
// replica ever allows what the policy in force denies.
func TestReplicasStayClosedWhileLeadersChangeAndTheAPIServerRestarts(t *testing.T) {
	c := newCluster(t, 3)
	c.holds(true, 0)
	c.everywhere(true)
	c.holds(false, 0)
	c.everywhere(false)

	stop := make(chan struct{})
	var watching sync.WaitGroup
	asked := make([]int, len(c.replicas))
	leaving := c.leaderReplica()
	gone := slices.Index(c.replicas, leaving)
	for i, r := range c.replicas {
		if i == gone {
			continue
		}
		watching.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if allowed, message, _ := r.allows(); allowed {
					t.Errorf("replica %s allows what the policy denies: %s", r.name, message)
					return
				}
				asked[i]++
			}
		})
	}
	leaving.stop()
	c.replicas = slices.DeleteFunc(c.replicas, func(r *replica) bool { return r == leaving })
	c.await("another leader", func() bool { now := c.leader(); return now != "" && now != leaving.name })
	if err := c.create("after-the-leader"); err == nil {
		t.Error("the API server stores a Pod that the policy denies, after the leader went")
	}

	c.server.Stop()
	for _, r := range c.replicas { // nobody can be asked what is in force: what was, is
		if err := r.awaitDecision(false); err != nil {
			t.Error(err)
		}
	}
	c.server.Resume(t)
	if err := c.create("after-the-restart"); err == nil {
		t.Error("the API server stores a Pod that the policy denies, after its restart")
	}
	c.server.Compact(t) // the watches' last revisions are gone: 410
	c.server.Restart(t)
	close(stop)
	watching.Wait()
	for i := range asked {
		if asked[i] == 0 && i != gone {
			t.Errorf("replica %c was not asked meanwhile", 'a'+i)
		}
	}

	// And they see what comes after it.
	c.holds(true, 1)
	c.everywhere(true)
	c.replicas = append(c.replicas, c.run("d")) // a new one knows it from its first answer
	if allowed, message, err := c.replicas[len(c.replicas)-1].allows(); err != nil || !allowed {
		t.Errorf("a new replica says %t, %s, %v", allowed, message, err)
	}
	c.holds(false, 1)
	c.everywhere(false)
}

func (c *cluster) leaderReplica() *replica {
	c.t.Helper()
	var found *replica
	c.await("a leader", func() bool {
		name := c.leader()
		for _, r := range c.replicas {
			if r.name == name {
				found = r
			}
		}
		return found != nil
	})
	return found
}

// BenchmarkPolicyChangeOnThreeReplicas is how long a change of a policy takes
// until each replica decides by it, from before it is sent to the API server.
func BenchmarkPolicyChangeOnThreeReplicas(b *testing.B) {
	c := newCluster(b, 3)
	c.holds(true, 0)
	c.everywhere(true)
	const changes = 60
	for b.Loop() {
		var all []time.Duration
		for round := range changes {
			it := round%2 == 1
			var wg sync.WaitGroup
			took := make([]time.Duration, len(c.replicas))
			begun := time.Now()
			for i, r := range c.replicas {
				wg.Go(func() {
					if err := r.awaitDecision(it); err != nil {
						b.Error(err)
					}
					took[i] = time.Since(begun)
				})
			}
			c.holds(it, round)
			stored := time.Since(begun)
			wg.Wait()
			all = append(all, took...)
			if slow := slices.Max(took); slow > time.Second/2 {
				b.Logf("change %d: the API server stored it after %s, the replicas decided by it after %s", round, stored, took)
			}
		}
		slices.Sort(all)
		for _, q := range []struct {
			name string
			at   int
		}{{"p50", len(all) / 2}, {"p99", len(all) * 99 / 100}, {"max", len(all) - 1}} {
			b.ReportMetric(float64(all[q.at].Microseconds())/1000, q.name+"-ms")
		}
		b.Log(fmt.Sprint(len(all), " decisions"))
	}
}
