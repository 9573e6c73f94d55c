package repo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// drawing makes commits by hand: with any parents, dates and files.
type drawing struct {
	t testing.TB
	r *Repo
}

func (d drawing) tree(files map[string]string) plumbing.Hash {
	d.t.Helper()
	dirs := map[string]map[string]string{}
	var list []entry
	for name, content := range files {
		if dir, rest, ok := strings.Cut(name, "/"); ok {
			if dirs[dir] == nil {
				dirs[dir] = map[string]string{}
			}
			dirs[dir][rest] = content
			continue
		}
		list = append(list, entry{name, modeFile, put(d.t, d.r, plumbing.BlobObject, []byte(content))})
	}
	for dir, inside := range dirs {
		list = append(list, entry{dir, modeDir, d.tree(inside)})
	}
	return put(d.t, d.r, plumbing.TreeObject, encodeTree(list))
}

// commit makes a commit; files are "path=content", separated by spaces.
func (d drawing) commit(when int64, files string, parents ...Commit) Commit {
	d.t.Helper()
	m := map[string]string{}
	for f := range strings.FieldsSeq(files) {
		name, content, _ := strings.Cut(f, "=")
		m[name] = content
	}
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", d.tree(m))
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	fmt.Fprintf(&b, "author A <a@example.com> %d +0000\ncommitter A <a@example.com> %d +0000\n\nx\n", when, when)
	return Commit(put(d.t, d.r, plumbing.CommitObject, []byte(b.String())).String())
}

func (d drawing) changes(c Commit) string {
	d.t.Helper()
	got, err := d.r.NewGraph(1000).Changes(d.t.Context(), c)
	if err != nil {
		d.t.Fatal(err)
	}
	return strings.Join(got, " ")
}

func TestChangesAreThoseOfTheCommitItself(t *testing.T) {
	d := drawing{t, newRepo(t)}
	base := d.commit(1, "a=1 p/x=1 p/y=1")
	mine := d.commit(2, "a=1 p/x=2 p/y=1", base)
	theirs := d.commit(3, "a=2 p/x=1 p/y=1", base)
	far := d.commit(4, "a=2 p/x=1 p/y=9", theirs)
	// A criss-cross: each line merged the other one's first commit.
	left := d.commit(5, "a=2 p/x=2 p/y=1", mine, theirs)
	right := d.commit(6, "a=2 p/x=2 p/y=1", theirs, mine)
	leftOn := d.commit(7, "a=2 p/x=2 p/y=1 q=1", left)
	leftConflict := d.commit(7, "a=3 p/x=2 p/y=1", left)
	// One that resolved a conflict of a in two ways.
	alt := d.commit(3, "a=5 p/x=1 p/y=1", base)
	up := d.commit(8, "a=2 p/x=1 p/y=1", theirs, alt)
	down := d.commit(9, "a=5 p/x=1 p/y=1", alt, theirs)
	stranger := d.commit(1, "z=1")
	for _, c := range []struct {
		name  string
		files string
		from  []Commit
		want  string
	}{
		{"a first commit changes all that it holds", "a=1 p/x=1", nil, "a p/x"},
		{"a commit changes what its parent has otherwise", "a=1 p/x=2 p/y=1 q=1", []Commit{base}, "p/x q"},
		{"a commit removes", "p/x=1 p/y=1", []Commit{base}, "a"},
		{"a file takes the place of a directory", "a=1 p=1", []Commit{base}, "p p/x p/y"},
		{"a directory takes the place of a file", "a/b=1 p/x=1 p/y=1", []Commit{base}, "a a/b"},
		{"an empty commit changes nothing", "a=1 p/x=1 p/y=1", []Commit{base}, ""},
		{"a merge of what both sides did changes nothing", "a=2 p/x=2 p/y=1", []Commit{mine, theirs}, ""},
		{"a merge that adds a change is its own", "a=2 p/x=2 p/y=1 evil=1", []Commit{mine, theirs}, "evil"},
		{"a merge that edits is its own", "a=2 p/x=3 p/y=1", []Commit{mine, theirs}, "p/x"},
		{"a merge that drops their side's change is its own", "a=1 p/x=2 p/y=1", []Commit{mine, theirs}, "a"},
		{"a merge that drops its side's change is its own", "a=2 p/x=1 p/y=1", []Commit{mine, theirs}, "p/x"},
		{"a merge of ours drops several", "a=1 p/x=2 p/y=1", []Commit{mine, far}, "a p/y"},
		{"an octopus of what all did changes nothing", "a=5 p/x=2 p/y=1", []Commit{mine, alt, base}, ""},
		{"an octopus that drops one side is its own", "a=1 p/x=2 p/y=1", []Commit{mine, alt, base}, "a"},
		{"a criss-cross without a conflict changes nothing", "a=2 p/x=2 p/y=1 q=1", []Commit{leftOn, right}, ""},
		{"a criss-cross that drops a change is its own", "a=2 p/x=2 p/y=1", []Commit{leftOn, right}, "q"},
		{"a criss-cross of what was otherwise where they parted is its own", "a=3 p/x=2 p/y=1", []Commit{leftConflict, right}, "a"},
		{"a criss-cross where the places of parting differ is its own", "a=2 p/x=1 p/y=1", []Commit{up, down}, "a"},
		{"a merge of a history that has nothing in common", "a=1 p/x=1 p/y=1 z=1", []Commit{base, stranger}, ""},
		{"a merge that drops such a history is its own", "a=1 p/x=1 p/y=1", []Commit{base, stranger}, "z"},
		{"a merge of an ancestor changes nothing", "a=1 p/x=2 p/y=1", []Commit{mine, base}, ""},
		{"a merge that goes back to an ancestor is its own", "a=1 p/x=1 p/y=1", []Commit{mine, base}, "p/x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := d.changes(d.commit(20, c.files, c.from...)); got != c.want {
				t.Fatalf("got %q, want %q", got, c.want)
			}
		})
	}
}

// An octopus that brings back what was undone on one side shows only when its
// parents are merged one after the other.
func TestAnOctopusDoesNotBringBackWhatWasUndone(t *testing.T) {
	d := drawing{t, newRepo(t)}
	base := d.commit(1, "a=0")
	changed := d.commit(2, "a=1", base)
	undone := d.commit(3, "a=0", changed)
	for files, want := range map[string]string{"a=0": "", "a=1": "a"} {
		if got := d.changes(d.commit(9, files, undone, changed, base)); got != want {
			t.Errorf("%s: got %q, want %q", files, got, want)
		}
	}
}

// The dates of commits are whatever their authors say; all answers are compared
// with those that were found by looking at everything.
func TestAnswersDoNotDependOnDates(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		d := drawing{t, newRepo(t)}
		var all []Commit
		above := map[Commit]map[Commit]bool{} // ancestors, itself included
		parentsOf := map[Commit][]Commit{}
		for i := range 24 {
			var parents []Commit
			for range min(len(all), 1+rnd.IntN(3)) {
				if p := all[rnd.IntN(len(all))]; !slices.Contains(parents, p) {
					parents = append(parents, p)
				}
			}
			when := int64(i)
			if seed%2 == 1 {
				when = rnd.Int64N(100)
			}
			c := d.commit(1000+when, fmt.Sprintf("f=%d", i), parents...)
			above[c], parentsOf[c] = map[Commit]bool{c: true}, parents
			for _, p := range parents {
				for a := range above[p] {
					above[c][a] = true
				}
			}
			all = append(all, c)
		}
		g := d.r.NewGraph(1000)
		for range 60 {
			a, b := all[rnd.IntN(len(all))], all[rnd.IntN(len(all))]
			is, err := g.IsAncestor(t.Context(), a, b)
			if err != nil || is != above[b][a] {
				t.Fatalf("seed %d: ancestor is %v, %v", seed, is, err)
			}
			fresh, err := g.Between(t.Context(), []Commit{a}, b)
			if err != nil {
				t.Fatal(err)
			}
			for c := range above[b] {
				if !above[a][c] && !slices.Contains(fresh, c) {
					t.Fatalf("seed %d: %s is new and missing", seed, c)
				}
			}
			for i, c := range fresh {
				if seed%2 == 0 && above[a][c] {
					t.Fatalf("seed %d: dates are right and %s is not new", seed, c)
				}
				for _, later := range fresh[i+1:] {
					if slices.Contains(parentsOf[c], later) {
						t.Fatalf("seed %d: a parent comes behind its child", seed)
					}
				}
			}
			bases, err := g.Bases(t.Context(), []Commit{a}, b)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all {
				common := above[a][c] && above[b][c]
				best := common && !slices.ContainsFunc(all, func(o Commit) bool { return o != c && above[a][o] && above[b][o] && above[o][c] })
				switch found := slices.Contains(bases, c); {
				case best && !found:
					t.Fatalf("seed %d: a base is missing", seed)
				case found && !common:
					t.Fatalf("seed %d: a base is not common", seed)
				case found && !best && seed%2 == 0:
					t.Fatalf("seed %d: dates are right and a base is not the best", seed)
				}
			}
		}
	}
}

func TestAGraphHasALimit(t *testing.T) {
	d := drawing{t, newRepo(t)}
	first := d.commit(1, "a=1")
	last := d.commit(3, "a=3", d.commit(2, "a=2", first))
	if got, err := d.r.NewGraph(3).Between(t.Context(), nil, last); err != nil || len(got) != 3 {
		t.Fatalf("as many as are allowed: %v, %v", got, err)
	}
	if _, err := d.r.NewGraph(2).Between(t.Context(), nil, last); err == nil || !strings.Contains(err.Error(), "more than 2 commits") {
		t.Fatalf("one too many: %v", err)
	}
}
