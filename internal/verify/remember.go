package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/apexlogic/apex/verdict"
)

var (
	// forever is for facts about bytes behind a digest.
	forever = time.Unix(1<<40, 0)
	// storeFacts bounds how long a fact stays in the store, so that it does not only grow.
	storeFacts = 30 * 24 * time.Hour
)

// verdictKey names a verdict by all that it depends on beside time: the
// subject, what policies select by, and what was in force and known.
func (v *Verifier) verdictKey(g *Generation, q *verdict.Question) string {
	h := sha256.New()
	write := func(parts ...string) {
		for _, s := range parts {
			var n [8]byte
			for i := range n {
				n[i] = byte(len(s) >> (8 * i))
			}
			h.Write(n[:])
			h.Write([]byte(s))
		}
	}
	write(v.revision(), g.Name, g.images.factHash, g.models.factHash, q.Kind.String(), q.Repo, string(q.Digest), q.Namespace)
	for _, k := range slices.Sorted(maps.Keys(q.Labels)) {
		write(k, q.Labels[k])
	}
	return "verdict|" + hex.EncodeToString(h.Sum(nil))
}

// remembered returns the verdict that was reached before for the same subject,
// labels and namespace under the same generation.
func (v *Verifier) remembered(ctx context.Context, g *Generation, q *verdict.Question) (verdict.Verdict, bool) {
	if len(v.o.Reports) > 0 {
		return verdict.Verdict{}, false // the answer depends on what was handed in
	}
	key := v.verdictKey(g, q)
	d, ok := v.verdicts.get(key)
	if !ok {
		if !v.load(ctx, key, &d) {
			return verdict.Verdict{}, false
		}
		v.verdicts.put(key, d, d.Until)
	}
	// The place where it was asked is this question's own.
	d.Question, d.Cached, d.ID = *q, true, ""
	return d, true
}

// remember keeps a verdict until any of its checks may turn out differently. A
// check that could not be made is an error: its verdict is not kept.
func (v *Verifier) remember(ctx context.Context, g *Generation, d *verdict.Verdict) {
	if len(v.o.Reports) > 0 || len(d.Checks) == 0 {
		return
	}
	failed := false
	for i := range d.Checks {
		switch d.Checks[i].Outcome {
		case verdict.Unknown:
			return
		case verdict.Fail:
			failed = true
		}
	}
	now := v.o.Clock.Now()
	until := verdict.Earliest(d.Until, now.Add(v.o.Keep))
	if failed {
		// What is missing may be attached at any moment.
		until = verdict.Earliest(until, now.Add(v.o.Recheck))
	}
	d.Until = until
	key := v.verdictKey(g, &d.Question)
	v.verdicts.put(key, *d, until)
	if d.Decision == verdict.Allow {
		v.save(ctx, key, d, until)
	}
}

func (v *Verifier) load(ctx context.Context, key string, into any) bool {
	if v.o.Store == nil {
		return false
	}
	data, ok := v.o.Store.Get(ctx, key)
	return ok && json.Unmarshal(data, into) == nil
}

func (v *Verifier) save(ctx context.Context, key string, value any, until time.Time) {
	if v.o.Store == nil {
		return
	}
	if data, err := json.Marshal(value); err == nil {
		v.o.Store.Put(ctx, key, data, until)
	}
}
