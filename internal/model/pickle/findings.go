package pickle

import (
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Findings are kept until it is sure that what is read is a pickle.
const (
	maxFindings           = 100 // of one stream and severity, each a different thing
	costReport  scan.Cost = 300
	costShow    scan.Cost = 3_000
)

type finding struct {
	rule       *scan.Rule
	where      scan.Where
	detail     string
	references []string
}

type findings struct {
	found  []finding
	counts [4]int // by severity: many notes do not push a call out
	seen   map[string]bool
	later  []func() // bytes that a carrier loads, to be looked into
}

// report keeps a finding at the present opcode, once for each detail.
func (m *machine) report(rule *scan.Rule, detail string, references ...string) {
	m.reportAs(rule, detail, func() string { return detail }, references...)
}

// reportAs keeps one finding of a rule for each key.
func (m *machine) reportAs(rule *scan.Rule, key string, detail func() string, references ...string) {
	_ = m.place.Spend(costReport) // the next opcodes find out
	key = rule.ID + " " + key
	if m.seen[key] || m.counts[rule.Severity] >= maxFindings {
		return
	}
	m.keep(key, finding{rule: rule, where: scan.Op(m.opAt, opNames[m.op]), detail: detail(), references: references})
}

func (m *machine) keep(key string, f finding) {
	if m.seen == nil {
		m.seen = map[string]bool{}
	}
	m.seen[key] = true
	m.counts[f.rule.Severity]++
	m.found = append(m.found, f)
}

// flush reports what was kept, and looks into what carriers load.
func (m *machine) flush() {
	if !m.joblib.off { // else only calls are wanted
		m.settle()
	}
	for _, f := range m.found {
		m.place.Report(f.rule, f.where, f.detail, f.references...)
	}
	for _, look := range m.later {
		look()
	}
	m.found, m.later = nil, nil
}

// Limits of what is shown of arguments.
const (
	shownText  = 60
	shownItems = 4
	shownDepth = 3
)

// show writes a value for people.
func (m *machine) show(v value, depth int) string {
	if depth == 0 {
		_ = m.place.Spend(costShow)
	}
	switch v.kind {
	case isNone:
		return "None"
	case isBool:
		if v.off != 0 {
			return "True"
		}
		return "False"
	case isInt:
		return strconv.FormatInt(v.off, 10)
	case isNumber:
		return "number"
	case isText, isBytes, isOwned:
		s, _ := m.text(v)
		if len(s) > shownText {
			s = s[:shownText] + "…"
		}
		if v.kind == isBytes {
			return "b" + strconv.Quote(s)
		}
		return strconv.Quote(s)
	case isTuple:
		return "(" + m.showItems(v, depth) + ")"
	case isPersistent:
		return "persistent(" + m.showItems(value{kind: isTuple, n: v.n, off: v.off}, depth) + ")"
	case isGlobal:
		return m.globals[v.off].String()
	case isObject:
		o := m.heap.get(v)
		switch o.shape {
		case aCall, aInstance:
			if depth >= shownDepth {
				return "…"
			}
			callee := "…"
			if o.fn > 0 {
				callee = m.globals[o.fn-1].String()
			}
			return callee + m.show(o.args, depth+1)
		case aList:
			return "[" + m.showItems(v, depth) + "]"
		case aDict, aSet:
			return "{" + m.showItems(v, depth) + "}"
		}
	}
	return "…"
}

func (m *machine) showItems(v value, depth int) string {
	items := m.of(v)
	if depth >= shownDepth && len(items) > 0 {
		return "…"
	}
	var b strings.Builder
	for i, item := range items {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == shownItems {
			b.WriteString("…")
			break
		}
		b.WriteString(m.show(item, depth+1))
	}
	return b.String()
}
