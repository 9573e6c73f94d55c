package pickle

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
)

//go:embed lists/*.txt
var listFiles embed.FS

// use is how something that was imported may be used.
type use uint8

const (
	useNone  use = iota
	useClass     // made without __init__
	useValue     // called too, with any arguments
	useFunc      // called
	useEnum      // called with a constant, or a member by getattr
	useData      // referred to
)

var uses = map[string]use{"class": useClass, "value": useValue, "func": useFunc, "enum": useEnum, "data": useData}

// listed is what the allow-list says of one name.
type listed struct {
	use  use
	rule string // what the arguments must be, see argumentRule
	tier string
}

// denied is what the deny-list says of one name or module.
type denied struct {
	why        string
	references []string
}

// list is everything that the files in lists say.
type list struct {
	version string
	allow   map[string]listed // "module name"
	deny    map[string]*denied
	modules map[string]string // of Python 2, as Python 3 calls them
	names   map[string]string // "module name" of Python 2
	stdlib  map[string]bool
	library library
	trusted map[string]bool // roots of which at least one name is allowed
}

// ListVersion names the lists by which imports are judged: a date and number
// that people compare, and a digest of what they hold.
func ListVersion() string { return theList().version }

var theList = sync.OnceValue(func() *list {
	l, err := readList()
	if err != nil {
		panic("the embedded list is broken: " + err.Error()) // a test reads it
	}
	return l
})

func readList() (*list, error) {
	l := &list{allow: make(map[string]listed, 4096), deny: map[string]*denied{}, modules: map[string]string{},
		names: map[string]string{}, stdlib: map[string]bool{}, trusted: map[string]bool{}}
	digest := sha256.New()
	for _, file := range []struct {
		name string
		read func(*list, string) error
	}{
		{"allow-base.txt", (*list).readAllow}, {"allow-learn.txt", (*list).readAllow}, {"allow-deep.txt", (*list).readAllow},
		{"deny.txt", (*list).readDeny}, {"python2.txt", (*list).readPython2}, {"stdlib.txt", (*list).readStdlib},
		{"library.txt", (*list).readLibrary},
	} {
		content, err := listFiles.ReadFile("lists/" + file.name)
		if err != nil {
			return nil, err
		}
		digest.Write(content)
		if err := file.read(l, string(content)); err != nil {
			return nil, fmt.Errorf("%s: %w", file.name, err)
		}
	}
	if l.version == "" {
		return nil, fmt.Errorf("no version line")
	}
	l.version += "+" + hex.EncodeToString(digest.Sum(nil)[:6])
	return l, nil
}

// lines calls f with each line that says something; one that begins with a
// space has been joined to the one before.
func lines(content string, f func(string) error) error {
	content = strings.ReplaceAll(content, "\n ", " ")
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("%.60q: %w", line, err)
		}
	}
	return nil
}

func (l *list) readAllow(content string) error {
	tier := ""
	return lines(content, func(line string) error {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "version":
			l.version = words[1]
			return nil
		case len(words) == 2 && words[0] == "tier":
			tier = words[1]
			return nil
		case len(words) < 3:
			return fmt.Errorf("want a kind, modules and names")
		}
		kind, rule, _ := strings.Cut(words[0], ":")
		how := uses[kind]
		if how == useNone {
			return fmt.Errorf("no kind is called %q", kind)
		}
		if rule != "" && argumentRule(rule) == nil {
			return fmt.Errorf("no argument rule is called %q", rule)
		}
		for module := range strings.SplitSeq(words[1], "|") {
			root, _, _ := strings.Cut(module, ".")
			l.trusted[root] = true
			for _, name := range words[2:] {
				key := module + " " + name
				now := listed{use: how, rule: rule, tier: tier}
				if was, twice := l.allow[key]; twice {
					if max(was.use, how) > useValue {
						return fmt.Errorf("%s is listed twice", key)
					}
					now.use = max(was.use, how) // a class that is also called
				}
				l.allow[key] = now
			}
		}
		return nil
	})
}

func (l *list) readDeny(content string) error {
	return lines(content, func(line string) error {
		what, why, found := strings.Cut(line, " : ")
		if !found {
			return fmt.Errorf("want modules, a colon and why")
		}
		d := &denied{why: why}
		if before, refs, found := strings.Cut(why, " ["); found {
			d.why, d.references = before, strings.Fields(strings.TrimSuffix(refs, "]"))
		}
		for name := range strings.SplitSeq(what, ",") {
			l.deny[strings.TrimSpace(name)] = d
		}
		return nil
	})
}

func (l *list) readPython2(content string) error {
	return lines(content, func(line string) error {
		switch w := strings.Fields(line); len(w) {
		case 2:
			l.modules[w[0]] = w[1]
		case 4:
			l.names[w[0]+" "+w[1]] = w[2] + " " + w[3]
		default:
			return fmt.Errorf("want two or four words")
		}
		return nil
	})
}

func (l *list) readStdlib(content string) error {
	return lines(content, func(line string) error {
		for _, name := range strings.Fields(line) {
			l.stdlib[name] = true
		}
		return nil
	})
}

// python3 returns what Python 3 calls a name.
func (l *list) python3(module, name string) (string, string) {
	if to, found := l.names[module+" "+name]; found {
		module, name, _ = strings.Cut(to, " ")
		return module, name
	}
	if to, found := l.modules[module]; found {
		return to, name
	}
	return module, name
}

// denies returns what the deny-list says of a name: of it, or of its module or
// one above.
func (l *list) denies(module, name string) *denied {
	for dotted := name; ; { // module:A.b, then module:A
		if d := l.deny[module+":"+dotted]; d != nil {
			return d
		}
		i := strings.LastIndexByte(dotted, '.')
		if i < 0 {
			break
		}
		dotted = dotted[:i]
	}
	for {
		if d := l.deny[module]; d != nil {
			return d
		}
		i := strings.LastIndexByte(module, '.')
		if i < 0 {
			return nil
		}
		module = module[:i]
	}
}
