package heal

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// Report is what was found about one object, and what was done. It holds names
// of fields and never their values: some are secret.
type Report struct {
	// Code is DriftHealed, DriftFound (left as it is: mode Warn), DriftFight,
	// DriftAltered or DriftStuck.
	Code  verdict.Code
	ID    gitops.ID
	Where verdict.Origin // in Git
	At    time.Time
	// Took is the time since the change was noticed, for what was healed.
	Took time.Duration
	// Deleted: the object was not there. Recreated: another one of its name was.
	Deleted, Recreated bool
	// Replaced: it could be healed only by deleting it and making it again.
	Replaced bool
	Changes  []Change
	// More changes than are listed.
	More int
	// By are those who may have done it, by what they said of themselves.
	By []Manager
	// Heals within the window, for a fight.
	Heals int
	// Err says why it could not be healed, for DriftStuck.
	Err error
}

// Change is a difference.
type Change struct {
	What What
	Path string // a JSON pointer in which elements of lists are named by their key
}

// maxChanges and maxNames bound one report: an object can differ in a megabyte.
const (
	maxChanges = 64
	maxNames   = 8
	maxPath    = 512
)

// describe fills in the changes and who made them.
func (r *Report) describe(found []finding, live map[string]any) {
	for i := range found {
		f := &found[i]
		if len(r.Changes) == maxChanges {
			r.More = len(found) - maxChanges
			break
		}
		path := f.path()
		if len(path) > maxPath {
			path = path[:maxPath] + "…"
		}
		r.Changes = append(r.Changes, Change{f.what, path})
		by := owners(live, f)
		by = slices.DeleteFunc(by, func(m Manager) bool { return m.Name == gitops.FieldManager && m.Operation == "Apply" })
		if len(by) == 0 {
			by = latest(live, gitops.FieldManager)
		}
		for _, m := range by {
			m.Name = m.Name[:min(len(m.Name), 128)]
			if len(r.By) < maxNames && !slices.Contains(r.By, m) {
				r.By = append(r.By, m)
			}
		}
	}
	slices.SortFunc(r.Changes, byPath)
}

func byPath(a, b Change) int {
	return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.What, b.What))
}

// fight remembers the last heals of one object, while there are any.
type fight struct {
	heals  []time.Time
	before []Manager
	told   bool
}

func (f *fight) over(now time.Time, window time.Duration) bool {
	return len(f.heals) == 0 || now.Sub(f.heals[len(f.heals)-1]) > window
}

// fought counts a heal, and returns a report when it is the one that makes a
// fight of it: one for each fight, however long that lasts.
func (h *Healer) fought(r *Report) *Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.fights[r.ID]
	if f == nil || f.over(r.At, h.fightW) {
		f = &fight{}
		h.fights[r.ID] = f
	}
	f.heals = append(f.heals, r.At)
	if len(f.heals) > h.fightK {
		f.heals = f.heals[1:]
	}
	for _, m := range r.By {
		if same := func(o Manager) bool { return o.Name == m.Name && o.Operation == m.Operation }; len(f.before) < maxNames && !slices.ContainsFunc(f.before, same) {
			f.before = append(f.before, m)
		}
	}
	if f.told || len(f.heals) < h.fightK || r.At.Sub(f.heals[0]) > h.fightW {
		return nil
	}
	f.told = true
	return &Report{Code: verdict.DriftFight, ID: r.ID, Where: r.Where, At: r.At, Changes: r.Changes, More: r.More,
		By: slices.Clone(f.before), Heals: len(f.heals)}
}
