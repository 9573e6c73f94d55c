// Package scan is what every scanner of a model format speaks: what it reads
// ([File]), what it says ([Rule], [Finding]), what it may spend ([Place.Spend],
// [Place.Hold]) and how it hands on what it finds inside ([Place.Inside]).
//
// A format is a [Format]: a name, a claim by content and a scan. Whoever scans
// calls [Formats.Scan] with a file; every format that claims the content reads
// it, because a file that two loaders accept is read by the one that the
// attacker chooses. Names of files and folders never decide anything.
//
// Nothing here, and nothing built on it, loads a model or runs what is in it.
// All limits are counted, not timed, so that the same bytes give the same
// report on every machine. A Formats is safe for concurrent use; what belongs
// to one scan is not.
package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Format reads one format of model files.
type Format struct {
	// Name is what reports call the format, for example "safetensors".
	Name string
	// Claim says whether some loader of this format would begin to read the
	// file. It looks at the content only, at little of it, and errs on the side
	// of yes: Scan can still return [ErrOther].
	Claim func(*File) bool
	// Scan reports what in the file would run, escape or break a loader. What
	// is wrong with the content is reported; an error says that reading itself
	// failed (or ErrOther), and makes the file unscannable.
	Scan func(*Place, *File) error
	// Rules are all rules that Scan reports by.
	Rules []*Rule
}

// ErrOther is returned by a scan that finds that the file is none of its
// format after all. What it reported by then is forgotten.
var ErrOther = errors.New("the file has another format")

// Formats are the formats that files are examined for, in the order in which
// reports name them.
type Formats struct {
	table  []Format
	limits Limits
}

// NewFormats returns the formats with the limits that hold for each file; the
// zero Limits are [DefaultLimits]. Names must be unique.
func NewFormats(limits Limits, table ...Format) *Formats {
	if limits == (Limits{}) {
		limits = DefaultLimits
	}
	return &Formats{table: slices.Clone(table), limits: limits}
}

// All returns the table.
func (f *Formats) All() []Format { return slices.Clone(f.table) }

// Result is what was found in one file.
type Result struct {
	Verdict  Verdict   `json:"verdict"`
	Formats  []string  `json:"formats,omitempty"` // that the file itself was read as, by the table's order
	Findings []Finding `json:"findings,omitempty"`
	// Dropped counts findings beyond the limit, by severity the least ones.
	Dropped int `json:"dropped,omitempty"`
	// Inner are the formats that were read inside of the file.
	Inner []string `json:"inner,omitempty"`
	// Properties are what the file says of itself, for example "license".
	Properties []Property `json:"properties,omitempty"`
	// Tensors are collected on request only, in the order of the file.
	Tensors []Tensor `json:"-"`
}

// Options are what a caller wants beside findings.
type Options struct {
	Tensors bool // collect them
}

// Scan examines one file. The result is complete whatever happens: an error,
// a panic of a scanner or the end of ctx makes it unscannable.
func (f *Formats) Scan(ctx context.Context, file *File, options Options) Result {
	run := &run{ctx: ctx, formats: f, options: options, work: f.limits.Work, memory: f.limits.Memory, size: file.Size()}
	examined := *file // the caller's is left as it is
	examined.onRead = run.fetched
	root := &Place{run: run, file: &examined}
	root.read()
	return run.result()
}

// run is the examination of one outermost file.
type run struct {
	ctx      context.Context
	formats  *Formats
	options  Options
	work     Cost
	memory   int64
	checks   int
	spent    error // why nothing more is read
	size     int64 // of the outermost file
	unpacked int64 // bytes that streams held, in all
	findings []Finding
	dropped  int
	outer    []string
	inner    []string
	props    []Property
	tensors  []Tensor
	claims   int // of the outermost file
	handed   map[extent]bool
	order    []extent // in which they were handed on
}

// An extent is a run of bytes that a scan handed on as a part of its member.
type extent struct {
	origin      *File
	start, size int64
}

func (r *run) result() Result {
	r.ended()
	res := Result{Formats: r.outer, Dropped: r.dropped, Tensors: r.tensors}
	slices.SortStableFunc(r.findings, func(a, b Finding) int {
		return cmp.Or(-cmp.Compare(a.Severity, b.Severity), strings.Compare(a.Where.Member, b.Where.Member),
			cmp.Compare(a.Where.Offset, b.Where.Offset), strings.Compare(a.Rule, b.Rule), strings.Compare(a.Detail, b.Detail))
	})
	res.Findings = slices.CompactFunc(r.findings, func(a, b Finding) bool {
		return a.Rule == b.Rule && a.Where == b.Where && a.Detail == b.Detail
	})
	res.Inner = slices.Clone(r.inner)
	slices.Sort(res.Inner)
	slices.SortFunc(r.props, func(a, b Property) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
	})
	res.Properties = slices.Compact(r.props)
	if r.claims > 0 {
		res.Verdict = Clean
	}
	for i := range res.Findings {
		res.Verdict = max(res.Verdict, res.Findings[i].Severity.verdict())
	}
	return res
}

// fetched takes what reading so many bytes costs at least from the budget,
// beside what the scan pays for looking at them: a scan that reads on and on
// and pays too little ends all the same.
func (r *run) fetched(n int) {
	if r.work -= Cost(n / 2); r.work < 0 {
		r.work = 0
	}
}

// ended makes sure that a scan which the limits ended says so, and that what
// swelled until then is called what it is.
func (r *run) ended() {
	if r.spent == nil {
		return
	}
	root := &Place{run: r}
	said := func(rules ...*Rule) bool {
		return slices.ContainsFunc(r.findings, func(f Finding) bool {
			return slices.ContainsFunc(rules, func(rule *Rule) bool { return rule.ID == f.Rule })
		})
	}
	if !said(ruleBudget, ruleStopped) {
		root.fail(r.spent)
	}
	if errors.Is(r.spent, ErrBudget) && r.unpacked >= bombBytes && r.unpacked/runOutRatio > r.size && !said(ruleBomb) {
		root.Report(ruleBomb, Nowhere, fmt.Sprintf("%d bytes unpack to more than %d, and the end was not reached", r.size, r.unpacked))
	}
}

// Place is where a scan is: in the outermost file or in a member at some
// depth of it. It is handed to [Format.Scan] and valid until that returns.
type Place struct {
	run    *run
	member string // names of members from the outermost, joined by "!"
	format string
	depth  int
	offset int64 // of the file within the member that Where speaks of
	took   string
	file   *File
	within *Place // of the scan that handed the file on, nil for the outermost file
	part   bool   // the file is bytes of the member of within
}

// read runs every format that claims the file, and returns those that took it.
func (p *Place) read() (took []string) {
	file := p.file
	if file.Size() == 0 {
		if p.depth == 0 {
			p.run.claims++ // nothing is in it
			p.run.outer = append(p.run.outer, empty)
		}
		return []string{empty}
	}
	if _, err := file.Head(); err != nil {
		p.fail(err)
		return nil
	}
	for i := range p.run.formats.table {
		format := &p.run.formats.table[i]
		if p.run.spent != nil {
			p.fail(p.run.spent)
			return took
		}
		if name, ok := p.try(format); ok {
			took = append(took, name)
		}
	}
	return took
}

// empty is what a file without content is read as.
const empty = "empty"

// try runs one format and forgets what it said when the file is none of its.
func (p *Place) try(format *Format) (name string, took bool) {
	r, file := p.run, p.file
	before := *r
	held := r.memory
	inside := *p
	inside.format, inside.took = format.Name, format.Name
	defer func() {
		r.memory = held // whatever the scan held and did not release is gone with it
		if broken := recover(); broken != nil {
			inside.Report(ruleInternal, Nowhere, fmt.Sprintf("the scanner of %s stopped: %v", format.Name, broken))
			name, took = inside.took, true
			p.note(name)
		}
	}()
	if !format.Claim(file) || p.isSeen(format) {
		return "", false
	}
	err := format.Scan(&inside, file)
	if errors.Is(err, ErrOther) {
		r.findings, r.dropped, r.props, r.tensors = before.findings, before.dropped, before.props, before.tensors
		r.inner = before.inner
		for _, e := range r.order[len(before.order):] {
			delete(r.handed, e)
		}
		r.order = before.order
		return "", false
	}
	if err != nil {
		inside.fail(err)
	}
	p.note(inside.took)
	return inside.took, true
}

// isSeen says whether the file is the beginning of one around it that the
// format claims: there it reads the same bytes, and knows how they go on. The
// format that handed the beginning on reads it, for a reason of its own.
func (p *Place) isSeen(format *Format) bool {
	origin, start := p.file.root()
	for inner := p; inner.part; inner = inner.within {
		outer := inner.within
		from, at := outer.file.root()
		if from != origin || at != start {
			return false
		}
		if outer.format != format.Name && outer.file.Size() > p.file.Size() && format.Claim(outer.file) {
			return true
		}
	}
	return false
}

func (p *Place) note(format string) {
	if p.depth == 0 {
		p.run.claims++
		if !slices.Contains(p.run.outer, format) {
			p.run.outer = append(p.run.outer, format)
		}
		return
	}
	if format != "" && !slices.Contains(p.run.inner, format) {
		p.run.inner = append(p.run.inner, format)
	}
}

// fail reports that reading ended early.
func (p *Place) fail(err error) {
	rule := ruleRead
	switch {
	case errors.Is(err, ErrBudget):
		rule = ruleBudget
	case p.run.ctx.Err() != nil:
		rule = ruleStopped
	}
	p.Report(rule, Nowhere, err.Error())
}

// As refines the name of the format, for example from "zip" to "torch-zip".
func (p *Place) As(name string) { p.took = name }

// Member is the path of the members that the file stands in, "" for the
// outermost file.
func (p *Place) Member() string { return p.member }

// Depth is 0 in the outermost file and one more in each file inside.
func (p *Place) Depth() int { return p.depth }

// Context ends when the whole scan must; [Place.Spend] looks at it, so that
// few scanners need it.
func (p *Place) Context() context.Context { return p.run.ctx }

// Within are the formats that handed the file on, from the outermost.
func (p *Place) Within() (formats []string) {
	for outer := p.within; outer != nil; outer = outer.within {
		formats = append(formats, outer.took)
	}
	slices.Reverse(formats)
	return formats
}

// Inside has every format look at a file inside this one, and reports whether
// any took it. name is the member's, for people; offset is where the file
// begins in the present one, or negative when it was unpacked. With the name ""
// the bytes belong to this member; they are looked at once, however often they
// are handed on. It costs [CostInside].
func (p *Place) Inside(name string, offset int64, file *File) (took bool) {
	return len(p.InsideAs(name, offset, file)) > 0
}

// InsideAs is [Place.Inside] and returns the formats that took the file.
func (p *Place) InsideAs(name string, offset int64, file *File) (formats []string) {
	inside := p.deeper(name, offset, file)
	if inside == nil {
		return nil
	}
	if inside.part {
		origin, start := file.root()
		e := extent{origin, start, file.Size()}
		if p.run.handed[e] {
			return nil
		}
		if p.run.handed == nil {
			p.run.handed = map[extent]bool{}
		}
		p.run.handed[e] = true
		p.run.order = append(p.run.order, e)
	}
	return inside.read()
}

// With has one format, given by its scan, look at a file inside: for content
// whose format follows from where it stands. It is like [Place.Inside] otherwise.
// One without a name is not listed among the formats of the result.
func (p *Place) With(format *Format, name string, offset int64, file *File) (took bool) {
	inside := p.deeper(name, offset, file)
	if inside == nil {
		return false
	}
	_, took = inside.try(format)
	return took
}

// deeper is the place of a file inside this one; nil when it is not to be read.
func (p *Place) deeper(name string, offset int64, file *File) *Place {
	if p.run.spent != nil {
		return nil
	}
	if p.depth+1 > p.run.formats.limits.Depth {
		p.Report(ruleDepth, Nowhere, fmt.Sprintf("%s is nested deeper than %d levels", clip(name), p.run.formats.limits.Depth))
		return nil
	}
	if err := p.Spend(CostInside); err != nil {
		return nil // which the result says
	}
	inside := &Place{run: p.run, member: join(p.member, name), depth: p.depth + 1, file: file, within: p}
	if name == "" { // bytes of this member, not one of its own
		inside.member, inside.offset, inside.part = p.member, p.offset+max(offset, 0), true
	}
	return inside
}

// Scoped runs do and gives back what memory it took and did not release: for
// members that are unpacked one after the other.
func (p *Place) Scoped(do func() error) error {
	held := p.run.memory
	defer func() { p.run.memory = held }()
	return do()
}

func join(outer, name string) string {
	if name == "" {
		return outer
	}
	if outer == "" {
		return clip(name)
	}
	return clip(outer) + "!" + clip(name)
}

// Report says what was found. detail names the thing, in a form that is safe
// to print; it is clipped and cleaned here.
func (p *Place) Report(rule *Rule, where Where, detail string, references ...string) {
	if where.Offset >= 0 {
		where.Offset += p.offset
	}
	if where.Member == "" {
		where.Member = p.member
	} else {
		where.Member = join(p.member, where.Member)
	}
	where.Op = clip(where.Op)
	p.run.add(Finding{
		Rule: rule.ID, Severity: rule.Severity, Format: cmp.Or(p.took, p.format), Where: where, Detail: clip(detail),
		Why: rule.Why, Mend: rule.Mend, References: union(rule.References, references),
	})
}

// add keeps a finding; beyond the limit the least one goes.
func (r *run) add(f Finding) {
	if len(r.findings) < r.formats.limits.Findings {
		r.findings = append(r.findings, f)
		return
	}
	r.dropped++
	least := -1
	for i := range r.findings {
		if r.findings[i].Severity < f.Severity && (least < 0 || r.findings[i].Severity < r.findings[least].Severity) {
			least = i
		}
	}
	if least >= 0 {
		r.findings = slices.Clone(r.findings) // try may go back to what was
		r.findings[least] = f
	}
}

func union(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Property keeps what the file says of itself.
func (p *Place) Property(key, value string) {
	if len(p.run.props) < p.run.formats.limits.Findings && value != "" {
		p.run.props = append(p.run.props, Property{Key: key, Value: clip(value)})
	}
}

// WantsTensors says whether tensors are collected.
func (p *Place) WantsTensors() bool { return p.run.options.Tensors }

// Tensor keeps a tensor, where they are wanted.
func (p *Place) Tensor(t Tensor) {
	if p.run.options.Tensors && len(p.run.tensors) < p.run.formats.limits.Tensors {
		t.Member = p.member
		if t.Offset >= 0 {
			t.Offset += p.offset
		}
		p.run.tensors = append(p.run.tensors, t)
	}
}

// Spend takes estimated CPU time from the file's budget. It returns an error
// that wraps [ErrBudget] when there is none left, and the context's when that
// ended: a scan returns it at once.
func (p *Place) Spend(c Cost) error {
	r := p.run
	if r.spent != nil {
		return r.spent
	}
	if c < 0 || c > r.work {
		r.work = 0
		r.spent = fmt.Errorf("%w: reading it would take more than about %v of CPU time", ErrBudget, r.formats.limits.Work)
		return r.spent
	}
	r.work -= c
	if r.checks++; r.checks&63 == 0 {
		if err := r.ctx.Err(); err != nil {
			r.spent = fmt.Errorf("stopped before the end: %w", context.Cause(r.ctx))
			return r.spent
		}
	}
	return nil
}

// Hold takes n bytes of memory from the budget until release is called, at the
// latest when the scan returns. The error wraps [ErrBudget].
func (p *Place) Hold(n int64) (release func(), err error) {
	if n < 0 || n > p.run.memory {
		return nil, fmt.Errorf("%w: it would take more than %d MiB of memory", ErrBudget, p.run.formats.limits.Memory>>20)
	}
	p.run.memory -= n
	held := true
	return func() {
		if held {
			held = false
			p.run.memory += n
		}
	}, nil
}

// clip makes foreign text fit for a report: printable, and not long.
func clip(s string) string {
	const longest = 300
	printable := true
	for i := 0; i < len(s) && i <= longest; i++ {
		if s[i] < ' ' || s[i] >= 0x7f {
			printable = false
			break
		}
	}
	if printable && len(s) <= longest {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if b.Len() > longest {
			b.WriteString("…")
			break
		}
		if c != utf8.RuneError && unicode.IsPrint(c) { // nothing that hides or changes the direction of text
			b.WriteRune(c)
			continue
		}
		fmt.Fprintf(&b, `\u%04x`, c)
	}
	return b.String()
}
