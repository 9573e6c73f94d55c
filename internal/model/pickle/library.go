package pickle

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/apexlogic/apex/internal/model/scan"
)

// library is what lists/library.txt says: names that the allow-list does not
// have are noted, not doubted, while nothing calls or hands them on.
type library struct {
	roots, excepted map[string]bool // modules, with everything below them
	careful         map[string]bool // parts of a module's path
	words           map[string]bool // words of a name, in lower case
}

func (l *list) readLibrary(content string) error {
	l.library = library{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	return lines(content, func(line string) error {
		fields := strings.Fields(line)
		set := map[string]map[string]bool{"root": l.library.roots, "except": l.library.excepted, "careful": l.library.careful, "word": l.library.words}[fields[0]]
		if set == nil || len(fields) < 2 {
			return fmt.Errorf("want root, careful, except or word, and names")
		}
		for _, name := range fields[1:] {
			if fields[0] == "word" {
				name = strings.ToLower(name)
			}
			set[name] = true
		}
		return nil
	})
}

// has says whether the list covers a name.
func (l *library) has(module, name string) bool {
	if !importable(module) || !importable(name) || strings.Contains(name, ".") || strings.HasPrefix(name, "__") {
		return false
	}
	rooted := false
	for i := 0; i <= len(module); i++ {
		if i < len(module) && module[i] != '.' {
			continue
		}
		if l.excepted[module[:i]] {
			return false
		}
		rooted = rooted || l.roots[module[:i]]
	}
	if !rooted {
		return false
	}
	for part := range strings.SplitSeq(module, ".") {
		if strings.HasPrefix(part, "__") || l.careful[strings.Trim(part, "_")] {
			return false
		}
	}
	for word := range words(name) {
		if l.words[word] {
			return false
		}
	}
	return true
}

// words yields the words of a name in CamelCase or with underscores, in lower
// case: "DataLoader_x" has "data", "loader" and "x".
func words(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		runes := []rune(name)
		for start, i := 0, 1; i <= len(runes); i++ {
			if i < len(runes) && runes[i] != '_' && (!unicode.IsUpper(runes[i]) ||
				unicode.IsUpper(runes[i-1]) && (i+1 == len(runes) || !unicode.IsLower(runes[i+1]))) {
				continue
			}
			if word := strings.ToLower(strings.Trim(string(runes[start:i]), "_0123456789")); word != "" && !yield(word) {
				return
			}
			start = i
		}
	}
}

// notice holds back what to say of an import of a library's name until it is
// known what is done with it.
func (m *machine) notice(g *global, what string) {
	g.library, g.what, g.where = true, what, scan.Op(m.opAt, opNames[m.op])
}

// distrust says of a library's name what is said of any unlisted one, since
// more is done with it than storing it or making an object of it.
func (m *machine) distrust(fn int) {
	if g := &m.globals[fn]; g.library {
		g.library = false
		m.held(ruleUnlisted, g)
	}
}

func (m *machine) held(rule *scan.Rule, g *global) {
	key := rule.ID + " " + g.what
	if !m.seen[key] && m.counts[rule.Severity] < maxFindings {
		m.keep(key, finding{rule: rule, where: g.where, detail: g.what})
	}
}

// settle says what was held back, at the end of a stream.
func (m *machine) settle() {
	for i := range m.globals {
		g := &m.globals[i]
		if g.library {
			g.library = false
			m.held(ruleLibrary, g)
		}
		if evaluates(g.listed.rule) && g.fetched > g.called { // whoever gets it can call it with any text
			g.what, g.where = g.String()+": it evaluates text, and is kept", scan.Nowhere
			m.held(ruleDenied, g)
		}
	}
}

// distrustArguments is for a call: whoever is called can call a name among its
// arguments.
func (m *machine) distrustArguments(args value, depth int) {
	const deepest = 3
	if depth > deepest || m.unsettled == 0 || m.place.Spend(costState) != nil {
		return
	}
	switch {
	case args.kind == isGlobal:
		m.distrust(int(args.off))
	case args.kind == isTuple || args.kind == isObject:
		for _, item := range m.of(args) {
			m.distrustArguments(item, depth+1)
		}
	}
}

// distrustObject is for an object whose methods the stream calls.
func (m *machine) distrustObject(o *object) {
	if o != nil && o.fn > 0 && (o.shape == aInstance || o.shape == aCall) {
		m.distrust(int(o.fn - 1))
	}
}

// plainArguments says whether a class's __new__ gets nothing that can name a
// file or be code.
func (m *machine) plainArguments(args value) bool {
	if args.kind != isTuple || args.n > mostOf {
		return false
	}
	for _, arg := range m.of(args) {
		switch arg.kind {
		case isNone, isBool, isInt, isNumber:
		case isText, isOwned:
			if s := m.short(arg); !importable(s) || strings.ContainsAny(s, "._") {
				return false
			}
		default:
			return false
		}
	}
	return true
}
