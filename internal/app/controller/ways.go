package controller

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/segment"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/kube"
)

// recordWays is the type of records that say which ways lead around the gateway
// from now on; one without findings says that none does any more.
const recordWays = "apex.gitops.segmentation/v1"

const (
	// waysManager owns the condition [waysCondition].
	waysManager   = "apex-segmentation"
	waysCondition = "Segmented"
	// maxWays of one record and of one answer to a person; they are counted all.
	maxWays = 64
)

// ways looks at what the cluster holds for ways around the gateway, whoever has
// opened them: in the namespaces of each source that asks for segmentation. Git
// is asked about the same before it is applied.
//
// What opens a way without a workload (Services, routes, NetworkPolicies) is
// watched; workloads are listed each [recheck]. Everything belongs to run's
// goroutine but the channel.
type ways struct {
	c       *controller
	changed chan struct{}

	watched map[kube.Kind]context.CancelFunc
	said    map[string]*saidWays // by GitSource
}

// saidWays is what was last said about a source.
type saidWays struct {
	generation string // in which the condition was read
	condition  condition
	recorded   string // the findings, as JSON
	findings   []segment.Finding
}

func newWays(c *controller) *ways {
	return &ways{c: c, changed: make(chan struct{}, 1), watched: map[kube.Kind]context.CancelFunc{}, said: map[string]*saidWays{}}
}

// look has the cluster looked at soon.
func (w *ways) look() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// run looks until the context ends, at most each [glance].
func (w *ways) run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for ctx.Err() == nil {
		if err := w.turn(ctx, &watching); err != nil && ctx.Err() == nil {
			w.c.o.Logger.Error("ways around the gateway may be there that are not seen", "err", err)
		}
		pause := time.NewTimer(glance)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Reset(recheck)
		select {
		case <-ctx.Done():
		case <-pause.C:
		case <-w.changed:
		}
		pause.Stop()
	}
}

// turn looks once.
func (w *ways) turn(ctx context.Context, watching *sync.WaitGroup) error {
	set := w.c.set.Load()
	if set == nil {
		return nil
	}
	covered, err := coverings(set)
	errs := errors.Join(err, w.forget(ctx, set, covered))
	if len(covered) == 0 {
		for kind, stop := range w.watched {
			stop()
			delete(w.watched, kind)
		}
		return errs
	}
	routes, err := w.routes(ctx)
	errs = errors.Join(errs, err)
	w.watch(ctx, routes, watching)
	var namespaces []string
	for _, c := range covered {
		namespaces = append(namespaces, c.namespaces...)
	}
	slices.Sort(namespaces)
	live, err := readLive(ctx, w.c.client, slices.Compact(namespaces), routes)
	errs = errors.Join(errs, err)
	missed := errs
	for _, c := range covered {
		errs = errors.Join(errs, w.conclude(ctx, set, c, live.findings(c), missed))
	}
	return errs
}

// forget takes the condition off the sources that ask for no segmentation any
// more. A source is asked once whether it has one.
func (w *ways) forget(ctx context.Context, set *config.Set, covered []covering) error {
	there := map[string]bool{}
	var errs error
	for _, g := range set.GitSources {
		name := g.Value.Name
		there[name] = true
		if slices.ContainsFunc(covered, func(c covering) bool { return c.source == name }) {
			continue
		}
		if said := w.said[name]; said != nil && said.condition == (condition{}) {
			continue
		}
		said := &saidWays{}
		was, err := w.c.conditionOf(ctx, name, waysCondition)
		if err == nil && was != (condition{}) {
			err = w.c.applyConditions(ctx, name, waysManager)
		}
		if err == nil {
			w.said[name] = said
		}
		errs = errors.Join(errs, err)
	}
	for name := range w.said {
		if !there[name] {
			delete(w.said, name)
		}
	}
	return errs
}

// watch follows the kinds that open ways, those that are served.
func (w *ways) watch(ctx context.Context, routes []kube.Kind, watching *sync.WaitGroup) {
	wanted := append([]kube.Kind{serviceKind, networkPolicyKind}, routes...)
	for kind, stop := range w.watched {
		if !slices.Contains(wanted, kind) {
			stop()
			delete(w.watched, kind)
		}
	}
	for _, kind := range wanted {
		if w.watched[kind] != nil {
			continue
		}
		within, stop := context.WithCancel(ctx)
		w.watched[kind] = stop
		watching.Go(func() {
			defer stop()
			err := w.c.client.Watch(within, kube.Selection{Kind: kind}, func(kube.Event) { w.look() })
			if err != nil && within.Err() == nil {
				w.c.o.Logger.Error("changes are not noticed before the next look for ways around the gateway", "kind", kind.Kind, "err", err)
			}
		})
	}
}

// routes are the kinds of routes that the cluster serves.
func (w *ways) routes(ctx context.Context) ([]kube.Kind, error) {
	var out []kube.Kind
	var errs error
	for _, kind := range routeKinds() {
		served, err := w.c.client.Versions(ctx, kind.Group, kind.Kind)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		if len(served) > 0 {
			kind.Version = served[0]
			out = append(out, kind)
		}
	}
	return out, errs
}

// conclude says what follows for a source: in its status, in the ledger, and with
// Events of what opens the ways. missed is why not everything was seen.
func (w *ways) conclude(ctx context.Context, set *config.Set, c covering, found []segment.Finding, missed error) error {
	said := w.said[c.source]
	if said == nil || said.generation != set.Hash() { // it may have been made anew
		was, err := w.c.conditionOf(ctx, c.source, waysCondition)
		if err != nil {
			return err
		}
		if said == nil {
			said = &saidWays{}
			w.said[c.source] = said
		}
		said.condition, said.generation = was, set.Hash()
	}
	if missed != nil {
		for _, f := range said.findings {
			if !slices.Contains(found, f) {
				found = append(found, f) // what is not seen is not gone
			}
		}
	}
	slices.SortStableFunc(found, compareFindings)
	kept := found[:min(len(found), maxWays)]
	data, err := json.Marshal(map[string]any{"ways": len(found), "findings": kept, "complete": missed == nil})
	if err != nil {
		return err
	}
	if string(data) != said.recorded {
		err := w.c.engine.Record(ctx, recordWays, map[string]any{
			"source": c.source, "generation": set.Hash(), "at": w.c.o.Clock.Now().UTC(),
			"ways": len(found), "findings": kept, "complete": missed == nil,
		})
		if err != nil {
			return err
		}
		said.recorded = string(data)
	}
	for i := range found {
		if !slices.Contains(said.findings, found[i]) {
			w.announce(c.source, &found[i])
		}
	}
	said.findings = found
	return w.c.say(ctx, c.source, waysCondition, waysManager, &said.condition, conditionOfWays(found, missed))
}

func compareFindings(a, b segment.Finding) int {
	return cmp.Or(strings.Compare(string(a.Code), string(b.Code)), strings.Compare(a.Workload.String(), b.Workload.String()),
		strings.Compare(a.Object.String(), b.Object.String()), strings.Compare(a.Why, b.Why))
}

func conditionOfWays(found []segment.Finding, missed error) condition {
	switch {
	case len(found) > 0:
		f := &found[0]
		return condition{status: "False", reason: "WayAroundGateway", message: clip(fmt.Sprintf("%d ways lead around the gateway; the first: %s: %s: %s: %s; %s", len(found), f.Code, f.Workload, f.Object, f.Why, f.Mend))}
	case missed != nil:
		return condition{status: "Unknown", reason: "NotSeen", message: clip(missed.Error())}
	}
	return condition{status: "True", reason: "NoWayAround", message: "no way is seen that leads around the gateway"}
}

func (w *ways) announce(source string, f *segment.Finding) {
	id := f.Object
	w.c.events.announce(kube.Note{
		Regarding: kube.ID{Kind: kube.Kind{Group: id.Group, Kind: id.Kind}, Namespace: id.Namespace, Name: id.Name},
		Warning:   true, Reason: "WayAroundGateway", Action: "Look",
		Text: clip(fmt.Sprintf("source %s: %s: %s: %s; %s", source, f.Code, f.Workload, f.Why, f.Mend)),
	}, source, string(f.Code), f.Workload.String(), f.Why)
}

// covering is a source that asks for segmentation, and where.
type covering struct {
	source     string
	namespaces []string
	spec       segment.Spec
}

// coverings returns the sources of the set that ask for segmentation in the
// cluster. A source whose segmentation cannot be read is left out, and is in the
// error; it is not followed either.
func coverings(set *config.Set) (out []covering, errs error) {
	for _, g := range set.GitSources {
		if g.Value.Spec.Segmentation == nil {
			continue
		}
		c := covering{source: g.Value.Name}
		for _, d := range destinationsOf(g.Value) {
			if d.target.Cluster != nil {
				c.namespaces = append(c.namespaces, d.target.Cluster.Namespaces...)
			}
		}
		if len(c.namespaces) == 0 {
			continue
		}
		slices.Sort(c.namespaces)
		c.namespaces = slices.Compact(c.namespaces)
		var err error
		if c.spec, err = source.Segmentation(g.Value.Spec.Segmentation); err != nil {
			errs = errors.Join(errs, fmt.Errorf("source %s: %w", c.source, err))
			continue
		}
		out = append(out, c)
	}
	return out, errs
}

// say writes a condition of a GitSource that the manager owns alone, when was
// says something else; was is what it says then.
func (c *controller) say(ctx context.Context, source, typ, by string, was *condition, now condition) error {
	now.since = was.since
	if was.status != now.status || was.since == "" {
		now.since = c.o.Clock.Now().UTC().Format(time.RFC3339)
	}
	if *was == now {
		return nil
	}
	err := c.applyConditions(ctx, source, by, map[string]any{
		"type": typ, "status": now.status, "reason": now.reason, "message": now.message, "lastTransitionTime": now.since,
	})
	if errors.Is(err, kube.ErrNotFound) {
		return nil
	}
	if err == nil {
		*was = now
	}
	return err
}

// applyConditions writes all conditions of a GitSource that the manager owns.
func (c *controller) applyConditions(ctx context.Context, source, by string, conditions ...any) error {
	_, err := c.client.ApplyStatus(ctx, map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "GitSource", "metadata": map[string]any{"name": source},
		"status": map[string]any{"conditions": append([]any{}, conditions...)},
	}, by)
	return err
}

// conditionOf reads a condition of a GitSource; the zero value is none.
func (c *controller) conditionOf(ctx context.Context, source, typ string) (condition, error) {
	o, err := c.client.Get(ctx, kube.ID{Kind: app.OurKind("GitSource"), Name: source})
	if errors.Is(err, kube.ErrNotFound) {
		return condition{}, nil
	}
	if err != nil {
		return condition{}, err
	}
	return readCondition(o, typ), nil
}

// idOf is what the analysis knows an object of the cluster by.
func idOf(o *kube.Object) gitops.ID {
	id := kube.IDOf(o)
	return gitops.ID{Group: id.Group, Kind: id.Kind.Kind, Namespace: id.Namespace, Name: id.Name}
}
