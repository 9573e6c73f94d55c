package render

import (
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// References lists what the objects of a set name, read from the bytes that are
// applied and with the places of the revision: for the gate, of a set that was
// rendered just now as of one that was stored. What is refused there denies the
// set, like a reference without a digest, which a rendered set never has.
func References(s *gitops.Set) (refs []manifest.Ref, refused []verdict.Unresolved) {
	for i := range s.Objects() {
		o := &s.Objects()[i]
		res, err := extract(o.Where.File, o.Body)
		if err != nil {
			res = manifest.Reject(o.Where.File, err)
		}
		at := func(where verdict.Origin) verdict.Origin {
			where.File, where.Line, where.Column = o.Where.File, o.Where.Line, 0
			if where.Object == "" {
				where.Object = o.ID.String()
			}
			return where
		}
		for _, u := range res.Refused() {
			u.Where = at(u.Where)
			refused = append(refused, u)
		}
		for _, ref := range res.Refs {
			ref.Where = at(ref.Where)
			if !ref.Reference.IsZero() && ref.Reference.Digest == "" {
				refused = append(refused, verdict.Unresolved{Text: ref.Text, Where: ref.Where, Code: verdict.ReferenceUnresolved, Why: "the reference is not pinned to a digest: render the revision again"})
				continue
			}
			refs = append(refs, ref)
		}
	}
	return refs, refused
}
