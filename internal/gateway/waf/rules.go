package waf

import (
	"fmt"
	"hash/maphash"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

// group says where in a request a rule looks.
type group uint16

const (
	inArgs group = 1 << iota
	inArgNames
	inCookies
	inCookieNames
	inHeaders
	inHeaderNames
	inLine // the request line and its pieces
	inFiles
	inBody // of an answer
)

// groups of the variables that [input] holds in full. A rule that looks at any
// other variable is always run. The last four are empty here, since Coraza is
// not given a body.
var groups = map[string]group{
	"ARGS": inArgs, "ARGS_GET": inArgs, "ARGS_POST": inArgs,
	"ARGS_NAMES": inArgNames, "ARGS_GET_NAMES": inArgNames, "ARGS_POST_NAMES": inArgNames,
	"REQUEST_COOKIES": inCookies, "REQUEST_COOKIES_NAMES": inCookieNames,
	"REQUEST_HEADERS": inHeaders, "REQUEST_HEADERS_NAMES": inHeaderNames,
	"REQUEST_LINE": inLine, "REQUEST_URI": inLine, "REQUEST_URI_RAW": inLine, "REQUEST_FILENAME": inLine,
	"REQUEST_BASENAME": inLine, "QUERY_STRING": inLine, "REQUEST_METHOD": inLine, "REQUEST_PROTOCOL": inLine,
	"FILES": inFiles, "FILES_NAMES": inFiles,
	"XML": 0, "REQUEST_BODY": 0, "MULTIPART_PART_HEADERS": 0,
}

// does says which traits a text must be without for the transformations of a rule
// not to do something to it, beside changing the case of letters.
type does struct {
	change trait // anything at all
	create trait // bring bytes that were not there, beside those of mayAdd
	shift  trait // more than to take out bytes of squeezedOut, or to make spaces of them
	cuts   bool  // ends may be cut off any text: what is in the rest was in the text
}

// mayAdd are the bytes that transformations add which otherwise only take out.
var mayAdd = bytesOf(" ./")

// trait is something about a text that a transformation would act on.
type trait uint16

const (
	percents   trait = 1 << iota // percent signs, and plus signs, which are spaces in a form
	ampersands                   // what could begin an entity
	backslashes
	zeros
	foreign  // bytes outside of ASCII
	spaced   // white space
	quoted   // what a shell's command line is cleaned of, beside white space and slashes
	comments // what may begin or end a comment
	slashes
)

// actsOn says which traits a text must be without for a transformation to leave
// it as it is, but for the case of letters. A rule with any other transformation
// is always run.
var actsOn = map[string]trait{
	"none": 0, "lowercase": foreign,
	"urldecodeuni": percents, "htmlentitydecode": ampersands, "jsdecode": backslashes, "cssdecode": backslashes, "removenulls": zeros,
	"utf8tounicode": foreign, "removewhitespace": spaced | foreign, "compresswhitespace": spaced | foreign,
	"cmdline": spaced | quoted | slashes, "replacecomments": comments, "removecommentschar": comments,
	"normalizepath": slashes, "normalizepathwin": slashes | backslashes,
}

// traitBytes are the bytes of each trait.
var traitBytes = [...]byteSet{
	bytesOf("%+"), bytesOf("&"), bytesOf("\\"), bytesOf("\x00"), highBytes(), bytesOf(" \t\n\r\v\f"),
	bytesOf("\"'\\^,;("), bytesOf("*#"), bytesOf("/"),
}

// traits returns those of a text with these bytes.
func traits(text string, present *byteSet) (t trait) {
	for i := range traitBytes {
		if present.meets(&traitBytes[i]) {
			t |= 1 << i
		}
	}
	if present.has('-') && strings.Contains(text, "--") {
		t |= comments
	}
	if t&ampersands != 0 && !followed(text, '&', entityStart) {
		t &^= ampersands
	}
	if t&percents != 0 && !present.has('+') && !followed(text, '%', escapeStart) {
		t &^= percents
	}
	return t
}

// entityStart are the bytes that an entity goes on with, escapeStart those that a
// percent sign goes on with when it is not one of ordinary text.
var (
	entityStart = bytesOf("#" + letters + digits)
	escapeStart = bytesOf("u" + digits + "abcdef")
)

const letters = "abcdefghijklmnopqrstuvwxyz"

// followed tells whether one of the bytes b in the text stands before one of a set.
func followed(text string, b byte, by byteSet) bool {
	for {
		at := strings.IndexByte(text, b)
		if at < 0 || at+1 == len(text) {
			return false
		}
		if by.has(lower[text[at+1]]) {
			return true
		}
		text = text[at+1:]
	}
}

func bytesOf(s string) (b byteSet) {
	for i := range len(s) {
		b.add(s[i])
	}
	return b
}

// condition is the first operator of a rule, as far as it can be told without
// running it that it does not match.
type condition struct {
	rule       int // that may be left out when the condition is not fulfilled; 0 when there is none
	groups     group
	find       []uint16 // what the automaton must all have found, see need
	squeezed   bool     // one of the squeezed text must, when that holds no dollar
	never      bool     // no text without a dollar matches
	does       does
	sets       []byteSet
	any        [][][]byteSet // of each, all sets of one branch
	expression *expression   // of @rx; nil otherwise
}

// could tells whether a text, as the operator sees it, could match.
func (c *condition) could(found *conditions, present *byteSet) bool {
	for _, i := range c.find {
		if !found.has(int(i)) {
			return false
		}
	}
	return c.holds(present)
}

// holds tells whether the bytes are there without which nothing matches.
func (c *condition) holds(present *byteSet) bool {
	for i := range c.sets {
		if !c.sets[i].meets(present) {
			return false
		}
	}
	for _, branches := range c.any {
		if !slices.ContainsFunc(branches, func(sets []byteSet) bool { return meetsAll(sets, present) }) {
			return false
		}
	}
	return true
}

func meetsAll(sets []byteSet, present *byteSet) bool {
	for i := range sets {
		if !sets[i].meets(present) {
			return false
		}
	}
	return true
}

// rule is what is read of a SecRule line.
type rule struct {
	id        int
	variables string
	operator  string // with @, and ! before it
	argument  string
	actions   string
	paranoia  int
	chained   bool // it belongs to the rule before
}

// eachRule reads the rules of a configuration file of the Core Rule Set. It knows
// the set's own strict way of writing, and leaves out what is written otherwise.
func eachRule(text string, f func(rule)) {
	chained := false
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "SecRule ")
		if !ok {
			continue
		}
		r := rule{chained: chained}
		r.variables, rest, ok = strings.Cut(strings.TrimSpace(rest), " ")
		if !ok {
			continue
		}
		var operator string
		operator, rest = quotedText(rest)
		r.actions, _ = quotedText(rest)
		r.operator, r.argument, _ = strings.Cut(operator, " ")
		r.argument = strings.TrimSpace(r.argument)
		for action := range strings.SplitSeq(r.actions, ",") {
			action = strings.TrimSpace(action)
			if id, ok := strings.CutPrefix(action, "id:"); ok {
				r.id, _ = strconv.Atoi(strings.Trim(id, "'"))
			}
			if level, ok := strings.CutPrefix(action, "tag:'paranoia-level/"); ok {
				r.paranoia, _ = strconv.Atoi(strings.TrimSuffix(level, "'"))
			}
		}
		chained = hasAction(r.actions, "chain")
		f(r)
	}
}

// hasAction tells whether an action without a value is among actions.
func hasAction(actions, name string) bool {
	for action := range strings.SplitSeq(actions, ",") {
		if strings.TrimSpace(action) == name {
			return true
		}
	}
	return false
}

// quotedText returns what stands between the first two double quotes that are
// not escaped, unescaped, and what follows.
func quotedText(s string) (text, rest string) {
	start := strings.IndexByte(s, '"')
	if start < 0 {
		return "", ""
	}
	s = s[start+1:]
	for i := range len(s) {
		if s[i] == '"' && (i == 0 || s[i-1] != '\\') {
			return strings.ReplaceAll(s[:i], `\"`, `"`), s[i+1:]
		}
	}
	return "", ""
}

// filter knows all conditions, and finds those that a text could fulfil.
type filter struct {
	conditions  []condition
	expressions map[string]*expression // by the argument of @rx
	words       map[string]int         // the condition of an argument of @pm or @pmFromFile
	byGroup     map[group]*conditions
	literals    *automaton
	squeezed    *automaton // see squeeze.go
	seed        maphash.Seed
	values      remembered[groupValue, conditions] // what short values could match
	lists       map[int]*words                     // of rules about answers, by the condition
	unions      []union
	statuses    bool     // a rule is about the status of an answer alone
	texts       sync.Map // plugintypes.TransactionState → *texts, while the transaction is under way
}

// newFilter makes a filter of the rules up to a paranoia level; those of higher
// ones are skipped by the set itself.
func newFilter(files fs.FS, paranoia int) (*filter, error) {
	f := &filter{expressions: map[string]*expression{}, words: map[string]int{}, byGroup: map[group]*conditions{}, seed: maphash.MakeSeed()}
	b, short := newBuilder(), newBuilder()
	names, err := fs.Glob(files, "@owasp_crs/REQUEST-*.conf")
	if err != nil {
		return nil, fmt.Errorf("list the rules: %w", err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read the rules %s: %w", name, err)
		}
		eachRule(string(text), func(r rule) {
			if f.expressions[r.argument] == nil && strings.HasSuffix(r.operator, "@rx") {
				f.expressions[r.argument] = newExpression(r.argument)
			}
			if err == nil && r.paranoia <= paranoia {
				err = f.add(files, b, short, r)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read the rules %s: %w", name, err)
		}
	}
	f.literals, f.squeezed = b.build(), short.build()
	f.unite()
	return f, nil
}

// add takes a rule's operator among the conditions, when enough is known of it.
func (f *filter) add(files fs.FS, b, short *builder, r rule) error {
	var c condition
	skippable := !r.chained && r.id != 0
	var clauses []clause
	var squeezed []string
	never := false
	switch r.operator {
	case "@rx", "!@rx":
		re, err := parse(r.argument)
		if err != nil {
			return fmt.Errorf("rule %d: %w", r.id, err)
		}
		clauses = needs(re)
		squeezed, never = squeezedNeeds(re)
		skippable = skippable && r.operator == "@rx"
	case "@pm":
		if strings.Contains(r.argument, `\`) {
			return nil
		}
		words := strings.Split(strings.ToLower(r.argument), " ")
		clauses, squeezed = []clause{literalClause(words)}, squeezedWords(words)
	case "@pmFromFile":
		words, err := wordsOf(files, r.argument)
		if err != nil {
			return fmt.Errorf("rule %d: %w", r.id, err)
		}
		clauses, squeezed = []clause{literalClause(words)}, squeezedWords(words)
	case "@detectXSS":
		clauses = []clause{{set: markup}}
	default:
		return nil
	}
	if len(clauses) == 0 || len(f.conditions) == firstSpare {
		return nil
	}
	c.groups, c.does = groupsOf(r.variables, &skippable), transformationsOf(r.actions, &skippable)
	number := len(f.conditions)
	c.need(b, clauses, number)
	c.squeezed, c.never = len(squeezed) > 0 && short.add(squeezed, number), never
	f.conditions = append(f.conditions, c)
	switch r.operator {
	case "@pm", "@pmFromFile":
		f.words[r.argument] = number
	case "@rx", "!@rx":
		if e := f.expressions[r.argument]; !arbitraryBytes(r.argument) {
			e.number, f.conditions[number].expression = number, e
		}
	}
	if !skippable {
		return nil
	}
	f.conditions[number].rule = r.id
	for g := inArgs; g <= inFiles; g <<= 1 {
		if c.groups&g != 0 {
			if f.byGroup[g] == nil {
				f.byGroup[g] = new(conditions)
			}
			f.byGroup[g].add(number)
		}
	}
	return nil
}

// markup are the bytes without one of which libinjection finds no script: a tag
// begins with the first, and the value of an attribute with the second.
var markup = bytesOf("<=")

// mostFound is how many clauses of a condition are looked for by their literals.
const mostFound = 3

// need has the condition, which has the number, hold for texts that fulfil all
// the clauses. The best of them are looked for by their literals: the first is
// found as the number of the condition, others as one that no condition has.
func (c *condition) need(b *builder, clauses []clause, number int) {
	var worth []clause
	for i := range clauses {
		if worthFinding(clauses[i].literals) {
			worth = append(worth, clauses[i])
		}
	}
	slices.SortStableFunc(worth, func(x, y clause) int { return y.score() - x.score() })
	for i := range worth[:min(len(worth), mostFound)] {
		as := number
		if i > 0 {
			if b.spare == mostConditions {
				break
			}
			as = b.spare
		}
		if b.add(worth[i].literals, as) {
			c.find = append(c.find, uint16(as))
			if i > 0 {
				b.spare++
			}
		}
	}
	for i := range clauses {
		c.sets = append(c.sets, clauses[i].set)
		if len(clauses[i].branches) > 0 {
			c.any = append(c.any, clauses[i].branches)
		}
	}
}

// worthFinding tells that ordinary text can be without the literals: that none of
// them is a single byte of those that it is made of.
func worthFinding(literals []string) bool {
	return len(literals) > 0 && !slices.ContainsFunc(literals, func(s string) bool {
		return len(s) == 1 && strings.IndexByte(letters+digits+" \t\n\r\v\f.,'-", s[0]) >= 0
	})
}

func groupsOf(variables string, all *bool) (g group) {
	for v := range strings.SplitSeq(variables, "|") {
		if strings.HasPrefix(v, "!") {
			continue // takes away; the rest is what may be looked at
		}
		name, _, _ := strings.Cut(v, ":")
		in, ok := groups[name]
		*all = *all && ok // a count (&X) is unknown here too
		g |= in
	}
	return g
}

func transformationsOf(actions string, all *bool) (d does) {
	for action := range strings.SplitSeq(actions, ",") {
		name, ok := strings.CutPrefix(strings.TrimSpace(action), "t:")
		if !ok {
			continue
		}
		name = strings.ToLower(name)
		on, ok := actsOn[name]
		*all = *all && ok
		switch name {
		case "removewhitespace", "compresswhitespace", "cmdline", "removenulls":
			d.shift |= on & (zeros | foreign)
		case "normalizepath", "normalizepathwin", "replacecomments", "removecommentschar":
			d.shift |= on
			// A path of one segment loses what follows a colon, and dots at its end.
			d.cuts = d.cuts || strings.HasPrefix(name, "normalizepath")
		default:
			// What was taken out before may have brought together what this acts on.
			d.create |= on | d.change
			d.shift |= on | d.change
		}
		d.change |= on
	}
	return d
}

// wordsOf reads the words of a data file of the rules: one a line, # for remarks.
func wordsOf(files fs.FS, name string) ([]string, error) {
	text, err := fs.ReadFile(files, path.Join("@owasp_crs", name))
	if err != nil {
		return nil, err
	}
	var words []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			words = append(words, strings.ToLower(line))
		}
	}
	return words, nil
}

// ruleFiles serves the Core Rule Set with @rx spelled [operatorName], and @pm and
// @pmFromFile [wordsName], so that the stock operators stay as they are for whoever
// else reads rules in this process.
// Expressions over arbitrary bytes stay with the stock operator.
type ruleFiles struct {
	fs.FS
	filter *filter
}

// ReadFile returns a file of the set.
func (f *ruleFiles) ReadFile(name string) ([]byte, error) {
	if i := strings.IndexByte(name, '@'); i > 0 {
		name = name[i:] // Coraza puts a directory before it
	}
	text, err := fs.ReadFile(f.FS, name)
	kind := "/REQUEST-"
	if f.filter != nil && f.filter.lists != nil {
		kind = "/RESPONSE-"
	}
	if err != nil || f.filter == nil || !strings.Contains(name, kind) || !strings.HasSuffix(name, ".conf") {
		return text, err
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if at := strings.Index(line, "@rx "); at > 0 && !strings.HasPrefix(strings.TrimSpace(line), "#") && !arbitraryBytes(line) {
			line = line[:at] + "@" + operatorName + line[at+len("@rx"):]
		}
		for _, name := range [...]string{"@pm ", "@pmFromFile "} {
			if at := strings.Index(line, `"`+name); at > 0 && strings.HasPrefix(line, "SecRule ") {
				line = line[:at] + `"@` + wordsName + line[at+len(name):]
			}
		}
		out.WriteString(line)
	}
	return []byte(out.String()), nil
}

// Open opens a file of the set as it is.
func (f *ruleFiles) Open(name string) (fs.File, error) { return f.FS.Open(name) }

// arbitraryBytes tells whether an expression names bytes that are not text.
func arbitraryBytes(expression string) bool {
	for i := 0; i+2 < len(expression); i++ {
		if expression[i] == '\\' && expression[i+1] == 'x' {
			digits := strings.TrimPrefix(expression[i+2:], "{")
			if digits != "" && strings.IndexByte("89abcdefABCDEF", digits[0]) >= 0 {
				return true
			}
		}
	}
	return false
}

// Version returns the version of the Core Rule Set that is built in, as its rules
// state it: "OWASP_CRS/4.25.0".
func Version() string { return version() }

var version = sync.OnceValue(func() string {
	text, err := fs.ReadFile(coreruleset.FS, "@owasp_crs/REQUEST-901-INITIALIZATION.conf")
	if err != nil {
		return "unknown"
	}
	_, after, _ := strings.Cut(string(text), "ver:'")
	name, _, _ := strings.Cut(after, "'")
	return name
})
