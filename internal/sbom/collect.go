package sbom

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/distro"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/lookalike"
)

const (
	// maxPackages of one inventory; the largest images have about 10,000.
	maxPackages = 500_000
	// maxGaps of one inventory.
	maxGaps = 10_000
	// maxRounds is how often an extractor is asked again because a file that it
	// asked for had not been kept.
	maxRounds = 3
)

// collector takes one inventory. It is the file system as extractors see it.
type collector struct {
	src        Source
	options    Options
	extractors []extract.Extractor

	tree  *tree
	spool *spool  // of an image
	dir   *folder // of a folder
	layer int     // that is being looked at; -1 in a folder
	count int     // entries of all layers

	// Of the layer that is being looked at.
	jobs  []job
	links []string // paths of symbolic links
	large []*data
	// missed are contents that were asked for and not kept.
	missed           map[*data]bool
	distribution     *fact.Distribution
	lastDistribution fact.Distribution

	packages []fact.Package
	gaps     []fact.Gap
	// evidence is, by the path that extractors were told, what is known from there.
	evidence map[string]*evidence
}

// evidence is a file that named packages.
type evidence struct {
	data *data
	// packages are the indexes of those that it names now.
	packages []int
	database bool
}

// collect reads the source to its end.
func collect(ctx context.Context, src Source, o Options, extractors []extract.Extractor) (_ *collector, err error) {
	c := &collector{
		src: src, options: o, extractors: extractors,
		tree: newTree(), missed: map[*data]bool{}, evidence: map[string]*evidence{},
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if src.layers == nil {
		c.layer = -1
		if err := c.readFolder(ctx, src.dir); err != nil {
			return nil, err
		}
		return c, c.extract(ctx)
	}
	if c.spool, err = newSpool(o.Scratch); err != nil {
		return nil, err
	}
	for i := range src.layers.Len() {
		c.layer = i
		if err := c.readLayer(ctx, i); err != nil {
			return nil, err
		}
		if err := c.extract(ctx); err != nil {
			return nil, err
		}
		if err := c.spool.next(c.large); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Close removes what was spooled.
func (c *collector) Close() error {
	if c.dir != nil {
		return c.dir.root.Close()
	}
	if c.spool != nil {
		return c.spool.Close()
	}
	return nil
}

func (c *collector) gap(path string, layer int, why string) {
	const longest = 500
	if len(c.gaps) < maxGaps {
		c.gaps = append(c.gaps, fact.Gap{Path: path, Layer: layer, Why: why[:min(len(why), longest)]})
	}
}

// extract asks the extractors about the files of the layer that has just been
// read, and settles what that changes.
func (c *collector) extract(ctx context.Context) error {
	// Asked for at each layer: a later one may delete what names it.
	if err := c.release(ctx); err != nil {
		return err
	}
	jobs := c.pending()
	found := make([][]fact.Package, len(jobs))
	problems := make([]error, len(jobs))
	todo := make([]int, len(jobs))
	missing := map[*data]bool{}
	for i := range jobs {
		todo[i] = i
		if c.dir == nil && jobs[i].data.at == notKept && jobs[i].data.size <= maxFile {
			missing[jobs[i].data] = true
		}
	}
	for round := 0; ; round++ {
		if len(missing) > 0 {
			if err := c.fetch(ctx, missing); err != nil {
				return err
			}
			missing = map[*data]bool{}
		}
		var again []int
		for _, i := range todo {
			clear(c.missed)
			var err error
			if found[i], err = c.run(ctx, &jobs[i]); err != nil && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			problems[i] = err
			if len(c.missed) == 0 {
				continue
			}
			if round == maxRounds {
				problems[i] = errors.Join(err, errNotKept)
				continue
			}
			for d := range c.missed {
				if d.size <= maxFile {
					missing[d] = true
				}
			}
			again = append(again, i)
		}
		if len(missing) == 0 {
			break
		}
		todo = again
	}
	first := len(c.packages)
	for i := range jobs {
		if err := c.settle(&jobs[i], found[i], problems[i]); err != nil {
			return err
		}
	}
	c.vanish(jobs)
	return c.own(ctx, c.packages[first:])
}

// release looks for the name of the distribution in the layer.
func (c *collector) release(ctx context.Context) error {
	clear(c.missed)
	c.distribution = nil
	c.Distribution()
	if len(c.missed) == 0 {
		return nil
	}
	if err := c.fetch(ctx, maps.Clone(c.missed)); err != nil {
		return err
	}
	c.distribution = nil
	c.Distribution()
	return nil
}

// pending returns the files of this layer that are wanted and can be seen when
// it is the last one, ordered by path.
func (c *collector) pending() []job {
	var out []job
	have := map[string]bool{}
	for _, j := range c.jobs {
		// A later entry of the same layer may have replaced it.
		if canon, n, err := c.tree.lookup(j.canon, false); err != nil || canon != j.canon || n.data != j.data || have[j.path] {
			continue
		}
		have[j.path] = true
		out = append(out, j)
	}
	add := func(path string) {
		canon, n, err := c.tree.lookup(path, true)
		if err != nil || n.kind != isFile || canon == path || have[path] {
			return
		}
		j := job{path: path, canon: canon, data: n.data}
		for x := range c.extractors {
			wants := c.extractors[x].Wants
			// What is wanted where it lies is known from there.
			if wants(path, n.data.mode, n.data.size) && !wants(canon, n.data.mode, n.data.size) {
				j.wants = append(j.wants, x)
			}
		}
		if old := c.evidence[path]; j.wants == nil || old != nil && old.data == j.data {
			return
		}
		have[path] = true
		out = append(out, j)
	}
	for _, link := range c.links {
		add(link)
	}
	// A database in a folder that is a link lies under another name.
	for _, path := range distro.Databases() {
		add(path)
		if log := distro.Log(path); log != "" && !have[path] && c.layer >= 0 {
			// Of a database whose log alone was changed, as if it were new.
			_, n, err := c.tree.lookup(log, true)
			canon, db, missing := c.tree.lookup(path, false)
			if err != nil || missing != nil || canon != path || db.kind != isFile || int(n.layer) != c.layer {
				continue
			}
			j := job{path: path, canon: canon, data: db.data}
			for x := range c.extractors {
				if c.extractors[x].Wants(path, db.data.mode, db.data.size) {
					j.wants = append(j.wants, x)
				}
			}
			have[path] = true
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b job) int { return strings.Compare(a.path, b.path) })
	return out
}

// run asks the extractors that want the file.
func (c *collector) run(ctx context.Context, j *job) (found []fact.Package, problem error) {
	f := &extract.File{
		Path: j.path, Size: j.data.size, Mode: j.data.mode, Tree: c,
		Open: func() (io.ReadCloser, error) {
			r, size, err := c.openData(j.canon, j.data)
			if err != nil {
				return nil, err
			}
			return stream{io.NewSectionReader(r, 0, size), r}, nil
		},
		At: func() (extract.ReaderAtCloser, error) {
			r, _, err := c.openData(j.canon, j.data)
			return r, err
		},
	}
	for _, x := range j.wants {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e := &c.extractors[x]
		err := e.Extract(ctx, f, func(p fact.Package) {
			if len(found) >= maxPackages {
				problem = fmt.Errorf("it names more than %d packages", maxPackages)
				return
			}
			if p.Path == "" {
				p.Path = j.path
			}
			if p.By == "" {
				p.By = e.Name
			}
			p.Layer, p.Removed = c.layer, false
			found = append(found, p)
		})
		if err != nil && !errors.Is(err, extract.ErrSkip) {
			problem = errors.Join(problem, fmt.Errorf("%s: %w", e.Name, err))
		}
	}
	return found, problem
}

// stream is a file that is read from its start.
type stream struct {
	io.Reader
	io.Closer
}

// identity is what makes a package the same one as below, in the same place.
type identity struct {
	by, path, ecosystem, name, version, arch, source, sourceVersion string
	state                                                           fact.PackageState
}

func identityOf(p *fact.Package) identity {
	return identity{p.By, p.Path, p.Ecosystem, p.Name, p.Version, p.Arch, p.SourceName, p.SourceVersion, p.State}
}

// settle compares what a file names with what it named below. A package that
// was there keeps its layer: a database lists all of them anew each time.
func (c *collector) settle(j *job, found []fact.Package, problem error) error {
	if problem != nil {
		c.gap(j.path, c.layer, problem.Error())
	}
	old := c.evidence[j.path]
	if old == nil {
		if len(found) == 0 {
			return nil
		}
		old = &evidence{database: distro.IsDatabase(j.path)}
		c.evidence[j.path] = old
	}
	old.data = j.data
	if len(found) == 0 && old.database && len(old.packages) > 0 {
		c.emptied(j.path)
		return nil
	}
	below := make(map[identity][]int, len(old.packages))
	for _, at := range old.packages {
		id := identityOf(&c.packages[at])
		below[id] = append(below[id], at)
	}
	var now []int
	for i := range found {
		id := identityOf(&found[i])
		if at := below[id]; len(at) > 0 {
			now = append(now, at[0])
			below[id] = at[1:]
			continue
		}
		if len(c.packages) == maxPackages {
			return fmt.Errorf("there are more than %d packages", maxPackages)
		}
		c.packages = append(c.packages, found[i])
		now = append(now, len(c.packages)-1)
	}
	var gone []int
	for _, at := range below {
		gone = append(gone, at...)
	}
	slices.Sort(gone)
	if problem != nil {
		old.packages = append(now, gone...) // nothing says that they are gone
		return nil
	}
	kept := distro.Forgotten(c, j.path, c.packages, gone, found)
	for _, at := range gone {
		if c.packages[at].Removed = !kept[at]; kept[at] {
			now = append(now, at)
		}
	}
	if len(kept) > 0 {
		c.gap(j.path, c.layer, fmt.Sprintf("the package database no longer lists %d packages whose lists of files are still there; they are taken to be installed still", len(kept)))
	}
	old.packages = now
	return nil
}

// vanish marks the packages whose evidence this layer deleted or replaced.
func (c *collector) vanish(settled []job) {
	if c.layer <= 0 {
		return
	}
	done := make(map[string]bool, len(settled))
	for i := range settled {
		done[settled[i].path] = true
	}
	for path, e := range c.evidence {
		if done[path] || len(e.packages) == 0 {
			continue
		}
		_, n, err := c.tree.lookup(path, true)
		if err == nil && n.data == e.data {
			continue
		}
		if e.database {
			c.emptied(path)
			e.data = nil
			if err == nil {
				e.data = n.data // so that it is said once
			}
			continue
		}
		for _, at := range e.packages {
			c.packages[at].Removed = true
		}
		delete(c.evidence, path)
	}
}

// emptied notes that a layer took a database away. The files that it listed are
// still there for all that is known, so its packages stay.
func (c *collector) emptied(path string) {
	for _, g := range c.gaps {
		if g.Path == path && strings.HasPrefix(g.Why, goneDatabase) {
			return
		}
	}
	c.gap(path, c.layer, goneDatabase+"; what it listed is taken to be installed still")
}

const goneDatabase = "the layer deletes or empties the package database"

// inventory is what was found, in an order that depends on the source alone.
func (c *collector) inventory() fact.Inventory {
	inv := fact.Inventory{
		Subject: c.src.subject(), Source: "Apex", Version: c.options.Version, Made: c.options.now(),
		Distribution: c.Distribution(), Packages: slices.Clone(c.packages), Gaps: slices.Clone(c.gaps),
	}
	if c.src.layers != nil {
		inv.Layers = slices.Clone(c.src.layers.Image().DiffIDs)
	}
	if inv.Packages == nil {
		inv.Packages = []fact.Package{}
	}
	slices.SortStableFunc(inv.Packages, func(a, b fact.Package) int {
		return cmp.Or(
			strings.Compare(a.Path, b.Path),
			strings.Compare(a.Ecosystem, b.Ecosystem),
			strings.Compare(a.Name, b.Name),
			strings.Compare(a.Version, b.Version),
			cmp.Compare(a.Layer, b.Layer),
			strings.Compare(a.By, b.By),
			strings.Compare(a.Arch, b.Arch),
		)
	})
	inv.Findings = lookalike.Find(inv.Packages)
	slices.SortStableFunc(inv.Gaps, func(a, b fact.Gap) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Layer, b.Layer), strings.Compare(a.Why, b.Why))
	})
	return inv
}

var _ extract.Tree = (*collector)(nil)
