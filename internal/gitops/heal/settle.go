package heal

import (
	"slices"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// settle writes into the ledger what is in order now, and reports.
func (l *look) settle(live *gitops.Live, leaving []finding) error {
	l.mu.Lock()
	now := l.clock.Now()
	e := l.e
	if e.gone || e.digest != l.digest {
		e.again = !e.gone // it was judged by what is desired no longer
		l.mu.Unlock()
		return nil
	}
	e.uid, e.version, e.learned, e.held = live.UID, live.ResourceVersion, live.Body != nil, l.held
	for id := range l.verified {
		if _, ok := l.settledK[id]; !ok {
			e.learn(id)
			l.stats.Learned++
		}
	}
	if state := l.kinds[groupKind{e.id.Group, e.id.Kind}]; state != nil {
		for g := range l.generals {
			if len(state.defaults) < maxDefaults {
				state.defaults[g] = struct{}{}
			}
		}
	}
	var left sum
	for i := range leaving {
		left ^= leaving[i].id
	}
	news := left != 0 && left != e.warned
	e.warned = left
	healed := l.healed()
	if healed {
		l.stats.Heals++
	}
	l.mu.Unlock()

	r := l.report
	r.At = now
	if news {
		warned := Report{Code: verdict.DriftFound, ID: r.ID, Where: r.Where, At: now, Deleted: r.Deleted && !healed, Recreated: r.Recreated}
		if live.Body != nil {
			warned.describe(leaving, live.Body)
		}
		l.Healer.report(warned)
	}
	if !healed {
		return nil
	}
	r.Code = verdict.DriftHealed
	r.Took = max(now.Sub(unix(l.since)), 0)
	l.Healer.report(r)
	if f := l.fought(&r); f != nil {
		l.Healer.report(*f)
	}
	return nil
}

// healed says whether anything was put back that was not the server's own. What
// turned out to be is taken out of the report.
func (l *look) healed() bool {
	if !l.wrote {
		return false
	}
	drift := 0
	mine := map[string]struct{}{}
	for _, f := range l.first {
		if _, ok := l.verified[f.id]; ok {
			mine[f.path()] = struct{}{}
		} else {
			drift++
		}
	}
	l.report.Changes = slices.DeleteFunc(l.report.Changes, func(c Change) bool { _, ok := mine[c.Path]; return ok })
	return drift > 0 || l.report.Deleted || l.report.Recreated
}

// stuck reports what could not be healed, and asks for another try.
func (l *look) stuck(err error) error {
	l.mu.Lock()
	first := l.e.tries == 0
	l.mu.Unlock()
	if first { // once until it succeeds
		r := l.report
		r.Code, r.At, r.Err = verdict.DriftStuck, l.clock.Now(), err
		l.Healer.report(r)
	}
	return err
}
