package controller

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/app"
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
	revision   string                // that everything was last asked under
	due        map[string]time.Time  // by namespace
	reports    map[reportKey]written // what was last written
	conditions map[string]condition  // that were last written
	acted      map[kube.ID]string    // what was last said of an action
	last       map[string]*judged    // by namespace, without reports

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
	b.conditions, b.acted, b.dirty = map[string]condition{}, map[kube.ID]string{}, map[string]bool{}
	b.memory, b.last = newMemory(), map[string]*judged{}
}

func (b *background) run(ctx context.Context) {
	b.init()
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	watching.Go(func() { b.watchNamespaces(ctx) })
	for ctx.Err() == nil {
		if err := b.load(ctx); err == nil {
			break
		} else if ctx.Err() == nil {
			b.c.o.Logger.Error("what was said of what runs cannot be read", "err", err)
		}
		b.pause(ctx, retryInterval)
	}
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

// watchNamespaces marks those that change: a person has said there what is done
// about violations, or approved it.
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
	if b.c.set.Load() == nil {
		return nil
	}
	revision := b.c.engine.Generation() + " " + b.c.engine.Matcher.Revision()
	b.mu.Lock()
	dirty := b.dirty
	b.dirty = map[string]bool{}
	b.mu.Unlock()
	if revision != b.revision {
		if err := b.pass(ctx, nil); err != nil {
			return err
		}
		b.revision = revision
		return nil
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
	if err := b.pass(ctx, names); err != nil {
		b.mu.Lock()
		for _, name := range names {
			b.dirty[name] = true
		}
		b.mu.Unlock()
		return err
	}
	return nil
}

// pass asks once about everything in the namespaces, nil being all, and brings
// what is said and done about it up to date, one namespace after the other. An
// object whose kind cannot be listed stays as it was.
func (b *background) pass(ctx context.Context, only []string) error {
	w, errs := gather(ctx, b.c.client, only, b.leaves)
	if w == nil {
		return errs
	}
	have, err := b.isolations(ctx)
	if err != nil {
		return errors.Join(errs, err) // nothing is undone that is not seen
	}
	names := w.namespaces()
	if only == nil {
		// There is something left of what is gone.
		names = append(names, b.memory.namespaces()...)
		names = slices.AppendSeq(names, maps.Keys(have))
		reported, err := b.reported(ctx)
		names, errs = append(names, reported...), errors.Join(errs, err)
		slices.Sort(names)
		names = slices.DeleteFunc(slices.Compact(names), b.leaves)
	}
	asked := 0
	for _, name := range names {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		j := b.again(w, name)
		if only == nil || j == nil {
			j = b.judge(ctx, w, name)
		}
		asked += len(j.report.Verdicts)
		errs = errors.Join(errs, b.conclude(ctx, w, j, have[name]))
	}
	errs = errors.Join(errs, b.save(ctx), b.writeStatuses(ctx, w, only == nil))
	if only == nil {
		errs = errors.Join(errs, b.c.engine.Record(ctx, "apex.background.pass/v1", map[string]any{
			"generation": b.c.engine.Generation(), "questions": asked, "denied": len(b.memory.denied()), "at": b.c.o.Clock.Now(),
		}))
	}
	return errs
}

// leaves says what is left alone, as admission leaves it alone.
func (b *background) leaves(namespace string) bool {
	return namespace == b.c.o.Namespace || namespace == "kube-system"
}

// judged is what became of the questions of a namespace.
type judged struct {
	namespace string
	subjects  []*subject
	findings  map[kube.ID]finding
	report    verdict.Report
	until     time.Time // when an answer has to be asked for again; zero: never
	unstable  bool      // the generation changed meanwhile
	about     [sha256.Size]byte
	ask       time.Time // when it is asked again although nothing has changed
	repeated  bool      // nothing was asked: it is as it was
}

// again returns what was last found out about a namespace when nothing that is
// asked about it has changed since: that costs no verification.
func (b *background) again(w *world, namespace string) *judged {
	was := b.last[namespace]
	if was == nil || !b.c.o.Clock.Now().Before(was.ask) || was.report.Generation != b.c.engine.Generation() || was.about != questionsOf(w, namespace) {
		return nil
	}
	again := *was
	again.subjects, again.repeated = w.subjects[namespace], true
	return &again
}

// questionsOf names all that is asked about a namespace, and how its answers are
// read.
func questionsOf(w *world, namespace string) (sum [sha256.Size]byte) {
	h := sha256.New()
	e := json.NewEncoder(h) // of plain data to a hash: neither fails
	_ = e.Encode(w.enforced(namespace))
	for _, s := range w.subjects[namespace] {
		_ = e.Encode([]any{s.id, s.uid, s.asked})
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// judge asks about all objects of a namespace.
func (b *background) judge(ctx context.Context, w *world, namespace string) *judged {
	j := &judged{namespace: namespace, subjects: w.subjects[namespace], findings: map[kube.ID]finding{}, about: questionsOf(w, namespace)}
	enforced := w.enforced(namespace)
	j.report.Generation = b.c.engine.Generation()
	j.report.At = b.c.o.Clock.Now()
	j.report.Schema = verdict.ReportSchema
	about := make(map[string]kube.ID, len(j.subjects))
	var next app.Asked
	ask := func() {
		r := b.c.engine.Ask(ctx, next)
		j.unstable = j.unstable || r.Generation != j.report.Generation
		for i := range r.Verdicts {
			v := &r.Verdicts[i]
			id := about[v.Where.File]
			f := weigh(v, enforced)
			f.generation = r.Generation
			j.findings[id] = worse(j.findings[id], f)
			j.until = verdict.Earliest(j.until, v.Until)
			if f.level == complies && v.Decision == verdict.Deny {
				continue // nobody asks for it to be selected
			}
			j.report.Verdicts = append(j.report.Verdicts, *v)
		}
		for _, u := range r.Unresolved {
			id := about[u.Where.File]
			j.findings[id] = worse(j.findings[id], finding{level: denied, code: u.Code, reason: u.Text + ": " + string(u.Code) + ": " + u.Why, generation: r.Generation})
			j.report.Unresolved = append(j.report.Unresolved, u)
		}
		next = app.Asked{}
	}
	for _, s := range j.subjects {
		about[s.id.String()] = s.id
		next.Questions = append(next.Questions, s.asked.Questions...)
		next.Unresolved = append(next.Unresolved, s.asked.Unresolved...)
		if len(next.Questions) >= batch {
			ask()
		}
	}
	if len(next.Questions)+len(next.Unresolved) > 0 {
		ask()
	}
	// A question about a model that no policy is about has no answer.
	for _, s := range j.subjects {
		if _, answered := j.findings[s.id]; !answered {
			j.findings[s.id] = finding{level: complies, generation: j.report.Generation}
		}
	}
	return j
}

// conclude says and does what follows for a namespace.
func (b *background) conclude(ctx context.Context, w *world, j *judged, have []isolation) error {
	if ctx.Err() != nil {
		return ctx.Err() // what was asked while everything ends, nobody answered
	}
	j.unstable = j.unstable || j.report.Generation != b.c.engine.Generation()
	err := b.tell(ctx, w, j)
	if !j.unstable { // nothing is done by rules that are no longer in force
		err = errors.Join(err, b.act(ctx, w, j, have))
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
	b.due[j.namespace] = verdict.Earliest(now.Add(look), j.ask)
	if j.unstable {
		b.due[j.namespace] = now
		delete(b.last, j.namespace)
	}
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
