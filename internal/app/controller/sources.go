package controller

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/admission/cert"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/kube"
)

// retryInterval is how long something that could not be done waits.
const retryInterval = 2 * time.Second

// lead is what one replica at a time does: it runs the sources.
func (c *controller) lead(ctx context.Context) error {
	key, err := c.stateKey(ctx)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	background := &background{c: c, wake: make(chan struct{}, 1)}
	running.Go(func() { background.run(ctx) })
	sources := map[string]*runningSource{}
	for {
		set := c.set.Load()
		if set != nil {
			c.reconcile(ctx, set, key, sources, &running)
			background.look()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.changed:
		}
	}
}

// runningSource is a GitSource that is followed.
type runningSource struct {
	hash string
	stop context.CancelFunc
	done chan struct{}
}

// reconcile starts what is new, stops what is gone, and starts anew what has
// another spec or trust.
func (c *controller) reconcile(ctx context.Context, set *config.Set, key string, sources map[string]*runningSource, running *sync.WaitGroup) {
	wanted := map[string]string{}
	for _, g := range set.GitSources {
		wanted[g.Value.Name] = sourceHash(set, g.Value)
	}
	for name, s := range sources {
		if wanted[name] != s.hash {
			s.stop()
			<-s.done // its mirror is locked until then
			delete(sources, name)
		}
	}
	for _, g := range set.GitSources {
		name := g.Value.Name
		if sources[name] != nil {
			continue
		}
		within, stop := context.WithCancel(ctx)
		s := &runningSource{wanted[name], stop, make(chan struct{})}
		sources[name] = s
		running.Go(func() {
			defer close(s.done)
			defer stop()
			c.follow(within, set, name, key)
		})
	}
}

// sourceHash names what a source is made of: its own spec, and whom it trusts.
func sourceHash(set *config.Set, g *v1alpha1.GitSource) string {
	var trust []any
	for _, r := range set.TrustRoots {
		trust = append(trust, r.Value.Spec)
	}
	for _, r := range set.Revocations {
		trust = append(trust, r.Value.Spec)
	}
	data, err := json.Marshal([]any{g.Spec, trust})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// follow runs one source until its context ends.
func (c *controller) follow(ctx context.Context, set *config.Set, name, key string) {
	for ctx.Err() == nil {
		err := c.runSource(ctx, set, name, key)
		if ctx.Err() != nil {
			return
		}
		c.o.Logger.Error("a source is not followed", "source", name, "err", err)
		c.writeStatus(ctx, source.Status{Source: name, Problem: err.Error(), At: c.o.Clock.Now()})
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
}

func (c *controller) runSource(ctx context.Context, set *config.Set, name, key string) (err error) {
	stages, err := c.engine.OpenSource(ctx, app.SourceOptions{
		Documents: set, Name: name, State: c.sourcesDir(), Cluster: c.client, Key: key,
		Changed: func(st source.Status) { c.writeStatus(ctx, st) }, Drift: func(d source.Drift) { c.noteDrift(ctx, name, &d) },
		Clock: c.o.Clock, Logger: c.o.Logger,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer func() {
		stop(nil)
		running.Wait()
		for _, s := range stages {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, s := range stages {
		running.Go(func() { stop(s.Run(ctx)) })
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// writeStatus says in the GitSource where it stands.
func (c *controller) writeStatus(ctx context.Context, st source.Status) {
	now := c.o.Clock.Now().UTC().Format(time.RFC3339)
	// A stage has a condition of its own, "prod/Ready", and a manager of its own
	// for it: of one manager, what is applied last is all that there is.
	name, stage, staged := strings.Cut(st.Source, ".")
	ready, by := map[string]any{"type": "Ready", "lastTransitionTime": now}, manager
	if staged {
		ready["type"], by = stage+"/Ready", manager+"-"+stage
	}
	switch {
	case st.Refused != nil:
		ready["status"], ready["reason"], ready["message"] = "False", "Refused", clip(st.Refused.Error())
	case st.Problem != "":
		ready["status"], ready["reason"], ready["message"] = "False", "Problem", clip(st.Problem)
	case st.Held != "" && st.Head == st.Held:
		ready["status"], ready["reason"], ready["message"] = "True", "RolledBack", fmt.Sprintf("commit %.12s was rolled back", st.Held)
	case st.Ready():
		ready["status"], ready["reason"], ready["message"] = "True", "Applied", fmt.Sprintf("commit %.12s is applied", st.Commit)
	default:
		ready["status"], ready["reason"], ready["message"] = "Unknown", "Working", "it is being applied"
	}
	status := map[string]any{"conditions": []any{ready}, "objects": int64(st.Objects), "counter": int64(st.Counter)}
	if st.Commit != "" {
		status["commit"] = st.Commit
	}
	if st.Set != "" {
		status["set"] = string(st.Set)
	}
	body := map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "GitSource", "metadata": map[string]any{"name": name}, "status": status,
	}
	if _, err := c.client.ApplyStatus(ctx, body, by); err != nil && ctx.Err() == nil {
		c.o.Logger.Warn("the status of a source is not written", "source", st.Source, "err", err)
	}
	if st.Refused != nil {
		c.note(ctx, kube.Note{
			Regarding: kube.ID{Kind: ours("GitSource"), Name: name}, Warning: true, Reason: "RevisionRefused", Action: "Refuse",
			Text: fmt.Sprintf("commit %.12s: %s", st.Head, st.Refused.Error()),
		})
	}
}

// noteDrift says it with an Event of the object.
func (c *controller) noteDrift(ctx context.Context, name string, d *source.Drift) {
	text := fmt.Sprintf("source %s: %s", name, d.Code)
	for _, change := range d.Changes {
		text += "; " + change.What.String() + " " + change.Path
	}
	version := "v1"
	c.note(ctx, kube.Note{
		Regarding: kube.ID{Kind: kube.Kind{Group: d.ID.Group, Version: version, Kind: d.ID.Kind}, Namespace: d.ID.Namespace, Name: d.ID.Name},
		Warning:   true, Reason: "Drift", Action: "Heal", Text: text,
	})
}

// note makes an Event; who watches the cluster sees it, the ledger proves it.
func (c *controller) note(ctx context.Context, n kube.Note) {
	if err := c.client.Record(ctx, n); err != nil && ctx.Err() == nil {
		c.o.Logger.Warn("an event is not written", "object", n.Regarding.String(), "err", err)
	}
}

// maxMessage is what a condition's message may hold.
const maxMessage = 1024

func clip(text string) string {
	if len(text) > maxMessage {
		return text[:maxMessage-3] + "..."
	}
	return text
}

// stateKey is the secret that signs what is remembered of sources: all replicas
// share it, since each may lead.
func (c *controller) stateKey(ctx context.Context) (string, error) {
	store := &secret{c.client, kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Secret"}, Namespace: c.o.Namespace, Name: "apex-gitops"}}
	for {
		record, _, err := store.Load(ctx)
		if err != nil {
			return "", err
		}
		if len(record) >= 32 {
			return hex.EncodeToString(record), nil
		}
		if len(record) > 0 {
			return "", fmt.Errorf("the Secret %s/%s holds no key; delete it to have a new one made, after which every source starts anew", store.id.Namespace, store.id.Name)
		}
		var key [32]byte
		if _, err := rand.Read(key[:]); err != nil {
			return "", err
		}
		if err := store.Save(ctx, key[:], ""); err != nil && !errors.Is(err, cert.ErrConflict) {
			return "", err
		}
	}
}
