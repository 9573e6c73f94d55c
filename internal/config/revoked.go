package config

import (
	"bytes"
	"context"
	"slices"
)

// stopping returns the set with the revocations that another one has beside its
// own; nil when there are none. A set that cannot be in force holds back what it
// says, but not what it stops: whoever writes one broken route must not keep a
// stolen key in use. Only what is added counts. A revocation that the other set
// does not have any more, or has in other words, stops all the same until that
// set can be in force.
func (s *Set) stopping(other *Set) *Set {
	have := map[string]bool{}
	for _, r := range s.Revocations {
		have[wordsOf(r.doc)] = true
	}
	next := *s
	for _, r := range other.Revocations {
		wrong := slices.ContainsFunc(other.Problems, func(p Problem) bool {
			return p.Severity == Error && p.Object == r.doc.kind+"/"+r.doc.name
		})
		if wrong || have[wordsOf(r.doc)] {
			continue
		}
		have[wordsOf(r.doc)] = true
		next.Revocations = append(slices.Clip(next.Revocations), r)
		next.docs = append(slices.Clip(next.docs), r.doc)
	}
	if len(next.docs) == len(s.docs) {
		return nil
	}
	sortObjects(next.Revocations)
	slices.SortStableFunc(next.docs, compareDocuments)
	next.hash = hashDocuments(next.docs)
	return &next
}

// wordsOf is what a document says, in one spelling.
func wordsOf(d *document) string {
	var b bytes.Buffer
	d.root.get("spec").canonical(&b)
	return d.name + "\n" + b.String()
}

// stop brings what a set revokes into force that itself cannot be; nil when that
// changes nothing.
func (p *Publisher) stop(ctx context.Context, s *Set) *Generation {
	now := p.current.Load()
	if now == nil {
		return nil // nothing is allowed
	}
	stopped := now.Set.stopping(s)
	if stopped == nil {
		return nil
	}
	g, err := p.compile(ctx, stopped)
	if err != nil {
		return nil // what is in force could be, so only the context has ended
	}
	p.current.Store(g)
	return g
}
