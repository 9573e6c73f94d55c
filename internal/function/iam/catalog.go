package iam

import (
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// actions.bin is written by gen; NOTICE says from what.
//
//go:embed actions.bin
var table string

// Level is what kind of access an action is. Changing rights and tagging are
// kinds of writing: such an action has both bits.
type Level uint8

// The levels.
const (
	List Level = 1 << iota
	Read
	Write
	Permissions
	Tagging
)

// Action is one action of a service.
type Action struct {
	Service, Name string // "s3", "GetObject"
	Level         Level
	// Resources are the types that the action takes. None: it can be allowed on
	// "*" only.
	Resources []ActionResource
	rest      string // keys and dependents, as they stand in the table
}

// Conditions are the keys that a request for it carries, beside the global ones.
func (a *Action) Conditions() []string {
	d := decoder{rest: a.rest}
	return d.texts()
}

// Dependents are further actions that it needs, such as "iam:PassRole".
func (a *Action) Dependents() []string {
	d := decoder{rest: a.rest}
	d.texts()
	return d.texts()
}

// ActionResource is one type of resource that an action takes.
type ActionResource struct {
	Type     string
	ARN      string   // "arn:${Partition}:s3:::${BucketName}"
	Resource *Pattern // what stands after the fifth colon, with "*" for names
	whole    *Pattern // the ARN, with "*" for what a request fills in
	Required bool
}

func (a *Action) String() string { return a.Service + ":" + a.Name }

// TakesResource says whether a policy can name what the action is about. It
// cannot for "StartPiiEntitiesDetectionJob" and its like: the catalogue lists
// the job, but the service makes up its id when the call is made. Nor can it
// for plain metrics, although some live in a data set.
func (a *Action) TakesResource() bool {
	if a.Service == "cloudwatch" && a.Name == "PutMetricData" {
		return false
	}
	starts := strings.HasPrefix(a.Name, "Start") && strings.HasSuffix(a.Name, "Job")
	for _, r := range a.Resources {
		if !starts || !strings.HasSuffix(r.ARN, "${JobId}") {
			return true
		}
	}
	return false
}

// Catalog is the table of all actions. It is safe for concurrent use; each
// service is unpacked when it is first asked for.
type Catalog struct {
	version  string
	names    []string // sorted
	services map[string]*service
	readers  sync.Pool // of flate readers, whose windows are dear to make
}

type service struct {
	name   string
	packed string
	size   int
	load   func() *loaded
}

type loaded struct {
	actions []Action // sorted by name, in lower case
	err     error
}

var catalog = sync.OnceValues(func() (*Catalog, error) { return open(table) })

// AWS is the catalogue that is built in.
func AWS() *Catalog {
	c, err := catalog()
	if err != nil {
		// It is part of the program; a test unpacks the whole of it.
		panic(err)
	}
	return c
}

// maxBlock bounds one service when it is unpacked: EC2's has 200 KiB.
const maxBlock = 4 << 20

func open(table string) (*Catalog, error) {
	d := decoder{rest: table}
	if !strings.HasPrefix(table, "iam1") {
		return nil, fmt.Errorf("read catalogue of actions: it is none")
	}
	d.rest = d.rest[4:]
	c := &Catalog{version: d.text()}
	n := d.number()
	if n > len(table) {
		return nil, fmt.Errorf("read catalogue of actions: %d services", n)
	}
	c.services = make(map[string]*service, n)
	list := make([]*service, 0, n)
	sizes := make([]int, 0, n)
	for range n {
		s := &service{name: d.text()}
		sizes = append(sizes, d.number())
		s.size = d.number()
		s.load = sync.OnceValue(func() *loaded { return s.unpack(&c.readers) })
		list = append(list, s)
	}
	for i, s := range list {
		s.packed = d.take(sizes[i])
		c.names = append(c.names, s.name)
		c.services[s.name] = s
	}
	if d.bad || d.rest != "" {
		return nil, fmt.Errorf("read catalogue of actions: it is cut off or too long")
	}
	return c, nil
}

func (s *service) unpack(readers *sync.Pool) *loaded {
	if s.size > maxBlock {
		return &loaded{err: fmt.Errorf("service %s: %d bytes", s.name, s.size)}
	}
	raw := make([]byte, s.size)
	r, ok := readers.Get().(io.Reader)
	if !ok {
		r = flate.NewReader(strings.NewReader(s.packed))
	} else if err := r.(flate.Resetter).Reset(strings.NewReader(s.packed), nil); err != nil {
		return &loaded{err: fmt.Errorf("service %s: %w", s.name, err)}
	}
	if _, err := io.ReadFull(r, raw); err != nil {
		return &loaded{err: fmt.Errorf("service %s: %w", s.name, err)}
	}
	readers.Put(r)
	d := decoder{rest: string(raw)}
	types := make([]ActionResource, 0, 8)
	for range d.count() {
		r := ActionResource{Type: d.text(), ARN: d.text()}
		filled := fill(r.ARN)
		parts := strings.SplitN(filled, ":", arnSegments+1)
		r.Resource = compile(parts[len(parts)-1], dialect{wild: true})
		r.whole = compile(strings.Replace(filled, "arn:*:", "arn:aws:", 1), dialect{wild: true})
		d.texts()
		types = append(types, r)
	}
	n := d.count()
	l := &loaded{actions: make([]Action, 0, n)}
	var all []ActionResource // of all actions, so that few slices are made
	for range n {
		a := Action{Service: s.name, Name: d.text(), Level: Level(d.byte())}
		from := len(all)
		for range d.count() {
			n := d.number()
			if n>>1 >= len(types) {
				d.bad = true
				break
			}
			r := types[n>>1]
			r.Required = n&1 == 1
			all = append(all, r)
		}
		a.Resources = all[from:len(all):len(all)]
		a.rest = d.rest
		d.skip()
		d.skip()
		a.rest = a.rest[:len(a.rest)-len(d.rest)]
		l.actions = append(l.actions, a)
	}
	if d.bad || d.rest != "" {
		return &loaded{err: fmt.Errorf("service %s: malformed", s.name)}
	}
	return l
}

// fill writes the placeholders of an ARN of the catalogue as stars.
func fill(arn string) string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(arn); i++ {
		switch c := arn[i]; {
		case c == '$' && strings.HasPrefix(arn[i:], "${"):
			if depth == 0 {
				b.WriteByte('*')
			}
			depth++
			i++
		case c == '}' && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Version is that of the data the catalogue was made from.
func (c *Catalog) Version() string { return c.version }

// Services are the prefixes of all services, sorted.
func (c *Catalog) Services() []string { return slices.Clone(c.names) }

// Lookup finds an action, "s3:GetObject" in any case.
func (c *Catalog) Lookup(action string) (Action, bool) {
	prefix, name, ok := strings.Cut(strings.ToLower(action), ":")
	if !ok {
		return Action{}, false
	}
	s, ok := c.services[prefix]
	if !ok {
		return Action{}, false
	}
	l := s.load()
	i, ok := slices.BinarySearchFunc(l.actions, name, func(a Action, name string) int {
		return folded(a.Name, name)
	})
	if !ok {
		return Action{}, false
	}
	return l.actions[i], true
}

// folded compares a name, its letters lowered, with one in lower case.
func folded(name, lower string) int {
	for i := 0; i < len(name) && i < len(lower); i++ {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return int(c) - int(lower[i])
		}
	}
	return len(name) - len(lower)
}

// Actions are those of a service, sorted. The caller must not change them.
func (c *Catalog) Actions(prefix string) []Action {
	s, ok := c.services[prefix]
	if !ok {
		return nil
	}
	return s.load().actions
}

// Each calls f for every action that the pattern may match, until f says no.
func (c *Catalog) Each(p *Pattern, f func(*Action) bool) {
	if p.plain && !p.unknown {
		if a, ok := c.Lookup(p.text); ok {
			f(&a)
		}
		return
	}
	names := c.names
	if prefix, _, ok := strings.Cut(strings.ToLower(p.text), ":"); ok && c.services[prefix] != nil {
		names = []string{prefix}
	}
	for _, name := range names {
		if !overlaps(p.tokens, compile(name+":*", asAction).tokens) {
			continue
		}
		actions := c.services[name].load().actions
		for i := range actions {
			if p.Match(actions[i].String(), nil) != No && !f(&actions[i]) {
				return
			}
		}
	}
}

// decoder takes the table apart; what is cut off makes it bad.
type decoder struct {
	rest string
	bad  bool
}

func (d *decoder) number() int {
	var buf [binary.MaxVarintLen64]byte
	n := copy(buf[:], d.rest)
	v, size := binary.Uvarint(buf[:n])
	if size <= 0 || v > 1<<30 {
		d.bad, d.rest = true, ""
		return 0
	}
	d.rest = d.rest[size:]
	return int(v)
}

// count is a number of things that are each at least a byte long.
func (d *decoder) count() int {
	n := d.number()
	if n > len(d.rest) {
		d.bad, d.rest = true, ""
		return 0
	}
	return n
}

func (d *decoder) take(n int) string {
	if n > len(d.rest) {
		d.bad, d.rest = true, ""
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) byte() byte {
	if s := d.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (d *decoder) text() string { return d.take(d.number()) }

// skip steps over a list of texts.
func (d *decoder) skip() {
	for range d.count() {
		d.take(d.number())
	}
}

func (d *decoder) texts() []string {
	var list []string
	for range d.count() {
		list = append(list, d.text())
	}
	return list
}
