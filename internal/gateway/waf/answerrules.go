package waf

import (
	"fmt"
	"hash/maphash"
	"io/fs"
	"strings"
)

// newAnswerFilter makes a filter of the rules about answers up to a paranoia
// level. Unlike those about requests, they must all be of shapes that are known
// here, since an answer that fulfils no condition is not shown to Coraza at all.
func newAnswerFilter(files fs.FS, paranoia int) (*filter, error) {
	f := &filter{expressions: map[string]*expression{}, words: map[string]int{}, byGroup: map[group]*conditions{inBody: {}}, seed: maphash.MakeSeed(), lists: map[int]*words{}}
	b, short := newBuilder(), newBuilder()
	names, err := fs.Glob(files, "@owasp_crs/RESPONSE-95[0-6]-*.conf")
	if err != nil {
		return nil, fmt.Errorf("list the rules: %w", err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read the rules %s: %w", name, err)
		}
		var head rule
		eachRule(string(text), func(r rule) {
			if !r.chained {
				head = r
			}
			if strings.HasSuffix(r.operator, "@rx") && f.expressions[r.argument] == nil {
				f.expressions[r.argument] = newExpression(r.argument)
			}
			if err == nil && head.paranoia <= paranoia {
				err = f.addAnswer(files, b, short, r, head)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read the rules %s: %w", name, err)
		}
	}
	f.literals, f.squeezed = b.build(), short.build()
	return f, nil
}

// addAnswer takes a rule among the conditions, which looks at the body: by itself,
// or as what its chain, which begins with head, also needs.
func (f *filter) addAnswer(files fs.FS, b, short *builder, r, head rule) error {
	switch {
	case !r.chained && hasAction(r.actions, "nolog"):
		return nil // it says which rules are skipped
	case r.variables == "RESPONSE_STATUS" && hasAction(r.actions, "chain"):
		return nil // the rest of the chain is the condition
	case r.variables == "RESPONSE_STATUS" && r.operator == "@rx" && r.argument == `^5\d{2}$`:
		f.statuses = true
		return nil
	case r.variables != "RESPONSE_BODY", len(f.conditions) == firstSpare, r.chained && strings.Contains(head.actions, "setvar"):
		return fmt.Errorf("rule %d is not of a shape that is known for answers", head.id)
	}
	all := true
	c := condition{rule: head.id, groups: inBody, does: transformationsOf(r.actions, &all)}
	var clauses []clause
	var squeezed []string
	number := len(f.conditions)
	switch r.operator {
	case "@rx":
		re, err := parse(r.argument)
		if err != nil {
			return fmt.Errorf("rule %d: %w", head.id, err)
		}
		clauses = needs(re)
		c.expression = f.expressions[r.argument]
		c.expression.number = number
	case "@pmFromFile":
		list, err := wordsOf(files, r.argument)
		if err != nil {
			return fmt.Errorf("rule %d: %w", head.id, err)
		}
		clauses = []clause{literalClause(list)}
		f.words[r.argument] = number
	case "@contains":
		list := []string{strings.ToLower(r.argument)}
		clauses, squeezed = []clause{literalClause(list)}, squeezedWords(list)
	default:
		return fmt.Errorf("rule %d has the operator %s, which is not known for answers", head.id, r.operator)
	}
	switch {
	case !all, c.does.change != 0 && r.operator != "@contains":
		return fmt.Errorf("rule %d changes what it looks at in a way that is not known for answers", head.id)
	case c.does.change != 0: // to take out spaces, which the squeezed text is without
		c.sets, clauses = []byteSet{clauses[0].set}, nil
		if !short.add(squeezed, number) {
			return fmt.Errorf("rule %d: there are too many literals", head.id)
		}
	}
	c.need(b, clauses, number)
	f.conditions = append(f.conditions, c)
	f.byGroup[inBody].add(number)
	return nil
}

// answerDirectives configures Coraza for answers, whose text it is given as the
// variable that a body becomes: only those rules, and what adds up their scores.
func (p *Profile) answerDirectives() string {
	return fmt.Sprintf(`SecRuleEngine DetectionOnly
SecRequestBodyAccess Off
SecResponseBodyAccess Off
SecAuditEngine Off
SecDefaultAction "phase:3,log,noauditlog,pass"
SecDefaultAction "phase:4,log,noauditlog,pass"
SecAction "id:900990,phase:3,pass,t:none,nolog,setvar:tx.crs_setup_version=4250,setvar:tx.blocking_paranoia_level=%[1]d,setvar:tx.detection_paranoia_level=%[1]d,setvar:tx.critical_anomaly_score=5,setvar:tx.error_anomaly_score=4,setvar:tx.warning_anomaly_score=3,setvar:tx.notice_anomaly_score=2,setvar:tx.outbound_anomaly_score_threshold=%[2]d,setvar:tx.crs_skip_response_analysis=0,setvar:tx.early_blocking=0,setvar:tx.reporting_level=0%[3]s"
Include @owasp_crs/RESPONSE-95*.conf
`, p.Paranoia, p.AnswerThreshold, zeroScores)
}

// zeroScores are the sums that the set's initialisation would begin with.
const zeroScores = ",setvar:tx.outbound_anomaly_score_pl1=0,setvar:tx.outbound_anomaly_score_pl2=0,setvar:tx.outbound_anomaly_score_pl3=0,setvar:tx.outbound_anomaly_score_pl4=0" +
	",setvar:tx.blocking_outbound_anomaly_score=0,setvar:tx.detection_outbound_anomaly_score=0,setvar:tx.sql_injection_score=0"
