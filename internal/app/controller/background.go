package controller

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// When what runs is asked about.
const (
	// rescan is the longest that a namespace goes without being asked about, also
	// when nothing is known to have changed: evidence and reports grow old.
	rescan = 10 * time.Minute
	// recheck is how soon a namespace is asked about again in which something does
	// not comply, or could not be judged: who mends it should not wait.
	recheck = 30 * time.Second
	// glance is how often it is looked whether other advisories are current.
	glance = time.Second
	// batch is how many questions are asked together: each call of the verifier
	// has one deadline for all of its questions.
	batch = 64
)

// background asks again and again whether what runs still may: at once when
// policies, trust, exceptions, revocations or advisories change, at once about a
// namespace whose labels or annotations change, and every [rescan] about each.
//
// It is level-triggered: what it has said is remembered (see memory), what it has
// done is read from the cluster, so that a pass after a crash or by the next leader
// goes on where the one before ended.
type background struct {
	c    *controller
	wake chan struct{}

	// What follows belongs to run's goroutine, but for dirty.
	memory     *memory
	revision   string                        // that everything was last asked under
	due        map[string]time.Time          // by namespace
	reports    map[reportKey]written         // what was last written
	conditions map[string]condition          // that were last written
	acted      map[kube.ID]map[string]string // what was last said of actions, by reason
	rolled     map[string]int                // the turn in which a source was rolled back
	complied   map[kube.ID]time.Time         // since when an object waits to be healed
	away       map[string]time.Time          // since when a source that is asked for was not followed
	turns      int
	trusted    *approvers // of the generation
	trustedOf  string
	last       map[string]*judged // by namespace, without reports
	next       string             // the namespace where a pass was broken off

	mu    sync.Mutex
	dirty map[string]bool // namespaces that changed
}

func (b *background) look() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *background) init() {
	b.due, b.reports = map[string]time.Time{}, map[reportKey]written{}
	b.conditions, b.acted, b.dirty = map[string]condition{}, map[kube.ID]map[string]string{}, map[string]bool{}
	b.rolled, b.complied, b.away = map[string]int{}, map[kube.ID]time.Time{}, map[string]time.Time{}
	b.memory, b.last = newMemory(), map[string]*judged{}
}

// remember reads what the leader before has said and stopped. Whoever heals has to
// know the latter.
func (b *background) remember(ctx context.Context) error {
	b.init()
	for {
		err := b.load(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		b.c.o.Logger.Error("what was said of what runs cannot be read", "err", err)
		b.pause(ctx, retryInterval)
	}
}

// run asks until the context ends, after remember.
func (b *background) run(ctx context.Context) {
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watching.Go(func() { b.watchNamespaces(ctx) })
	for failures := 0; ctx.Err() == nil; {
		err := b.turn(ctx)
		if err == nil || ctx.Err() != nil {
			failures = 0
			b.pause(ctx, glance)
			continue
		}
		b.c.o.Logger.Error("not everything that runs could be asked about", "err", err)
		b.pause(ctx, min(retryInterval<<min(failures, 8), recheck))
		failures++
	}
}

// pause waits, for a wake at the longest.
func (b *background) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-b.wake:
	case <-timer.C:
	}
}

// watchNamespaces marks those that change: a person has approved an action there,
// or marked the namespace.
func (b *background) watchNamespaces(ctx context.Context) {
	synced := false
	err := b.c.client.Watch(ctx, kube.Selection{Kind: namespaceKind}, func(e kube.Event) {
		if e.Kind == kube.Synced {
			synced = true
		}
		if !synced || e.Name == "" {
			return // the first pass asks about all of them
		}
		b.mu.Lock()
		b.dirty[e.Name] = true
		b.mu.Unlock()
		b.look()
	})
	if err != nil && ctx.Err() == nil {
		b.c.o.Logger.Error("changes of namespaces are not noticed before the next pass", "err", err)
	}
}

// turn asks about what is due.
func (b *background) turn(ctx context.Context) error {
	if set := b.c.set.Load(); set == nil || set.Hash() != b.c.engine.Generation() {
		return nil // what is in force is just being replaced
	}
	b.turns++
	b.forgetAway()
	revision := b.inForce()
	b.mu.Lock()
	dirty := b.dirty
	b.dirty = map[string]bool{}
	b.mu.Unlock()
	if revision != b.revision {
		done, err := b.pass(ctx, nil)
		if err == nil && done {
			b.revision = revision
		}
		return err
	}
	now := b.c.o.Clock.Now()
	for namespace, at := range b.due {
		if !now.Before(at) {
			dirty[namespace] = true
		}
	}
	if len(dirty) == 0 {
		return nil
	}
	names := make([]string, 0, len(dirty))
	for name := range dirty {
		names = append(names, name)
	}
	slices.Sort(names)
	if _, err := b.pass(ctx, names); err != nil {
		b.mu.Lock()
		for _, name := range names {
			b.dirty[name] = true
		}
		b.mu.Unlock()
		return err
	}
	return nil
}

// inForce names all that answers depend on.
func (b *background) inForce() string {
	return b.c.engine.Generation() + " " + b.c.engine.Matcher.Revision()
}

// pass asks once about everything in the namespaces, nil being all, and brings
// what is said and done about it up to date, one namespace after the other. An
// object whose kind cannot be listed stays as it was. It is not done when
// something else came into force meanwhile: then everything is asked anew, which
// must not wait for a registry that does not answer.
func (b *background) pass(ctx context.Context, only []string) (done bool, err error) {
	revision := b.inForce()
	w, errs := gather(ctx, b.c.client, only, b.leaves)
	if w == nil {
		return false, errs
	}
	have, err := b.isolations(ctx)
	if err != nil {
		return false, errors.Join(errs, err) // nothing is undone that is not seen
	}
	names := w.namespaces()
	if only == nil {
		// There is something left of what is gone.
		names = append(names, b.memory.namespaces()...)
		names = slices.AppendSeq(names, maps.Keys(have))
		reported, err := b.reported(ctx)
		names, errs = append(names, reported...), errors.Join(errs, err)
		slices.Sort(names)
		names = b.rotated(slices.DeleteFunc(slices.Compact(names), b.leaves))
		errs = errors.Join(errs, b.revoked(ctx, w, names, have))
	}
	asked, done := 0, true
	for _, name := range names {
		j := b.again(w, name)
		if only == nil || j == nil {
			j = b.judge(ctx, w, name, w.subjects[name])
		}
		if ctx.Err() != nil {
			return false, ctx.Err() // what was asked while everything ends, nobody answered
		}
		if j == nil || b.inForce() != revision {
			b.next, done = name, false
			break
		}
		asked += len(j.report.Verdicts)
		errs = errors.Join(errs, b.conclude(ctx, w, j, have[name]))
	}
	errs = errors.Join(errs, b.save(ctx), b.writeStatuses(ctx, only == nil))
	if only == nil && done {
		errs = errors.Join(errs, b.c.engine.Record(ctx, "apex.background.pass/v1", map[string]any{
			"generation": b.c.engine.Generation(), "questions": asked, "denied": len(b.memory.denied()), "at": b.c.o.Clock.Now(),
		}))
	}
	return done, errs
}

// rotated begins with the namespace where the pass before was broken off, so that
// each one's turn comes however often something else comes into force.
func (b *background) rotated(names []string) []string {
	at, _ := slices.BinarySearch(names, b.next)
	return append(slices.Clone(names[at:]), names[:at]...)
}

// revoked concludes about what names a digest that is revoked before all else:
// that needs no registry, and has to be done within seconds.
func (b *background) revoked(ctx context.Context, w *world, names []string, have map[string][]isolation) error {
	digests := map[string]bool{}
	for _, r := range b.c.set.Load().Revocations {
		if r.Value.Spec.Digest != "" {
			digests[r.Value.Spec.Digest] = true
		}
	}
	if len(digests) == 0 {
		return nil
	}
	var errs error
	for _, name := range names {
		named := slices.DeleteFunc(slices.Clone(w.subjects[name]), func(s *subject) bool { return !s.names(digests) })
		if len(named) == 0 {
			continue
		}
		reduced := make([]*subject, len(named))
		for i, s := range named {
			only := *s
			only.asked = app.Asked{Questions: slices.DeleteFunc(slices.Clone(s.asked.Questions), func(q verdict.Question) bool { return !revokes(digests, q.Asked) })}
			reduced[i] = &only
		}
		j := b.judge(ctx, w, name, reduced)
		if j == nil || ctx.Err() != nil {
			return errs
		}
		j.partial = true // and only what was found is concluded
		j.subjects = slices.DeleteFunc(j.subjects, func(s *subject) bool { return j.findings[s.id].level != denied })
		errs = errors.Join(errs, b.conclude(ctx, w, j, have[name]))
	}
	return errs
}

// names says whether the object names one of the digests.
func (s *subject) names(digests map[string]bool) bool {
	return slices.ContainsFunc(s.asked.Questions, func(q verdict.Question) bool { return revokes(digests, q.Asked) })
}

func revokes(digests map[string]bool, reference string) bool {
	_, digest, found := strings.Cut(reference, "@")
	return found && digests[digest]
}

// approvers are those of the generation.
func (b *background) approvers(set *config.Set) (*approvers, error) {
	if b.trusted == nil || b.trustedOf != set.Hash() {
		a, err := approversOf(set)
		if err != nil {
			return nil, err
		}
		b.trusted, b.trustedOf = a, set.Hash()
	}
	return b.trusted, nil
}

// leaves says what is left alone, as admission leaves it alone.
func (b *background) leaves(namespace string) bool {
	return namespace == b.c.o.Namespace || namespace == "kube-system"
}

// conclude says and does what follows for a namespace.
func (b *background) conclude(ctx context.Context, w *world, j *judged, have []isolation) error {
	err := errors.Join(b.tell(ctx, w, j), b.act(ctx, w, j, have))
	if j.partial {
		return err
	}
	if !j.repeated {
		err = errors.Join(err, b.writeReports(ctx, j))
	}
	b.schedule(j)
	return err
}

// schedule says when the namespace is looked at again, and when it is asked about
// although nothing in it has changed.
func (b *background) schedule(j *judged) {
	if len(j.subjects) == 0 {
		delete(b.due, j.namespace)
		delete(b.last, j.namespace)
		return
	}
	now := b.c.o.Clock.Now()
	look, ask := nextLook(j, now)
	if !j.repeated {
		j.ask = now.Add(ask)
		kept := *j
		kept.report.Verdicts, kept.report.Unresolved, kept.subjects = nil, nil, nil
		b.last[j.namespace] = &kept
	}
	b.due[j.namespace] = verdict.Earliest(verdict.Earliest(now.Add(look), j.ask), j.next)
}

// nextLook says how long to wait until the namespace is listed, and until it is
// asked about. The times of different namespaces are spread over half of the
// interval.
func nextLook(j *judged, now time.Time) (look, ask time.Duration) {
	h := fnv.New32a()
	h.Write([]byte(j.namespace))
	ask = rescan/2 + time.Duration(h.Sum32()%1000)*(rescan/2)/1000
	if !j.until.IsZero() {
		ask = min(ask, max(j.until.Sub(now), recheck))
	}
	look = ask
	for _, f := range j.findings {
		switch f.level {
		case unknown:
			return min(look, recheck), min(ask, recheck)
		case denied:
			look = min(look, recheck)
		}
	}
	return look, ask
}
