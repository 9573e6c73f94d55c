package controller

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/verdict"
)

// judged is what became of the questions of a namespace.
type judged struct {
	namespace string
	subjects  []*subject
	findings  map[kube.ID]finding
	violates  map[kube.ID][]violation // what policies may ask something for
	next      time.Time               // when more is due of what they ask; zero: nothing
	report    verdict.Report
	until     time.Time // when an answer has to be asked for again; zero: never
	about     [sha256.Size]byte
	ask       time.Time // when it is asked again although nothing has changed
	repeated  bool      // nothing was asked: it is as it was
	partial   bool      // there is more in the namespace, which stays as it was
}

// again returns what was last found out about a namespace when nothing that is
// asked about it has changed since: that costs no verification.
func (b *background) again(w *world, namespace string) *judged {
	was := b.last[namespace]
	if was == nil || !b.c.o.Clock.Now().Before(was.ask) || was.report.Generation != b.c.engine.Generation() || was.about != questionsOf(w, namespace) {
		return nil
	}
	again := *was
	again.subjects, again.repeated, again.next = w.subjects[namespace], true, time.Time{}
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

// judge asks about objects of a namespace. It is nil when another generation came
// into force meanwhile: nothing follows from rules that no longer hold.
func (b *background) judge(ctx context.Context, w *world, namespace string, subjects []*subject) *judged {
	j := &judged{namespace: namespace, subjects: subjects, findings: map[kube.ID]finding{}, violates: map[kube.ID][]violation{}, about: questionsOf(w, namespace)}
	enforced := w.enforced(namespace)
	j.report.Generation = b.c.engine.Generation()
	j.report.At = b.c.o.Clock.Now()
	j.report.Schema = verdict.ReportSchema
	about := make(map[string]kube.ID, len(j.subjects))
	var next app.Asked
	ask := func() (same bool) {
		r := b.c.engine.Ask(ctx, next)
		for i := range r.Verdicts {
			v := &r.Verdicts[i]
			id := about[v.Where.File]
			f := weigh(v, enforced)
			f.generation = r.Generation
			if g := b.c.engine.Verifier.Generation(); f.level == denied && g != nil {
				j.violates[id] = add(j.violates[id], violated(g, v))
			}
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
		return r.Generation == j.report.Generation && b.c.engine.Generation() == r.Generation
	}
	for _, s := range j.subjects {
		about[s.id.String()] = s.id
		next.Questions = append(next.Questions, s.asked.Questions...)
		next.Unresolved = append(next.Unresolved, s.asked.Unresolved...)
		if len(next.Questions) >= batch && !ask() {
			return nil
		}
	}
	if len(next.Questions)+len(next.Unresolved) > 0 && !ask() {
		return nil
	}
	// A question about a model that no policy is about has no answer.
	for _, s := range j.subjects {
		if _, answered := j.findings[s.id]; !answered {
			j.findings[s.id] = finding{level: complies, generation: j.report.Generation}
		}
	}
	return j
}
