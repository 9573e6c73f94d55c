package access

import (
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"

	"github.com/apexlogic/apex/verdict"
)

// Decide answers a request. It denies whatever it cannot decide: what the
// schema does not hold, what is known too long ago, and what a policy that was
// looked at could not be evaluated for.
func (s *Set) Decide(q *Request) Decision { return s.decide(q, (*asking).slice) }

// decide answers by the policies that look finds.
func (s *Set) decide(q *Request, look func(a *asking, x *index, action int)) (d Decision) {
	if s == nil {
		return Decision{Code: verdict.PolicyNotReady, Detail: "no access policies are in force"}
	}
	a := s.pool.Get().(*asking)
	defer func() {
		if recover() != nil { // the asking is not used again
			d = Decision{Code: verdict.AccessFailed, Detail: "the policies could not be evaluated"}
			return
		}
		a.forget()
		s.pool.Put(a)
	}()
	action, err := a.name(q)
	if err != nil {
		return Decision{Code: verdict.AccessInvalid, Detail: err.Error()}
	}
	if s.maxAge > 0 && q.Age > s.maxAge {
		return Decision{Code: verdict.AccessStale, Detail: "what is known of who asks, or of what is asked for, is older than " + s.maxAge.String()}
	}
	look(a, s.enforced, action)
	now, _ := q.Context["time"].(time.Time)
	d = a.answer()
	d.Until = until(a.looked, now)
	if len(s.observed.lists) > 0 {
		clear(a.looked)
		clear(a.open)
		a.looked, a.open = a.looked[:0], a.open[:0]
		look(a, s.observed, action)
		if o := a.answer(); o.Code == verdict.AccessForbidden || o.Code == verdict.AccessFailed {
			d.Observed = o.Policies
		}
	}
	return d
}

// slice looks at the policies whose scope holds.
func (a *asking) slice(x *index, action int) { a.looked = x.find(a.looked, a, action) }

// all looks at every policy, as Cedar itself would.
func (a *asking) all(x *index, _ int) {
	a.whole = true
	for _, r := range a.set.rules {
		if r.observe == (x == a.set.observed) {
			a.looked = append(a.looked, r)
		}
	}
}

// answer evaluates the policies that are looked at.
func (a *asking) answer() Decision {
	var permits, forbids, failed []string
	var n needs
	for _, r := range a.looked {
		switch holds, known := a.knows(r); {
		case !known:
			a.open = append(a.open, r)
			n.add(&r.needs)
		case holds && r.permits():
			permits = append(permits, r.name)
		case holds:
			forbids = append(forbids, r.name)
		}
	}
	if a.whole {
		n = needs{about: everything, who: everything, what: everything, whoLabels: true, whatLabels: true, parents: true}
	}
	if len(a.open) > 0 {
		if err := a.build(&n); err != nil {
			return Decision{Code: verdict.AccessInvalid, Detail: err.Error()}
		}
		allow, diagnostic := cedar.Authorize(a, a, a.cedar)
		held := &forbids
		if allow == cedar.Allow {
			held = &permits
		}
		for _, r := range diagnostic.Reasons {
			*held = append(*held, string(r.PolicyID))
		}
		for _, e := range diagnostic.Errors {
			failed = append(failed, string(e.PolicyID))
		}
	}
	switch {
	case len(forbids) > 0:
		d := Decision{Code: verdict.AccessForbidden, Policies: sorted(forbids)}
		d.Detail = "forbidden by " + strings.Join(d.Policies, ", ")
		return d
	case len(failed) > 0: // Cedar would go on without them
		d := Decision{Code: verdict.AccessFailed, Policies: sorted(failed)}
		d.Detail = "could not be evaluated: " + strings.Join(d.Policies, ", ")
		return d
	case len(permits) == 0:
		return Decision{Code: verdict.AccessDenied, Detail: "no policy permits " + a.request.Action}
	}
	return Decision{Allow: true, Code: verdict.OK, Policies: sorted(permits)}
}

// knows says whether a policy holds, where that needs no Cedar.
func (a *asking) knows(r *rule) (holds, known bool) {
	switch {
	case a.whole:
		return false, false
	case r.quick != nil:
		return r.quick(a)
	}
	return r.proved, r.proved
}

// sorted sorts names, and leaves each once.
func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
