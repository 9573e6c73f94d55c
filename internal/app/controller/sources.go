package controller

import (
	"cmp"
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
	"github.com/apexlogic/apex/verdict"
)

// retryInterval is how long something that could not be done waits.
const retryInterval = 2 * time.Second

// lead is what one replica at a time does: it runs the sources.
func (c *controller) lead(ctx context.Context) error {
	key, err := c.sharedKey(ctx, "apex-gitops")
	if err != nil {
		return err
	}
	if c.operator, err = c.operatorKey(ctx); err != nil {
		return err
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	background := &background{c: c, wake: make(chan struct{}, 1)}
	if err := background.remember(ctx); err != nil {
		return err
	}
	running.Go(func() { background.run(ctx) })
	ways := newWays(c)
	running.Go(func() { ways.run(ctx) })
	sources := map[string]*runningSource{}
	for {
		set := c.set.Load()
		if set != nil {
			c.reconcile(ctx, set, key, sources, &running)
			background.look()
			ways.look()
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
		c.writeStatus(ctx, name, source.Status{Source: name, Problem: err.Error(), At: c.o.Clock.Now()})
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
}

func (c *controller) runSource(ctx context.Context, set *config.Set, name, key string) (err error) {
	published := newPublications(c, name)
	stages, err := c.engine.OpenSource(ctx, app.SourceOptions{
		Documents: set, Name: name, State: c.sourcesDir(), Cluster: c.client, Key: key,
		Changed: func(st source.Status) { c.writeStatus(ctx, name, st) }, Drift: func(d source.Drift) { c.noteDrift(name, &d) },
		Published: published.tell, Holder: &c.holds,
		Clock: c.o.Clock, Logger: c.o.Logger,
	})
	if err != nil {
		return err
	}
	published.begin(stages)
	ctx, stop := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	running.Go(func() { published.run(ctx) })
	defer func() {
		stop(nil)
		running.Wait()
		for _, s := range stages {
			err = errors.Join(err, s.Close())
		}
	}()
	for _, s := range stages {
		followed := followedSource{Source: s}
		if followed.operator, err = s.Operate(c.operator); err != nil {
			return err
		}
		c.sources.put(followed)
		defer c.sources.remove(s)
		running.Go(func() { stop(s.Run(ctx)) })
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// writeStatus says in the GitSource of the name where it, or a stage of it, stands.
func (c *controller) writeStatus(ctx context.Context, name string, st source.Status) {
	now := c.o.Clock.Now().UTC().Format(time.RFC3339)
	// A stage has a condition of its own, "prod/Ready", and a manager of its own
	// for it: of one manager, what is applied last is all that there is.
	stage := stageIn(name, st.Source)
	ready, by := map[string]any{"type": "Ready", "lastTransitionTime": now}, manager
	if stage != "" {
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
		c.events.announce(kube.Note{
			Regarding: kube.ID{Kind: app.OurKind("GitSource"), Name: name}, Warning: true, Reason: "RevisionRefused", Action: "Refuse",
			Text: fmt.Sprintf("commit %.12s: %s", st.Head, st.Refused.Error()),
		}, st.Source, st.Head, string(st.Refused.Code))
	}
}

// stageIn is the stage in what a source is called there, "source.stage"; "" without
// one. A source's own name may have dots in it too.
func stageIn(source, called string) string {
	return strings.TrimPrefix(strings.TrimPrefix(called, source), ".")
}

// noteDrift says it with an Event of the object: what was healed, what was left as
// the mode says, who fights, and what could not be put back.
func (c *controller) noteDrift(name string, d *source.Drift) {
	reason := map[verdict.Code]string{
		verdict.DriftHealed: "Healed", verdict.DriftFight: "Fight", verdict.DriftAltered: "Altered", verdict.DriftStuck: "NotHealed",
	}[d.Code]
	text := fmt.Sprintf("source %s: %s", name, d.Code)
	if d.Code == verdict.DriftFight {
		text += fmt.Sprintf(": healed %d times", d.Heals)
	}
	if d.Deleted {
		text += "; deleted"
	}
	for _, change := range d.Changes {
		text += "; " + change.What.String() + " " + change.Path
	}
	for i, by := range d.By {
		text += map[bool]string{true: "; by ", false: ", "}[i == 0] + by.Name
	}
	c.events.announce(kube.Note{
		Regarding: kube.ID{Kind: kube.Kind{Group: d.ID.Group, Kind: d.ID.Kind}, Namespace: d.ID.Namespace, Name: d.ID.Name},
		Warning:   true, Reason: cmp.Or(reason, "Drift"), Action: "Heal", Text: clip(text),
	}, text)
}

// writeNote makes an Event of an object whose version may be open.
func (c *controller) writeNote(ctx context.Context, n kube.Note) {
	if n.Regarding.Version == "" {
		n.Regarding.Version = "v1"
		if served, err := c.client.Versions(ctx, n.Regarding.Group, n.Regarding.Kind.Kind); err == nil && len(served) > 0 {
			n.Regarding.Version = served[0]
		}
	}
	c.note(ctx, n)
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
		return strings.ToValidUTF8(text[:maxMessage-3], "") + "..."
	}
	return text
}

// sharedKey is a key that all replicas share, since each may lead: 32 bytes in hex,
// made the first time. That of "apex-gitops" signs what is remembered of sources.
// It waits for an API server that cannot be reached: a leader that ended for that
// would take its webhook with it, which goes on with what is in force.
func (c *controller) sharedKey(ctx context.Context, name string) (string, error) {
	store := &secret{c.client, kube.ID{Kind: kube.Kind{Version: "v1", Kind: "Secret"}, Namespace: c.o.Namespace, Name: name}}
	for {
		key, err := store.key(ctx)
		switch {
		case errors.Is(err, cert.ErrConflict):
			continue // another replica was first
		case !errors.Is(err, kube.ErrUnavailable):
			return key, err
		}
		c.o.Logger.Warn("a key that all replicas share is not read yet", "secret", name, "err", err)
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(retryInterval):
		}
	}
}

// key returns the 32 bytes that the Secret holds, in hex, and makes them if it is
// not there. Who is not first gets [cert.ErrConflict].
func (s *secret) key(ctx context.Context) (string, error) {
	record, _, err := s.Load(ctx)
	switch {
	case err != nil:
		return "", err
	case len(record) >= 32:
		return hex.EncodeToString(record), nil
	case len(record) > 0:
		return "", fmt.Errorf("the Secret %s/%s holds no key; delete it to have a new one made, after which every source starts anew", s.id.Namespace, s.id.Name)
	}
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return "", err
	}
	if err := s.Save(ctx, key[:], ""); err != nil {
		return "", err
	}
	return hex.EncodeToString(key[:]), nil
}
