// Package releasetest plays, for tests, the part of the controllers that run what
// a release moves traffic between. It is not Knative and not KServe: it makes
// revisions and writes the fields of status that those write, for one target in
// memory, and serves nothing.
//
// Start with [New]; each [Controller.Step] is one pass of its loop.
package releasetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
)

// Controller plays Knative's and KServe's part on an embedded target. It is safe
// for concurrent use.
type Controller struct {
	store *embedded.Store

	mu     sync.Mutex
	broken map[string]bool // revisions that never become ready
	slow   map[string]bool // revisions that are not ready yet
	sick   map[gitops.ID]string
}

// New returns a controller that has seen nothing yet.
func New(store *embedded.Store) *Controller {
	return &Controller{store: store, broken: map[string]bool{}, slow: map[string]bool{}, sick: map[gitops.ID]string{}}
}

// Break makes the revision one that never becomes ready.
func (c *Controller) Break(revision string) { c.mu.Lock(); c.broken[revision] = true; c.mu.Unlock() }

// Delay keeps the revision from becoming ready until it is called with false.
func (c *Controller) Delay(revision string, on bool) {
	c.mu.Lock()
	c.slow[revision] = on
	c.mu.Unlock()
}

// Sicken makes an object report that it does not serve, with the reason; "" ends it.
func (c *Controller) Sicken(id gitops.ID, why string) { c.mu.Lock(); c.sick[id] = why; c.mu.Unlock() }

// Step looks at every object of the two kinds once.
func (c *Controller) Step(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, kind := range []gitops.Kind{
		{Group: "serving.knative.dev", Version: "v1", Kind: "Service"},
		{Group: "serving.kserve.io", Version: "v1beta1", Kind: "InferenceService"},
	} {
		var ids []gitops.ID
		if err := c.store.List(ctx, kind, func(h gitops.Held) { ids = append(ids, h.ID) }); err != nil {
			return err
		}
		for _, id := range ids {
			_, err := c.store.Update(ctx, id, "controller", "status", func(body map[string]any) error {
				if kind.Kind == "Service" {
					return c.knative(id, body)
				}
				return c.kserve(id, body)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func at(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func text(v any, path ...string) string { s, _ := at(v, path...).(string); return s }

func number(v any) int64 { n, _ := v.(int64); return n }

// revise makes a revision when the template is another one than that of the newest,
// which the status names in a field of our own: so another controller, or another
// process, can go on.
func (c *Controller) revise(id gitops.ID, status, template any, created, ready, pattern string) (newest, serving, played string, err error) {
	data, err := json.Marshal(template)
	if err != nil {
		return "", "", "", err
	}
	if played = string(data); created == "" || text(status, "played") != played {
		n := 0
		if _, err := fmt.Sscanf(created, id.Name+pattern, &n); err != nil && created != "" {
			return "", "", "", fmt.Errorf("%s: revision %q is none of ours", id, created)
		}
		created = fmt.Sprintf(id.Name+pattern, n+1)
	}
	if !c.broken[created] && !c.slow[created] {
		ready = created
	}
	return created, ready, played, nil
}

func yes(ok bool) string {
	if ok {
		return "True"
	}
	return "False"
}

// knative writes the status of a serving.knative.dev Service.
func (c *Controller) knative(id gitops.ID, body map[string]any) error {
	status, _ := body["status"].(map[string]any)
	if status == nil {
		status = map[string]any{}
	}
	created, ready, played, err := c.revise(id, status, at(body, "spec", "template"), text(status, "latestCreatedRevisionName"), text(status, "latestReadyRevisionName"), "-%05d")
	if err != nil {
		return err
	}
	targets, _ := at(body, "spec", "traffic").([]any)
	if len(targets) == 0 {
		targets = []any{map[string]any{"latestRevision": true, "percent": int64(100)}}
	}
	var routed []any
	sum := int64(0)
	for _, t := range targets {
		name := text(t, "revisionName")
		latest := name == ""
		if latest {
			name = ready
		}
		sum += number(at(t, "percent"))
		if name != "" {
			routed = append(routed, map[string]any{"revisionName": name, "latestRevision": latest, "percent": at(t, "percent")})
		}
	}
	if sum != 100 { // its webhook refuses this
		return fmt.Errorf("%s: the traffic adds up to %d", id, sum)
	}
	why := c.sick[id]
	serving := yes(ready != "" && why == "")
	configured := "True"
	if created != ready {
		configured = "Unknown"
	}
	if c.broken[created] {
		configured = "False"
	}
	body["status"] = map[string]any{
		"played": played, "observedGeneration": at(body, "metadata", "generation"), "latestCreatedRevisionName": created, "latestReadyRevisionName": ready, "traffic": routed,
		"conditions": []any{
			map[string]any{"type": "ConfigurationsReady", "status": configured, "reason": "RevisionFailed", "message": "played"},
			map[string]any{"type": "Ready", "status": serving, "reason": "Played", "message": why},
		},
	}
	return nil
}

// kserve writes the status of a serving.kserve.io InferenceService in its
// serverless mode.
func (c *Controller) kserve(id gitops.ID, body map[string]any) error {
	was, _ := at(body, "status", "components", "predictor").(map[string]any)
	predictor, _ := at(body, "spec", "predictor").(map[string]any)
	template := map[string]any{}
	for k, v := range predictor {
		if k != "canaryTrafficPercent" {
			template[k] = v
		}
	}
	created, ready, played, err := c.revise(id, body["status"], template, text(was, "latestCreatedRevision"), text(was, "latestReadyRevision"), "-predictor-%05d")
	if err != nil {
		return err
	}
	rolled, previous := text(was, "latestRolledoutRevision"), text(was, "previousRolledoutRevision")
	percent := int64(100)
	if p, given := predictor["canaryTrafficPercent"].(int64); given {
		percent = p
	}
	rest := rolled
	if rest == ready {
		rest = previous
	}
	var traffic []any
	switch {
	case ready == "":
	case percent == 100 || rest == "":
		traffic = []any{map[string]any{"revisionName": ready, "latestRevision": true, "percent": int64(100)}}
		if rolled != ready {
			rolled, previous = ready, rolled
		}
	default:
		traffic = []any{
			map[string]any{"revisionName": ready, "latestRevision": true, "percent": percent, "tag": "latest"},
			map[string]any{"revisionName": rest, "latestRevision": false, "percent": 100 - percent, "tag": "prev"},
		}
	}
	why := c.sick[id]
	transition := "UpToDate"
	if c.broken[created] {
		transition = "BlockedByFailedLoad"
	} else if created != ready {
		transition = "InProgress"
	}
	body["status"] = map[string]any{
		"played": played, "observedGeneration": at(body, "metadata", "generation"),
		"components": map[string]any{"predictor": map[string]any{
			"latestCreatedRevision": created, "latestReadyRevision": ready, "latestRolledoutRevision": rolled, "previousRolledoutRevision": previous, "traffic": traffic,
		}},
		"modelStatus": map[string]any{"transitionStatus": transition},
		"conditions":  []any{map[string]any{"type": "Ready", "status": yes(ready != "" && why == ""), "reason": "Played", "message": why}},
	}
	return nil
}
