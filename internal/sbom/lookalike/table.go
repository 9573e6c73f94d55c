package lookalike

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

//go:embed pypi.txt
var pypiNames string

//go:embed npm.txt
var npmNames string

// The tables are made on first use: most commands ask for no name.
var (
	pypi = sync.OnceValue(func() *table { return newTable(pypiNames, decorPython, "python") })
	npm  = sync.OnceValue(func() *table { return newTable(npmNames, decorNode, "node", "nodejs", "js") })
)

// table is the names that are looked like, by the ways in which one is.
type table struct {
	names     map[string]bool
	scopes    map[string]bool // "@angular"
	nearScope near
	squashed  map[string]string // without separators → name
	skeleton  map[string]string // with letters that look alike made one → name
	ordered   map[string]string // words in order → name
	core      map[string]string // without added words → name
	builds    map[string]bool   // cores of which the table has builds for hardware
	near      near
	decor     func(string) kindOf // of a word
	glued     []string            // languages that stand before or behind a name without a separator
}

// newTable reads names that stand between white space; "#" begins a comment.
func newTable(text string, decor func(string) kindOf, glued ...string) *table {
	t := &table{
		names: map[string]bool{}, scopes: map[string]bool{}, nearScope: near{}, squashed: map[string]string{}, skeleton: map[string]string{},
		ordered: map[string]string{}, core: map[string]string{}, builds: map[string]bool{}, near: near{}, decor: decor, glued: glued,
	}
	var all []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			all = append(all, strings.Fields(line)...)
		}
	}
	slices.Sort(all)
	first := func(m map[string]string, key, name string) {
		if _, taken := m[key]; !taken {
			m[key] = name
		}
	}
	for _, name := range all {
		t.names[name] = true
		first(t.squashed, squash(name), name)
		if scope, _, ok := strings.Cut(name, "/"); ok {
			if !t.scopes[scope] {
				t.scopes[scope] = true
				t.nearScope.add(scope)
			}
			continue
		}
		first(t.skeleton, skeleton(name), name)
		if words := split(name); len(words) > 1 {
			first(t.ordered, inOrder(words), name)
		}
		core, built := t.strip(name)
		first(t.core, core, name)
		if built {
			t.builds[core] = true
		}
		t.near.add(name)
	}
	return t
}

// near holds names by their length and first letter, and by their length and
// last: one slip leaves one of the two letters as it was.
type near map[nearKey][]string

type nearKey struct {
	length int
	letter byte
	last   bool
}

func (n near) add(name string) {
	for _, k := range keysOf(name, len(name)) {
		n[k] = append(n[k], name)
	}
}

// keysOf are the keys of names of the length that a name may be one slip from.
func keysOf(name string, length int) [2]nearKey {
	return [2]nearKey{{length, name[0], false}, {length, name[len(name)-1], true}}
}

// squash drops what separates words.
func squash(name string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '-', '_', '.', '@', '/':
			return -1
		}
		return r
	}, name)
}

// split returns the words of a name.
func split(name string) []string {
	return strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
}

func inOrder(words []string) string {
	words = slices.Clone(words)
	slices.Sort(words)
	return strings.Join(words, "-")
}

// kindOf is what a word adds to a name.
type kindOf uint8

const (
	itself   kindOf = iota // it is part of the name
	language               // it only says for what, or that this is the real one
	hardware               // it says for which build
)

func decorPython(word string) kindOf {
	switch word {
	case "python", "python2", "python3", "py", "py2", "py3", "pip", "pypi":
		return language
	}
	return decor(word)
}

func decorNode(word string) kindOf {
	switch word {
	case "node", "nodejs", "js", "npm":
		return language
	}
	return decor(word)
}

func decor(word string) kindOf {
	switch word {
	case "lib", "pkg", "package", "official", "original", "real", "latest":
		return language
	case "gpu", "cpu", "cuda", "rocm", "nightly":
		return hardware
	}
	for _, prefix := range []string{"cuda", "cu", "rocm"} {
		digits, ok := strings.CutPrefix(word, prefix)
		if ok && len(digits) >= 2 && strings.Trim(digits, "0123456789x") == "" {
			return hardware
		}
	}
	return itself
}

// strip takes added words off both ends; built says that one of them named
// hardware. A name of nothing but such words is left as it is.
func (t *table) strip(name string) (core string, built bool) {
	words := split(name)
	from, to := 0, len(words)
	for from < to && t.decor(words[from]) != itself {
		built = built || t.decor(words[from]) == hardware
		from++
	}
	for to > from && t.decor(words[to-1]) != itself {
		to--
		built = built || t.decor(words[to]) == hardware
	}
	if from == to {
		return name, false
	}
	if from == 0 && to == len(words) {
		return name, false
	}
	return strings.Join(words[from:to], "-"), built
}

// skeleton makes letters that are taken for each other one (Unicode TS #39,
// as far as names of packages have such letters).
func skeleton(name string) string {
	name = strings.NewReplacer("rn", "m", "vv", "w").Replace(name)
	return strings.Map(func(r rune) rune {
		switch r {
		case '0', 'о', 'ο', 'օ':
			return 'o'
		case '1', 'i', 'і', 'ı', 'ι', 'ӏ':
			return 'l'
		case '5', 'ѕ':
			return 's'
		case 'а', 'α':
			return 'a'
		case 'с', 'ϲ':
			return 'c'
		case 'ԁ':
			return 'd'
		case 'е', 'ҽ':
			return 'e'
		case 'һ':
			return 'h'
		case 'ј':
			return 'j'
		case 'к', 'κ':
			return 'k'
		case 'ո':
			return 'n'
		case 'р', 'ρ':
			return 'p'
		case 'ԛ':
			return 'q'
		case 'т', 'τ':
			return 't'
		case 'ν':
			return 'v'
		case 'ԝ', 'ѡ':
			return 'w'
		case 'х', 'χ':
			return 'x'
		case 'у', 'γ':
			return 'y'
		}
		return r
	}, name)
}
