package waf

import "strings"

// conditions is a set of rule conditions, by their number.
type conditions [8]uint64

const (
	mostConditions = len(conditions{}) * 64
	// firstSpare is how many conditions one engine can tell apart; CRS 4.25 has
	// about 260. More are not skipped. Numbers from here on are for what else
	// conditions need.
	firstSpare = mostConditions * 5 / 8
)

func (c *conditions) add(i int)      { c[i>>6] |= 1 << (i & 63) }
func (c *conditions) has(i int) bool { return c[i>>6]&(1<<(i&63)) != 0 }
func (c *conditions) join(o *conditions) {
	for i := range c {
		c[i] |= o[i]
	}
}

// lower maps a byte to its lower-case ASCII form.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()

// automaton finds in one pass which of many literals a text contains (Aho and
// Corasick, 1975), without regard to the case of ASCII letters. It is made once,
// and safe for concurrent use.
type automaton struct {
	class [256]uint8 // bytes that no literal tells apart are one class
	// next is the state after each class, in a row for each state.
	next  []uint16
	width uint32 // of a row
	// hit is the first of the states that have found something, which come last.
	hit   uint32
	found []uint16 // of each of those: the index in sets
	sets  []conditions
}

const (
	// mostSets is how many sets a scan remembers to have joined; those beyond are
	// joined again each time.
	mostSets = 2048
	// mostStates is how many states there are numbers for. The whole set has a
	// quarter of them at the highest level.
	mostStates = 1 << 16
	// widest is how much of a long literal is looked for: all letters of the lists
	// of files, commands and messages would be tens of thousands of states.
	widest = 6
)

// builder collects literals for an automaton.
type builder struct {
	children []map[byte]int
	sets     []conditions
	marked   []bool
	spare    int // the next number that no condition has
}

func newBuilder() *builder {
	return &builder{children: []map[byte]int{nil}, sets: make([]conditions, 1), marked: make([]bool, 1), spare: firstSpare}
}

// add has the literals, in lower case, stand for the condition: a text that holds
// one of them will be found to. It reports whether there was room for them.
func (b *builder) add(literals []string, condition int) bool {
	if len(b.children)+widest*len(literals) > mostStates {
		return false
	}
	for _, s := range literals {
		b.addOne(window(s), condition)
	}
	return true
}

func (b *builder) addOne(literal string, condition int) {
	at := 0
	for i := range len(literal) {
		child, ok := b.children[at][literal[i]]
		if !ok {
			child = len(b.children)
			b.children = append(b.children, nil)
			b.sets = append(b.sets, conditions{})
			b.marked = append(b.marked, false)
			if b.children[at] == nil {
				b.children[at] = map[byte]int{}
			}
			b.children[at][literal[i]] = child
		}
		at = child
	}
	b.sets[at].add(condition)
	b.marked[at] = true
}

// window returns the piece of a literal that ordinary text is least likely to hold:
// one of rare bytes, and with a sign before a letter, where words have none.
func window(s string) string {
	if len(s) <= widest {
		return s
	}
	best, most := "", -1
	for i := 0; i+widest <= len(s); i++ {
		sum := 0
		for j := i; j < i+widest; j++ {
			sum += rarity(s[j])
			if j+1 < i+widest && isSign(s[j]) && strings.IndexByte(letters+digits, s[j+1]) >= 0 {
				sum += widest
			}
		}
		if sum > most {
			best, most = s[i:i+widest], sum
		}
	}
	return best
}

// build makes the automaton with all moves spelled out.
func (b *builder) build() *automaton {
	a := &automaton{}
	classes := 1
	for _, children := range b.children {
		for c := range children {
			if a.class[c] == 0 { // upper-case letters are in none, so there are fewer than 256
				a.class[c] = uint8(classes)
				classes++
			}
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		a.class[c] = a.class[lower[c]]
	}
	order, fail := b.breadthFirst()
	// A state has found something when what it ends with has.
	for _, s := range order[1:] {
		if b.marked[fail[s]] {
			b.sets[s].join(&b.sets[fail[s]])
			b.marked[s] = true
		}
	}
	number := make([]uint16, len(order))
	n := 0
	for _, marked := range [...]bool{false, true} {
		for _, s := range order {
			if b.marked[s] == marked {
				number[s] = uint16(n)
				n++
			}
		}
		if !marked {
			a.hit = uint32(n)
		}
	}
	a.found = make([]uint16, n-int(a.hit))
	a.width = uint32(classes)
	a.next = make([]uint16, n*classes)
	index := map[conditions]uint16{}
	for _, s := range order {
		row := a.row(number[s])
		if s != 0 {
			copy(row, a.row(number[fail[s]]))
		}
		for c, child := range b.children[s] {
			row[a.class[c]] = number[child]
		}
		if b.marked[s] {
			i, ok := index[b.sets[s]]
			if !ok {
				i = uint16(len(a.sets))
				a.sets = append(a.sets, b.sets[s])
				index[b.sets[s]] = i
			}
			a.found[uint32(number[s])-a.hit] = i
		}
	}
	return a
}

func (a *automaton) row(s uint16) []uint16 {
	at := int(s) * int(a.width)
	return a.next[at : at+int(a.width)]
}

// breadthFirst returns the states by their depth, and for each the longest other
// state that it ends with.
func (b *builder) breadthFirst() (order, fail []int) {
	order, fail = make([]int, 1, len(b.children)), make([]int, len(b.children))
	for i := 0; i < len(order); i++ {
		s := order[i]
		for c, child := range b.children[s] {
			order = append(order, child)
			for f := s; f != 0; {
				f = fail[f]
				if next, ok := b.children[f][c]; ok {
					fail[child] = next
					break
				}
			}
		}
	}
	return order, fail
}

// scan adds to what the conditions that have a literal in the text, and to bytes
// the bytes that it holds, in lower case.
func (a *automaton) scan(text string, what *conditions, bytes *byteSet) {
	var present [256]bool
	var seen [mostSets / 64]uint64 // sets that were joined already
	state, width := uint32(0), a.width
	for i := range len(text) {
		c := text[i]
		present[c] = true
		state = uint32(a.next[state*width+uint32(a.class[c])])
		if state >= a.hit {
			a.join(a.found[state-a.hit], &seen, what)
		}
	}
	for c, ok := range present {
		if ok {
			bytes.add(lower[c])
		}
	}
}

// scanSqueezed adds to what the conditions that have a literal in the text
// without the bytes of squeezedOut.
func (a *automaton) scanSqueezed(text string, what *conditions) {
	var out [256]bool
	for c := range 256 {
		out[c] = squeezedOut.has(byte(c))
	}
	var seen [mostSets / 64]uint64
	state, width := uint32(0), a.width
	for i := range len(text) {
		c := text[i]
		if out[c] {
			continue
		}
		state = uint32(a.next[state*width+uint32(a.class[c])])
		if state >= a.hit {
			a.join(a.found[state-a.hit], &seen, what)
		}
	}
}

// join adds to what a set, unless it was seen to be added.
func (a *automaton) join(i uint16, seen *[mostSets / 64]uint64, what *conditions) {
	if i < mostSets {
		if seen[i>>6]&(1<<(i&63)) != 0 {
			return
		}
		seen[i>>6] |= 1 << (i & 63)
	}
	what.join(&a.sets[i])
}
