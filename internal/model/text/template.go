package text

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/text/jinja"
)

// What reading a template costs, measured on chat templates.
const (
	costTemplate scan.Cost = 100 // a byte to parse
	costStep     scan.Cost = 300 // a step to evaluate
)

var templateReferences = []string{"CVE-2024-34359", "CWE-1336"}

var (
	ruleTemplateAttribute = &scan.Rule{ID: "jinja.attribute", Severity: scan.Harmful,
		Why:        "The template asks for an attribute that leads to the Python interpreter: rendering it without a sandbox runs code.",
		Mend:       "Do not load the model; ask its author for the plain chat template.",
		References: templateReferences}
	ruleTemplateCall = &scan.Rule{ID: "jinja.call", Severity: scan.Harmful,
		Why:        "The template calls something that runs programs or code.",
		Mend:       "Do not load the model; ask its author for the plain chat template.",
		References: templateReferences}
	ruleTemplatePath = &scan.Rule{ID: "jinja.path", Severity: scan.Harmful,
		Why:        "The template reads a file outside of its folder.",
		Mend:       "Do not load the model; ask its author for the plain chat template.",
		References: []string{"CWE-22", "CWE-1336"}}
	ruleTemplateInclude = &scan.Rule{ID: "jinja.include", Severity: scan.Doubtful,
		Why:  "The template loads another one, which was not scanned with it.",
		Mend: "Put what it includes into the template.", References: []string{"CWE-1336"}}
	ruleTemplateAssembled = &scan.Rule{ID: "jinja.assembled", Severity: scan.Doubtful,
		Why:        "The template puts together or hands on a name that leads to the Python interpreter.",
		Mend:       "Read the template at this line; no conversation needs that name.",
		References: templateReferences}
	ruleTemplateComputed = &scan.Rule{ID: "jinja.computed", Severity: scan.Doubtful,
		Why:        "The template asks for an attribute whose name is known only while it is rendered.",
		Mend:       "Read the template at this line; write the attribute's name as it is.",
		References: templateReferences}
	ruleTemplateEnvironment = &scan.Rule{ID: "jinja.environment", Severity: scan.Doubtful,
		Why:  "The template looks into objects of the program that renders it.",
		Mend: "Read the template at this line; a conversation needs none of them.", References: templateReferences}
	ruleTemplateExhaustion = &scan.Rule{ID: "jinja.exhaustion", Severity: scan.Doubtful,
		Why:  "Rendering the template takes far more time or memory than a prompt needs.",
		Mend: "Ask its author for the plain chat template.", References: []string{"CWE-400"}}
	ruleTemplateSyntax = &scan.Rule{ID: "jinja.syntax", Severity: scan.Unreadable,
		Why:  "A template that cannot be parsed cannot be judged; an engine with other tags may still obey it.",
		Mend: "Mend the template at this line, or remove it."}
	ruleTemplateSteps = &scan.Rule{ID: "jinja.steps", Severity: scan.Unreadable,
		Why:  "The template takes too many steps to be evaluated to its end.",
		Mend: "Ask its author for the plain chat template."}
)

func templateRules() []*scan.Rule {
	return []*scan.Rule{ruleTemplateAttribute, ruleTemplateCall, ruleTemplatePath, ruleTemplateInclude, ruleTemplateAssembled,
		ruleTemplateComputed, ruleTemplateEnvironment, ruleTemplateExhaustion, ruleTemplateSyntax, ruleTemplateSteps, ruleTemplateQuoted}
}

// Template is a Jinja template by itself: a file, or what another format hands
// on as its chat template.
func Template() scan.Format {
	return scan.Format{Name: "jinja", Rules: templateRules(), Claim: claimTemplate, Scan: scanTemplate}
}

// maxTemplateFile bounds a file in which tags are looked for beyond its head.
const maxTemplateFile = 4 << 20

func claimTemplate(f *scan.File) bool {
	head, err := f.Head()
	if err != nil || looksBinary(head) {
		return false
	}
	if f.Size() <= scan.HeadSize || f.Size() > maxTemplateFile {
		return hasTags(toUTF8(head))
	}
	return true
}

// hasTags says whether text holds the beginning of a tag of Jinja's.
func hasTags(b []byte) bool {
	return bytes.Contains(b, []byte("{{")) || bytes.Contains(b, []byte("{%"))
}

// isHanded says whether another format handed the text on as a template.
func isHanded(p *scan.Place) bool {
	if p.Depth() == 0 {
		return false
	}
	member := p.Member()
	name := member[strings.LastIndexByte(member, '!')+1:]
	return strings.HasPrefix(name, "tokenizer.chat_template") || strings.HasPrefix(name, "chat_template") && !strings.Contains(name, ".j")
}

func scanTemplate(p *scan.Place, f *scan.File) error {
	b, _, err := load(p, f, min(f.Size(), maxTemplateFile), scan.CostRead)
	if err != nil {
		return err
	}
	b = toUTF8(b)
	if !hasTags(b) {
		return scan.ErrOther
	}
	if claimJSON(f) && json.Valid(b) {
		return scan.ErrOther // its strings are looked at one by one
	}
	handed := isHanded(p)
	readAs := aloneText
	switch {
	case handed:
		readAs = obeyed
	case isMarkdown(b) && !hasTags(withoutCode(b)), claimJSON(f) && isRecords(b):
		readAs |= quoted
	}
	took, found, err := checkTemplate(p, "", b, readAs)
	if err == nil && (!took || !found && !handed && isSource(b)) {
		return scan.ErrOther
	}
	return err
}

// readingAs says how sure it is that a loader renders a text.
type readingAs uint8

const (
	anyString readingAs = iota // some string of some document
	aloneText                  // a file by itself
	obeyed                     // it stands where loaders look for a template

	quoted readingAs = 1 << 4 // besides: code in prose, or a record of data
)

// templateProblem names the rule of a kind of problem.
func templateProblem(k jinja.Kind) *scan.Rule {
	switch k {
	case jinja.Underscore:
		return ruleTemplateAttribute
	case jinja.Interpreter:
		return ruleTemplateCall
	case jinja.ForeignPath:
		return ruleTemplatePath
	case jinja.Foreign:
		return ruleTemplateInclude
	case jinja.Assembled:
		return ruleTemplateAssembled
	case jinja.Computed:
		return ruleTemplateComputed
	case jinja.Environment:
		return ruleTemplateEnvironment
	case jinja.Exhaustion:
		return ruleTemplateExhaustion
	}
	return ruleTemplateSteps
}

// checkTemplate reports what a template does, and says whether it is one and
// whether anything was found.
func checkTemplate(p *scan.Place, path string, src []byte, as readingAs) (took, found bool, err error) {
	mentions := as&quoted != 0
	as &^= quoted
	if err := p.Spend(scan.Cost(min(len(src), jinja.MaxSize))*costTemplate + 1000); err != nil {
		return false, false, err
	}
	where := func(line int) scan.Where {
		op := fmt.Sprintf("line %d", line)
		if path != "" {
			op = path + " " + op
		}
		return scan.Path(op)
	}
	t, err := jinja.Parse(src)
	broken := err != nil
	if broken {
		var syntax *jinja.SyntaxError
		errors.As(err, &syntax)
		if as == obeyed {
			p.Report(ruleTemplateSyntax, where(syntax.Line), syntax.Msg)
		}
		if as != obeyed && !(as == aloneText && (syntax.Extension || len(src) > jinja.MaxSize)) {
			return false, false, nil // an engine would refuse it as a whole
		}
		if err := p.Spend(scan.Cost(min(len(src), jinja.MaxSize)) * costTemplate); err != nil {
			return false, false, err
		}
		t = jinja.Fragments(src)
	}
	problems, steps := jinja.Evaluate(t)
	if err := p.Spend(scan.Cost(steps) * costStep); err != nil {
		return false, false, err
	}
	took = as == obeyed || !broken && t.Tags > 0
	if mentions && onlyMentions(problems) {
		for _, problem := range problems {
			p.Report(ruleTemplateQuoted, where(problem.Line), problem.Detail)
		}
		return true, true, nil
	}
	for _, problem := range problems {
		switch {
		case broken && as != obeyed && problem.Kind != jinja.Underscore,
			as == anyString && (problem.Kind == jinja.Foreign || problem.Kind == jinja.Environment || problem.Kind == jinja.Unfinished):
			continue
		}
		p.Report(templateProblem(problem.Kind), where(problem.Line), problem.Detail)
		took, found = true, true
	}
	return took, found, nil
}
