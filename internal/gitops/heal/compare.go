package heal

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
)

// What says how the target differs from what is desired.
type What uint8

// The differences.
const (
	Changed   What = iota + 1 // a field that Git sets has another value
	Missing                   // a field that Git sets is not there
	Added                     // there is a field or an element that Git does not set
	Reordered                 // the elements are there, in another order
)

var whatNames = [...]string{"", "changed", "missing", "added", "reordered"}

// String returns the word that reports use.
func (w What) String() string { return whatNames[w] }

// step is one part of the way to a field: a name in a map, or an element of a list.
type step struct {
	name  string // of the field; for an element its key, or its position as text
	index int    // of the element in the live list, -1 for a field
	keys  []keyed
	wild  bool // the element is desired: which one it is does not matter to what a server adds to it
}

// keyed is one field of the key of an element.
type keyed struct {
	name  string
	value any
}

// finding is one difference.
type finding struct {
	what       What
	way        []step
	want, have any
	id         sum // this difference at this place
	general    sum // the same at any element that is desired; 0 when it says more than a field's default
	positional bool
	mode       Mode // what happens to it, once that was looked up
}

// pointer returns the JSON pointer to it in the live object.
func (f *finding) pointer() string {
	var b strings.Builder
	for _, s := range f.way {
		b.WriteByte('/')
		if s.index >= 0 {
			b.WriteString(strconv.Itoa(s.index))
		} else {
			b.WriteString(escape(s.name))
		}
	}
	return b.String()
}

// path returns the pointer for people and rules: an element is named by its key.
func (f *finding) path() string {
	var b strings.Builder
	for _, s := range f.way {
		b.WriteByte('/')
		b.WriteString(escape(s.name))
	}
	return b.String()
}

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func escape(name string) string {
	if strings.IndexByte(name, '~') < 0 && strings.IndexByte(name, '/') < 0 {
		return name
	}
	return pointerEscapes.Replace(name)
}

// Limits on what one comparison says and how deep it looks. An API server refuses
// JSON deeper than 10,000; nothing that is written by hand is deeper than 64.
const (
	maxFindings = 4096
	maxDepth    = 128
)

// compare returns how the live body differs from the desired one. It leaves out
// the status, what identifies the object, what the server keeps there for itself,
// and annotations that change nothing.
func compare(h hasher, o *gitops.Object, live map[string]any) []finding {
	c := newComparison(h, o, live)
	desired := o.Body
	if o.Kind == "Secret" && o.Group == "" {
		desired = encoded(desired)
	}
	for name, want := range desired {
		switch name {
		case "apiVersion", "kind", "metadata", "status":
			continue
		}
		have, ok := live[name]
		c.enter(name)
		c.field(want, have, ok)
		c.leave()
	}
	for name, have := range live {
		switch name {
		case "apiVersion", "kind", "metadata", "status":
			continue
		}
		if _, ok := desired[name]; !ok {
			c.enter(name)
			c.added(have)
			c.leave()
		}
	}
	c.enter("metadata")
	want, _ := desired["metadata"].(map[string]any)
	have, _ := live["metadata"].(map[string]any)
	c.metadata(want, have)
	return c.found
}

type comparison struct {
	hash  hasher
	me    self
	way   []step
	found []finding
	fixed int // elements on the way that belong to lists without keys
}

func newComparison(h hasher, o *gitops.Object, live map[string]any) comparison {
	c := comparison{hash: h, me: self{kind: o.Kind, name: o.Name}, way: make([]step, 0, 16)}
	if meta, ok := live["metadata"].(map[string]any); ok {
		c.me.uid, _ = meta["uid"].(string)
	}
	return c
}

func (c *comparison) enter(name string) { c.way = append(c.way, step{name: name, index: -1}) }
func (c *comparison) leave()            { c.way = c.way[:len(c.way)-1] }

// metadata compares the parts of it that people write.
func (c *comparison) metadata(want, have map[string]any) {
	for _, name := range []string{"labels", "annotations", "ownerReferences", "finalizers"} {
		w, h := want[name], have[name]
		if w == nil && h == nil {
			continue
		}
		c.enter(name)
		if name == "annotations" {
			c.annotations(w, h)
		} else if w == nil {
			// Each element by itself: some may be there by right.
			switch h := h.(type) {
			case map[string]any:
				c.mapping(map[string]any{}, h)
			case []any:
				c.list(name, []any{}, h)
			}
		} else {
			c.field(w, h, h != nil)
		}
		c.leave()
	}
}

func (c *comparison) annotations(want, have any) {
	w, _ := want.(map[string]any)
	h, _ := have.(map[string]any)
	for name, v := range w {
		got, ok := h[name]
		c.enter(name)
		c.field(v, got, ok)
		c.leave()
	}
	for name, v := range h {
		if _, ok := w[name]; !ok && behavioural(name) {
			c.enter(name)
			c.added(v)
			c.leave()
		}
	}
}

// field compares what a name holds.
func (c *comparison) field(want, have any, there bool) {
	if len(c.way) > maxDepth {
		c.say(Changed, want, have)
		return
	}
	if !there || have == nil {
		if want != nil {
			c.say(Missing, want, nil)
		}
		return
	}
	switch w := want.(type) {
	case nil:
		c.added(have)
	case map[string]any:
		if h, ok := have.(map[string]any); ok {
			c.mapping(w, h)
			return
		}
		c.say(Changed, want, have)
	case []any:
		if h, ok := have.([]any); ok {
			c.list(c.way[len(c.way)-1].name, w, h)
			return
		}
		c.say(Changed, want, have)
	default:
		if !c.same(want, have) {
			c.say(Changed, want, have)
		}
	}
}

func (c *comparison) mapping(want, have map[string]any) {
	for name, w := range want {
		h, ok := have[name]
		c.enter(name)
		c.field(w, h, ok)
		c.leave()
	}
	for name, h := range have {
		if _, ok := want[name]; !ok {
			c.enter(name)
			c.added(h)
			c.leave()
		}
	}
}

// added says that there is something that Git does not set. Of a struct that is
// all new only the whole is named. An empty one counts: an empty selector
// selects everything.
func (c *comparison) added(have any) {
	if have != nil {
		c.say(Added, nil, have)
	}
}

// list compares by key where the elements have one, else by position.
func (c *comparison) list(name string, want, have []any) {
	switch {
	case isSet(c.way, name):
		c.set(want, have)
	default:
		if keys := keysOf(name, want, have); keys != nil {
			c.byKey(name, keys, want, have)
			return
		}
		c.byPosition(want, have)
	}
}

func (c *comparison) set(want, have []any) {
	for _, w := range want {
		if !slices.Contains(have, w) {
			c.way = append(c.way, step{name: text(w), index: len(have)})
			c.say(Missing, w, nil)
			c.leave()
		}
	}
	for i, h := range have {
		if !isScalar(h) || !slices.Contains(want, h) || slices.Contains(have[:i], h) {
			c.way = append(c.way, step{name: text(h), index: i})
			c.say(Added, nil, h)
			c.leave()
		}
	}
}

func (c *comparison) byKey(name string, keys []string, want, have []any) {
	at := make(map[string]int, len(have))
	var twice []int
	for i, h := range have {
		k := keyText(keys, h)
		if _, ok := at[k]; ok {
			twice = append(twice, i) // the later one of a name wins: of variables, for one
			continue
		}
		at[k] = i
	}
	last, reordered := -1, false
	for _, w := range want {
		k := keyText(keys, w)
		i, ok := at[k]
		if !ok {
			c.way = append(c.way, step{name: k, index: len(have)})
			c.say(Missing, w, nil)
			c.leave()
			continue
		}
		delete(at, k)
		if i < last {
			reordered = true
		}
		last = max(last, i)
		c.way = append(c.way, step{name: k, index: i, keys: keyValues(keys, have[i]), wild: true})
		c.field(w, have[i], true)
		c.leave()
	}
	for k, i := range at {
		c.way = append(c.way, step{name: k, index: i, keys: keyValues(keys, have[i])})
		c.say(Added, nil, have[i])
		c.leave()
	}
	for _, i := range twice {
		c.way = append(c.way, step{name: keyText(keys, have[i]), index: i, keys: keyValues(keys, have[i])})
		c.say(Added, nil, have[i])
		c.leave()
	}
	if reordered && orderMatters(name) {
		c.say(Reordered, want, have)
	}
}

func (c *comparison) byPosition(want, have []any) {
	maps := func(v any) bool { _, ok := v.(map[string]any); return ok }
	if !slices.ContainsFunc(want, maps) {
		if !slices.EqualFunc(want, have, c.same) {
			c.say(Changed, want, have)
		}
		return
	}
	c.fixed++
	defer func() { c.fixed-- }()
	for i := range max(len(want), len(have)) {
		c.way = append(c.way, step{name: strconv.Itoa(i), index: i, wild: i < len(want)})
		switch {
		case i >= len(have):
			c.say(Missing, want[i], nil)
		case i >= len(want):
			c.say(Added, nil, have[i])
		default:
			c.field(want[i], have[i], true)
		}
		c.leave()
	}
}

// say notes a difference where the comparison stands.
func (c *comparison) say(what What, want, have any) {
	if len(c.found) == maxFindings {
		return
	}
	f := finding{what: what, way: slices.Clone(c.way), want: want, have: have, positional: c.fixed > 0}
	f.id, f.general = c.hash.finding(c.me, &f)
	c.found = append(c.found, f)
}

// encoded returns the Secret as the server keeps it: stringData is written into
// data, and never read back.
func encoded(secret map[string]any) map[string]any {
	texts, _ := secret["stringData"].(map[string]any)
	if len(texts) == 0 {
		return secret
	}
	out := make(map[string]any, len(secret))
	data := map[string]any{}
	for k, v := range secret {
		if k != "stringData" {
			out[k] = v
		}
	}
	old, _ := secret["data"].(map[string]any)
	for k, v := range old {
		data[k] = v
	}
	for k, v := range texts {
		s, _ := v.(string)
		data[k] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	out["data"] = data
	return out
}
