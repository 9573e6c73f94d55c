package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/advisory"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/sbom"
	"github.com/apexlogic/apex/internal/verify"
	"github.com/apexlogic/apex/verdict"
)

// MatcherName is what the built-in matcher is called in reports and policies.
const MatcherName = "Apex"

// Limits of the matcher's work in the background.
const (
	// inventoryLimit is how long one inventory may take: some gigabytes from a
	// slow registry. Whoever asks does not wait for longer than their own deadline.
	inventoryLimit = 10 * time.Minute
	// inventoriesAtOnce bounds the memory and traffic of inventories.
	inventoriesAtOnce = 2
	// looksAgain is how often the name of the current advisories is read.
	looksAgain = time.Second
)

// Matcher is the built-in matcher: inventories of images against the current
// advisories. It is safe for concurrent use.
type Matcher struct {
	dir         *snapshot.Dir
	inventories *Inventories
	registry    *oci.Client
	clock       clock.Clock
	log         *slog.Logger
	version     string
	// keep makes the inventories of admitted images that are not kept yet; a
	// process that is about to end leaves that to others.
	keep bool

	mu     sync.Mutex
	index  *advisory.Index
	digest verdict.Digest
	looked time.Time
	broken error
	// statements are in force for all images; named identifies them.
	statements []fact.VEX
	named      string
	jobs       map[verdict.Digest]*job
	slots      chan struct{}
	done       context.Context
	stop       context.CancelFunc
	all        sync.WaitGroup
}

// job is an inventory that is being made.
type job struct {
	done  chan struct{}
	err   error
	admit bool // the image was admitted meanwhile
}

// NewMatcher returns a matcher over the advisories and inventories in the
// directories. Close it after use.
func NewMatcher(dir *snapshot.Dir, inventories *Inventories, registry *oci.Client, version string, c clock.Clock, log *slog.Logger, keep bool) *Matcher {
	done, stop := context.WithCancel(context.Background())
	return &Matcher{
		dir: dir, inventories: inventories, registry: registry, clock: c, log: log, version: version, keep: keep,
		jobs: map[verdict.Digest]*job{}, slots: make(chan struct{}, inventoriesAtOnce), done: done, stop: stop,
	}
}

// AdvisoriesDir is where advisories are kept unless a command names a place.
func AdvisoriesDir() (string, error) {
	if dir := os.Getenv("APEX_ADVISORIES"); dir != "" {
		return dir, nil
	}
	state, err := StateDir()
	return filepath.Join(state, "advisories"), err
}

func openMatcher(registry *oci.Client, o *EngineOptions) (*Matcher, error) {
	path := o.Advisories
	if path == "" {
		var err error
		if path, err = AdvisoriesDir(); err != nil {
			return nil, err
		}
	}
	dir, err := snapshot.OpenDir(path, o.Clock)
	if err != nil {
		return nil, err
	}
	inventories, err := OpenInventories(filepath.Join(o.State, "inventories"))
	if err != nil {
		return nil, err
	}
	return NewMatcher(dir, inventories, registry, o.Version, o.Clock, o.Logger, o.KeepInventories), nil
}

// Close ends the work in the background and waits for it.
func (m *Matcher) Close() {
	m.stop()
	m.all.Wait()
}

// use puts statements in force.
func (m *Matcher) use(statements []fact.VEX, named string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.statements, m.named = statements, named
}

// Revision names the current advisories and statements.
func (m *Matcher) Revision() string {
	_, digest, err := m.current()
	if err != nil {
		return "none"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(digest) + " " + m.named
}

// current returns the index of the current advisories. Their name is looked at
// once in a while, so that a sync by another process is noticed in seconds.
func (m *Matcher) current() (*advisory.Index, verdict.Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.Now()
	if !m.looked.IsZero() && now.Sub(m.looked) < looksAgain {
		return m.index, m.digest, m.broken
	}
	m.looked = now
	digest, err := m.dir.CurrentDigest()
	if err == nil && digest != m.digest {
		var s *snapshot.Snapshot
		if s, err = m.dir.Load(digest); err == nil {
			m.index, m.digest = advisory.New(s), digest
		}
	}
	// What was loaded before is not used when its successor cannot be: it would
	// hide that advisories are no longer current.
	if m.broken = err; err != nil {
		m.index, m.digest = nil, ""
	}
	return m.index, m.digest, m.broken
}

// Match implements [verify.Matcher].
func (m *Matcher) Match(ctx context.Context, ref verdict.Ref, kept bool) fact.Fact[fact.Report] {
	now, source := m.clock.Now(), ref.String()
	problem := func(code verdict.Code, format string, args ...any) fact.Fact[fact.Report] {
		return fact.Problem[fact.Report](code, fmt.Sprintf(format, args...), source, now)
	}
	index, _, err := m.current()
	switch {
	case errors.Is(err, snapshot.ErrNone):
		return problem(verdict.AdvisoriesMissing, "%v", err)
	case err != nil:
		return problem(verdict.AdvisoriesInvalid, "%v", err)
	}
	k, err := m.inventories.Get(ref.Digest)
	switch {
	case err == nil && kept && k.Admitted.IsZero():
		return problem(verdict.InventoryMissing, "the image was not admitted before")
	case errors.Is(err, fs.ErrNotExist) && !kept:
		if err := m.wait(ctx, ref); err != nil {
			return problem(inventoryCode(ctx, err), "the inventory: %v", err)
		}
		if k, err = m.inventories.Get(ref.Digest); err != nil {
			return problem(verdict.InventoryMissing, "%v", err)
		}
	case err != nil:
		return problem(verdict.InventoryMissing, "%v", err)
	}
	m.mu.Lock()
	statements := m.statements
	m.mu.Unlock()
	r, until, gaps := Report(index, &k.Inventory, statements, m.version, now)
	if len(gaps) > 0 {
		return fact.Partial(r, source, now, gaps[0].code, gaps[0].why).WithUntil(until)
	}
	return fact.Complete(r, source, now).WithUntil(until)
}

func inventoryCode(ctx context.Context, err error) verdict.Code {
	switch code := oci.CodeOf(err); {
	case ctx.Err() != nil:
		return verdict.InventoryMissing
	case code != verdict.Internal:
		return code
	}
	return verdict.InventoryMissing
}

// Admitted implements [verify.Matcher].
func (m *Matcher) Admitted(ref verdict.Ref) {
	there, err := m.inventories.Admit(ref.Digest, m.clock.Now())
	if err != nil {
		m.log.Warn("the inventory of an admitted image cannot be kept", "image", ref.String(), "err", err)
		return
	}
	if !there && m.keep {
		m.begin(ref, true)
	}
}

// wait makes the inventory, or waits for whoever is making it.
func (m *Matcher) wait(ctx context.Context, ref verdict.Ref) error {
	j := m.begin(ref, false)
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		return fmt.Errorf("it is still being made; ask again in a while (%w)", context.Cause(ctx))
	}
}

// begin starts the job unless it runs. It goes on when those who wait for it
// have left, so that the next one who asks finds it done.
func (m *Matcher) begin(ref verdict.Ref, admit bool) *job {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j, runs := m.jobs[ref.Digest]; runs {
		j.admit = j.admit || admit
		return j
	}
	j := &job{done: make(chan struct{}), admit: admit}
	m.jobs[ref.Digest] = j
	m.all.Go(func() {
		defer close(j.done)
		defer func() {
			if p := recover(); p != nil {
				j.err = fmt.Errorf("the inventory panicked: %v", p)
				m.log.Error("an inventory panicked", "image", ref.String(), "panic", p)
			}
		}()
		j.err = m.take(ref, j)
	})
	return j
}

func (m *Matcher) take(ref verdict.Ref, j *job) error {
	defer func() {
		m.mu.Lock()
		delete(m.jobs, ref.Digest)
		m.mu.Unlock()
	}()
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-m.done.Done():
		return m.done.Err()
	}
	ctx, cancel := context.WithTimeout(m.done, inventoryLimit)
	defer cancel()
	layers, err := m.registry.Layers(ctx, ref.Repo, ref.Digest)
	if err != nil {
		return err
	}
	source := sbom.Image(layers)
	defer source.Close()
	inventory, err := sbom.Collect(ctx, source, sbom.Options{Clock: m.clock, Version: m.version})
	if err != nil {
		return err
	}
	inventory.Subject = ref
	k := &Kept{Inventory: inventory}
	m.mu.Lock()
	if j.admit {
		k.Admitted = m.clock.Now()
	}
	m.mu.Unlock()
	return m.inventories.Put(k)
}

// gap is why a match proves presence and not absence.
type gap struct {
	code verdict.Code
	why  string
}

// Report is what the advisories say of an inventory, as a policy judges it:
// about what can be seen at run time. What is known to be exploited, and what is
// itself the attack, is critical whatever its score says. until is when the
// first statement lapses that something is suppressed by; zero: none does.
func Report(index *advisory.Index, inventory *fact.Inventory, statements []fact.VEX, version string, now time.Time) (_ fact.Report, until time.Time, _ []gap) {
	s := index.Snapshot()
	r := fact.Report{
		Scanner: MatcherName, Version: version, Code: verdict.OK, DBUpdated: s.Taken(), Finished: s.Taken(),
		Subject: inventory.Subject.Digest, DiffIDs: inventory.Layers,
	}
	matches := index.Match(inventory.Packages)
	product := advisory.Product{Names: []string{string(inventory.Subject.Digest)}}
	advisory.ApplyVEX(matches, inventory.Packages, statements, product, now)
	for i := range matches {
		match := &matches[i]
		if match.Suppressed() {
			until = verdict.Earliest(until, match.VEX.Until)
		}
		if match.Removed || match.Suppressed() {
			r.Suppressed++
			continue
		}
		p := &inventory.Packages[match.Package]
		v := fact.Vulnerability{
			ID: match.Group, Aliases: match.IDs, Package: p.Name, Version: p.Version,
			Fixed: match.Fixed, Severity: match.Severity.Level, Score: match.Severity.Score,
		}
		if match.Exploited != nil || match.Malicious {
			v.Severity = fact.SeverityCritical
		}
		if match.Status == advisory.Undecided {
			v.Severity = fact.SeverityUnknown
		}
		r.Findings = append(r.Findings, v)
	}
	return r, until, gapsOf(index, inventory)
}

// gapsOf says what keeps a match from proving absence: files that were not
// read, and ecosystems of which there are no advisories.
func gapsOf(index *advisory.Index, inventory *fact.Inventory) []gap {
	var out []gap
	for _, g := range inventory.Gaps {
		out = append(out, gap{verdict.InventoryGaps, g.Path + ": " + g.Why})
	}
	var missing []string
	for i := range inventory.Packages {
		e := inventory.Packages[i].Ecosystem
		if e != "generic" && e != "conda" && !slices.Contains(missing, e) && !index.Covers(e) {
			missing = append(missing, e)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		out = append(out, gap{verdict.AdvisoriesMissing, "there are no advisories of " + strings.Join(missing, ", ") + ": sync their feeds"})
	}
	return out
}

var _ verify.Matcher = (*Matcher)(nil)
