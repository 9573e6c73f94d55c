package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/follow"
	"github.com/apexlogic/apex/internal/gitops/history"
	"github.com/apexlogic/apex/internal/repo"
	"github.com/apexlogic/apex/verdict"
)

// kindRule is who may change objects of some kinds.
type kindRule struct {
	kinds     []string // "Kind", "Kind.group", "*.group"
	signers   []string
	threshold int
}

func kindRules(in *v1alpha1.GitTrust) (rules []kindRule) {
	for _, k := range in.Kinds {
		rules = append(rules, kindRule{k.Kinds, k.Signers, max(1, int(k.Threshold))})
	}
	return rules
}

// kindOf names a kind as rules and quotas do.
func kindOf(id gitops.ID) string {
	if id.Group == "" {
		return id.Kind
	}
	return id.Kind + "." + id.Group
}

func (r *kindRule) matches(id gitops.ID) bool {
	return slices.Contains(r.kinds, kindOf(id)) || id.Group != "" && slices.Contains(r.kinds, "*."+id.Group)
}

// checkKinds refuses rules that nobody could satisfy.
func (t *trusted) checkKinds(source string) error {
	for i, r := range t.kinds {
		if _, err := t.with(source, r, []string{everyFile}); err != nil {
			return fmt.Errorf("kinds[%d]: %w", i, err)
		}
	}
	return nil
}

// everyFile is the pattern of all paths.
const everyFile = "**"

// with is the source's trust in commits with one more rule for some files.
func (t *trusted) with(source string, r kindRule, patterns []string) (*history.Verifier, error) {
	rules := t.rules
	rules.Paths = slices.Clone(rules.Paths)
	for _, p := range patterns {
		rules.Paths = append(rules.Paths, history.PathRule{Pattern: p, Signers: r.signers, Threshold: r.threshold})
	}
	return history.Compile(source, rules, t.signers, t.promotions)
}

// rulesFor are the rules of which, in each group, one has to be satisfied before
// an object of the kind is changed. Apex's own kinds are never without one: who
// may write any directory could else put a policy there.
func (t *trusted) rulesFor(spec *v1alpha1.GitTrust, id gitops.ID) (groups [][]kindRule) {
	for _, r := range t.kinds {
		if r.matches(id) {
			groups = append(groups, []kindRule{r})
		}
	}
	if len(groups) > 0 || id.Group != v1alpha1.GroupVersion.Group {
		return groups
	}
	var any []kindRule
	for _, p := range spec.Paths {
		if p.Threshold > 1 {
			any = append(any, kindRule{signers: p.Signers, threshold: int(p.Threshold)})
		}
	}
	if len(any) == 0 {
		any = []kindRule{{signers: spec.Signers, threshold: 1}}
	}
	return [][]kindRule{any}
}

// change is an object that a revision makes, changes or removes.
type change struct {
	id    gitops.ID
	files []string // where it stands and stood
	where verdict.Origin
}

// agreed holds the changes of kinds that have rules of their own to these rules.
func (s *Source) agreed(ctx context.Context, commit string, set *gitops.Set) error {
	state, err := s.applier.Load(ctx, s.name)
	if err != nil {
		return refusal(err)
	}
	if commit == state.Current.Commit {
		return nil // it was agreed on when it was accepted
	}
	changes, err := s.changes(ctx, state, set)
	if err != nil {
		return err
	}
	for _, c := range changes {
		for _, group := range s.trust.rulesFor(&s.spec.Trust, c.id) {
			var first error
			for _, r := range group {
				err := s.origin.agreed(ctx, state, commit, r, c.files)
				if err == nil {
					first = nil
					break
				}
				if !errors.As(err, new(*follow.Refused)) {
					return err
				}
				if first == nil {
					first = err
				}
			}
			if first != nil {
				refused, _ := errors.AsType[*follow.Refused](first)
				return &follow.Refused{Step: "trust", Code: refused.Code, Where: c.where, Why: fmt.Sprintf("%s: %s", c.id, refused.Why)}
			}
		}
	}
	return nil
}

// changes are the differences to what the target is to hold, of kinds that have
// rules.
func (s *Source) changes(ctx context.Context, state *apply.State, set *gitops.Set) ([]change, error) {
	old := map[gitops.ID]*gitops.Object{}
	if state.Current.Set != "" {
		data, err := s.place.store.GetSet(ctx, state.Current.Set)
		if err != nil {
			return nil, fmt.Errorf("read what is applied: %w", err)
		}
		was, err := gitops.ReadSet(data)
		if err != nil {
			return nil, fmt.Errorf("read what is applied: %w", err)
		}
		for i := range was.Objects() {
			o := &was.Objects()[i]
			if !generated(o) && len(s.trust.rulesFor(&s.spec.Trust, o.ID)) > 0 {
				old[o.ID] = o
			}
		}
	}
	var out []change
	for i := range set.Objects() {
		o := &set.Objects()[i]
		if len(s.trust.rulesFor(&s.spec.Trust, o.ID)) == 0 {
			continue
		}
		was := old[o.ID]
		delete(old, o.ID)
		switch {
		case was == nil:
			out = append(out, change{o.ID, []string{o.Where.File}, o.Where})
		case was.Version != o.Version || !reflect.DeepEqual(was.Body, o.Body):
			out = append(out, change{o.ID, []string{o.Where.File, was.Where.File}, o.Where})
		}
	}
	gone := slices.SortedFunc(maps.Keys(old), func(a, b gitops.ID) int { return strings.Compare(a.String(), b.String()) })
	for _, id := range gone {
		out = append(out, change{id, []string{old[id].Where.File}, old[id].Where})
	}
	return out, nil
}

// generated says that the source itself made the object, and no file.
func generated(o *gitops.Object) bool {
	return o.Where.File == "" && o.Group == "networking.k8s.io" && o.Kind == "NetworkPolicy"
}

// agreed verifies the new commits once more, with the rule for the files that the
// object comes from. Which files of a kustomization an object depends on only
// kustomize knows, so there every file counts.
func (g *gitOrigin) agreed(ctx context.Context, state *apply.State, commit string, by kindRule, files []string) error {
	commits, done, err := g.commits()
	if err != nil {
		return err
	}
	defer done()
	whole, err := g.kustomized(ctx, commits, commit, state.Current.Commit)
	if err != nil {
		return err
	}
	patterns := make([]string, 0, len(files))
	for _, f := range files {
		whole = whole || f == "" || strings.Count(f, "/") > maxPatternDepth
		patterns = append(patterns, literal(f))
	}
	if whole {
		patterns = []string{everyFile}
	}
	v, err := g.s.trust.with(g.s.o.Source.Name, by, patterns)
	if err != nil {
		return fmt.Errorf("spec.trust: %w", err)
	}
	_, err = g.verify(ctx, commits, v, state, commit)
	return err
}

// maxPatternDepth is what patterns of package history can name.
const maxPatternDepth = 30

// kustomized says whether a kustomization was or is rendered.
func (g *gitOrigin) kustomized(ctx context.Context, commits *repo.Repo, revisions ...string) (bool, error) {
	for _, r := range revisions {
		if r == "" {
			continue
		}
		tree, err := commits.At(ctx, repo.Commit(r))
		if err != nil {
			return false, err
		}
		for _, name := range [...]string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
			if _, err := fs.Stat(tree, path.Join(g.s.dir(), name)); !errors.Is(err, fs.ErrNotExist) {
				return true, nil
			}
		}
	}
	return false, nil
}

// literal is the pattern that matches one file of any name.
func literal(file string) string {
	var b strings.Builder
	b.WriteByte('/')
	for _, c := range []byte(file) {
		if strings.IndexByte(`*?[\`, c) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// admitKinds holds a set to the kinds that the source may have.
func (s *Source) admitKinds(set *gitops.Set) error {
	allowed := s.spec.Quota.Kinds
	if len(allowed) == 0 {
		return nil
	}
	if c := s.spec.Target.Cluster; c != nil {
		allowed = append(slices.Clone(allowed), c.ClusterKinds...)
	}
	for i := range set.Objects() {
		o := &set.Objects()[i]
		if !slices.Contains(allowed, kindOf(o.ID)) {
			return &follow.Refused{Step: "render", Code: verdict.ApplyKind, Where: o.Where,
				Why: fmt.Sprintf("%s: the source may hold %s; add %s to spec.quota.kinds if it is meant to", o.ID, strings.Join(allowed, ", "), kindOf(o.ID))}
		}
	}
	return nil
}
