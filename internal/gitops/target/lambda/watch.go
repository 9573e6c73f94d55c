package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/apexlogic/apex/internal/gitops"
)

// names lists what is there, cheaply: the name of each with a mark that changes
// when its configuration does. What stands beside it (policies, addresses, tags)
// leaves the mark as it is.
func (t *Target) names(ctx context.Context, kind string) (map[string]string, error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	if kind == gitops.LambdaRoleKind {
		return t.roleNames(ctx)
	}
	found := map[string]string{}
	in := &lambda.ListFunctionsInput{}
	for range maxPages {
		out, err := t.lambda.ListFunctions(ctx, in)
		if err != nil {
			return nil, failure("list the functions", err, false)
		}
		for _, f := range out.Functions {
			found[aws.ToString(f.FunctionName)] = aws.ToString(f.RevisionId) + " " + aws.ToString(f.CodeSha256) + " " + aws.ToString(f.LastModified)
		}
		if aws.ToString(out.NextMarker) == "" {
			return found, nil
		}
		in.Marker = out.NextMarker
	}
	return nil, errors.New("list the functions: there are too many pages")
}

func (t *Target) roleNames(ctx context.Context) (map[string]string, error) {
	found := map[string]string{}
	in := &iam.ListRolesInput{}
	for range maxPages {
		out, err := t.iam.ListRoles(ctx, in)
		if err != nil {
			return nil, failure("list the roles", err, true)
		}
		for _, r := range out.Roles {
			found[aws.ToString(r.RoleName)] = aws.ToString(r.RoleId) + " " + aws.ToString(r.AssumeRolePolicyDocument)
		}
		if !out.IsTruncated || aws.ToString(out.Marker) == "" {
			return found, nil
		}
		in.Marker = out.Marker
	}
	return nil, errors.New("list the roles: there are too many pages")
}

func kindID(kind, name string) gitops.ID {
	return gitops.ID{Group: gitops.LambdaGroup, Kind: kind, Name: name}
}

func served(k gitops.Kind) bool {
	return k.Group == gitops.LambdaGroup && k.Version == gitops.LambdaVersion && (k.Kind == gitops.LambdaFunctionKind || k.Kind == gitops.LambdaRoleKind)
}

// parallel descriptions at once, of some calls each: an account may make 15 a
// second of most.
const parallel = 2

// unreadable is the version of an object that is ours and cannot be read: it
// differs from every other one, so that somebody looks.
const unreadable = "unreadable"

// describeAll describes some objects, a few at a time. Those that are gone, those
// of others that cannot be read, and those whose name this target does not hold
// are left out: a function that somebody locked does not blind us to the rest.
// Marks are those of the listing. Each waits for the pause first.
func (t *Target) describeAll(ctx context.Context, kind, source string, names []string, marks map[string]string, pause time.Duration, each func(*held, string)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan string)
	var all sync.WaitGroup
	var mu sync.Mutex // of each
	for range min(parallel, len(names)) {
		all.Go(func() {
			for name := range next {
				id := kindID(kind, name)
				if check(id, gitops.LambdaVersion) != nil {
					continue
				}
				h, err := t.describeOf(ctx, id, source)
				version := ""
				if err == nil {
					version, err = h.version()
				}
				switch {
				case errors.Is(err, gitops.ErrNotFound):
				case errors.Is(err, gitops.ErrForbidden), errors.Is(err, errOdd):
					if was := t.sourceSeen(id); was != "" {
						mu.Lock()
						each(&held{id: id, source: was}, unreadable)
						mu.Unlock()
					}
				case err != nil:
					cancel(err)
				default:
					t.looked(h, marks[name], version, !t.foreign(h, source))
					mu.Lock()
					each(h, version)
					mu.Unlock()
				}
			}
		})
	}
	for _, name := range names {
		if pause > 0 && sleep(ctx, pause) != nil {
			break
		}
		select {
		case next <- name:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	close(next)
	all.Wait()
	return context.Cause(ctx)
}

// List implements [gitops.Lister]. Neither tags nor policies are in AWS's own
// listing, so that each object is described; while a watch does that in turn, only
// those of which the listing shows that they have changed.
func (t *Target) List(ctx context.Context, kind gitops.Kind, each func(gitops.Held)) error {
	if !served(kind) {
		return fmt.Errorf("%s: %w", kind.Kind, gitops.ErrUnknownKind)
	}
	found, err := t.calm.names(ctx, kind.Kind)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(found))
	for name, mark := range found {
		id := kindID(kind.Kind, name)
		l, ok := t.known(id, mark)
		if !ok || !l.whole && l.source == t.opt.Source {
			names = append(names, name)
			continue
		}
		each(gitops.Held{ID: id, UID: l.uid, ResourceVersion: l.version, Source: l.source})
	}
	slices.Sort(names)
	return t.calm.describeAll(ctx, kind.Kind, t.opt.Source, names, found, 0, func(h *held, version string) {
		each(gitops.Held{ID: h.id, UID: h.uid, ResourceVersion: version, Source: h.source})
	})
}

// Watch implements [gitops.Target] by listing at intervals, spread by a fifth
// so that many watches do not ask at once. What the listing shows to have
// changed is described at once, and of the rest [Options.Budget] until the next
// listing, those first that were not described for longest.
func (t *Target) Watch(ctx context.Context, source string, kinds []gitops.Kind, each func(gitops.Event)) error {
	var watches []*watch
	for _, k := range kinds {
		if served(k) {
			watches = append(watches, &watch{Target: t.calm, kind: k.Kind, source: source, each: each, seen: map[string]*seen{}})
		}
	}
	defer func() {
		for _, w := range watches {
			w.stands(w, false)
		}
	}()
	synced := false
	for {
		wait := t.opt.Interval
		next := time.NewTimer(wait - wait/5 + rand.N(2*wait/5+1))
		sound := true
		for _, w := range watches {
			err := w.turn(ctx)
			w.stands(w, err == nil)
			if err != nil && !w.begun && errors.Is(err, gitops.ErrForbidden) {
				next.Stop()
				return err // it will not get better by itself
			}
			sound = sound && err == nil
		}
		if !synced && sound {
			synced = true
			each(gitops.Event{Kind: gitops.Synced})
		}
		for _, w := range watches {
			if err := w.round(ctx, wait*4/5/time.Duration(len(watches))); err != nil {
				w.stands(w, false)
			}
		}
		select {
		case <-ctx.Done():
			next.Stop()
			return ctx.Err()
		case <-next.C:
		}
	}
}

// watch follows one kind.
type watch struct {
	*Target
	kind   string
	source string
	each   func(gitops.Event)
	seen   map[string]*seen  // by name, whoever's they are
	marks  map[string]string // of the last listing
	turns  int
	begun  bool // a first turn was complete
}

type seen struct {
	mark    string // of the listing
	version string
	uid     string
	ours    bool // it was reported to be there
	turn    int  // when it was last described
}

// turn lists once, and describes and reports what has changed by the listing.
func (w *watch) turn(ctx context.Context) error {
	found, err := w.names(ctx, w.kind)
	if err != nil {
		return err
	}
	if w.turns++; w.turns == 1 {
		w.recall(found)
	}
	for name, s := range w.seen {
		if _, ok := found[name]; !ok {
			delete(w.seen, name)
			w.gone(name, s)
		}
	}
	for _, id := range w.lost(found) {
		w.gone(id.Name, &seen{ours: true})
	}
	var moved []string
	for name, mark := range found {
		if s := w.seen[name]; s == nil || s.mark != mark {
			moved = append(moved, name)
		}
	}
	slices.Sort(moved)
	if err := w.look(ctx, moved, found, 0); err != nil {
		return err
	}
	w.begun, w.marks = true, found
	return nil
}

// round describes some of what looks unchanged, spread over that time: those of
// others for their tag only, and in a number of their own, so that however many an
// account has, they do not make ours wait.
func (w *watch) round(ctx context.Context, over time.Duration) error {
	var ours, others []string
	for name, s := range w.seen {
		switch {
		case s.turn == w.turns:
		case s.ours:
			ours = append(ours, name)
		default:
			others = append(others, name)
		}
	}
	names := append(w.oldest(ours), w.oldest(others)...)
	return w.look(ctx, names, w.marks, over/time.Duration(max(1, len(names))))
}

// oldest are those that were not described for longest, as many as one turn may.
func (w *watch) oldest(names []string) []string {
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(w.seen[a].turn, w.seen[b].turn), cmp.Compare(a, b))
	})
	return names[:min(len(names), w.opt.Budget)]
}

// recall takes over, in a watch's first turn, what was described a moment ago: a
// plan has asked for all of it.
func (w *watch) recall(found map[string]string) {
	for name, mark := range found {
		id := kindID(w.kind, name)
		if l, ok := w.recent(id); ok && l.mark == mark && (l.whole || l.source != w.source) {
			w.seen[name] = &seen{mark: mark, version: l.version, uid: l.uid, ours: l.source == w.source}
			if l.source == w.source {
				w.each(gitops.Event{Kind: gitops.Changed, ID: id, UID: l.uid, ResourceVersion: l.version})
			}
		}
	}
}

// look describes some, and reports what differs from the time before.
func (w *watch) look(ctx context.Context, names []string, found map[string]string, pause time.Duration) error {
	return w.describeAll(ctx, w.kind, w.source, names, found, pause, func(h *held, version string) {
		s := w.seen[h.id.Name]
		if s == nil {
			s = &seen{}
			w.seen[h.id.Name] = s
		}
		was := *s
		*s = seen{mark: found[h.id.Name], version: version, uid: h.uid, ours: h.source == w.source, turn: w.turns}
		switch {
		case !s.ours:
			was.ours = was.ours || w.sourceSeen(h.id) == w.source
			w.gone(h.id.Name, &was)
		case !was.ours || was.version != version || was.uid != h.uid || w.strays(h.id, version):
			w.each(gitops.Event{Kind: gitops.Changed, ID: h.id, UID: h.uid, ResourceVersion: version})
		}
	})
}

// A version is a hash: what was put back and tampered with again between two
// turns looks as it did at the turn before. So what this process applied and is
// not as it was left ([memory.strays]) is reported at each turn, until it is.

// lost returns what this process applied, and the listing does not have.
func (w *watch) lost(found map[string]string) (ids []gitops.ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.left {
		if _, ok := found[id.Name]; !ok && id.Kind == w.kind && w.owned[id] == w.source {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w *watch) gone(name string, was *seen) {
	if was.ours {
		w.each(gitops.Event{Kind: gitops.Gone, ID: kindID(w.kind, name), UID: was.uid, ResourceVersion: was.version})
	}
}

// Healthy implements [gitops.Target]: a function is when AWS says that it can be
// called as it was last written, a role when it is there.
func (t *Target) Healthy(ctx context.Context, o *gitops.Object) (bool, string, error) {
	if err := check(o.ID, o.Version); err != nil {
		return false, "", err
	}
	if err := t.ready(ctx); err != nil {
		return false, "", err
	}
	if o.Kind == gitops.LambdaRoleKind {
		_, err := t.getRole(ctx, o.Name)
		return err == nil, "", err
	}
	out, err := t.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(o.Name)})
	if err != nil {
		return false, "", failure(o.ID.String(), err, false)
	}
	switch {
	case out.State != "" && out.State != "Active":
		return false, fmt.Sprintf("it is %s (%.60s)", out.State, out.StateReasonCode), nil
	case out.LastUpdateStatus != "" && out.LastUpdateStatus != "Successful":
		return false, fmt.Sprintf("its last update is %s (%.60s)", out.LastUpdateStatus, out.LastUpdateStatusReasonCode), nil
	}
	return true, "", nil
}
