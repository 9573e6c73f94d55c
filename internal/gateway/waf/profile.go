package waf

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/corazawaf/coraza/v3/types/variables"

	"github.com/apexlogic/apex/internal/clock"
)

// Mode says what comes of a request that scores too much.
type Mode uint8

// The modes. The zero value is none of them, so that nobody observes by omission.
const (
	Block   Mode = iota + 1 // it is blocked
	Observe                 // it is let through, and its score reported; what could not be looked at is blocked all the same
)

// Profile says how strict an engine is.
type Profile struct {
	// Paranoia is the level of the rules in force: 1 (few false alarms) to 4.
	Paranoia int
	// BlockingThreshold is the score from which a request is blocked. One
	// critical rule scores 5, and 5 is the set's own default.
	BlockingThreshold int
	Mode              Mode
	// Answers says what comes of an answer that scores AnswerThreshold; the zero
	// value does not look at answers. One rule about a leak scores 4, which is the
	// set's own default.
	Answers         Mode
	AnswerThreshold int
	Exclusions      []Exclusion
	// Clock by which exclusions expire.
	Clock clock.Clock
}

// Exclusion has a rule leave something alone, for a time, for a reason.
type Exclusion struct {
	Rule int
	// Where it does not apply: a variable of the rules with a name
	// ("ARGS:metadata.note", "REQUEST_HEADERS:User-Agent"), in which * stands for
	// anything ("ARGS:messages.*.function.arguments.*"), or a variable as a whole
	// ("REQUEST_COOKIES"); nowhere at all when it is empty.
	Where  string
	Until  time.Time
	Reason string

	variable variables.RuleVariable
	name     string
	names    *regexp.Regexp // of a name with *; nil otherwise
}

// Strict is the profile for structure: level 1 with the set's own thresholds.
func Strict(c clock.Clock) Profile {
	return Profile{Paranoia: 1, BlockingThreshold: 5, Mode: Block, Answers: Block, AnswerThreshold: 4, Clock: c}
}

// mostExclusions keeps a profile something that a person has read.
const mostExclusions = 200

func (p *Profile) validate() error {
	switch {
	case p.Paranoia < 1 || p.Paranoia > 4:
		return fmt.Errorf("paranoia is %d; the rules have the levels 1 to 4", p.Paranoia)
	case p.BlockingThreshold < 1 || p.BlockingThreshold > 1000:
		return fmt.Errorf("the blocking threshold is %d; it must be from 1 to 1000 (5 is one critical rule)", p.BlockingThreshold)
	case p.Mode != Block && p.Mode != Observe:
		return fmt.Errorf("the mode is neither block nor observe")
	case p.Answers > Observe:
		return fmt.Errorf("the mode for answers is neither block nor observe")
	case p.Answers != 0 && (p.AnswerThreshold < 1 || p.AnswerThreshold > 1000):
		return fmt.Errorf("the threshold for answers is %d; it must be from 1 to 1000 (4 is one rule about a leak)", p.AnswerThreshold)
	case p.Clock == nil:
		return fmt.Errorf("a profile needs a clock")
	case len(p.Exclusions) > mostExclusions:
		return fmt.Errorf("there are %d exclusions; at most %d are taken", len(p.Exclusions), mostExclusions)
	}
	p.Exclusions = append([]Exclusion(nil), p.Exclusions...)
	for i := range p.Exclusions {
		if err := p.Exclusions[i].validate(); err != nil {
			return fmt.Errorf("exclusion %d (rule %d): %w", i+1, p.Exclusions[i].Rule, err)
		}
	}
	return nil
}

func (e *Exclusion) validate() error {
	switch {
	case (e.Rule < 911000 || e.Rule >= 949000) && !e.ofAnswers():
		return fmt.Errorf("only rules about attacks, 911000 to 948999, and about answers, 950000 to 958999, can be excluded")
	case e.ofAnswers() && e.Where != "":
		return fmt.Errorf("a rule about answers looks at all of an answer; leave out where")
	case e.Until.IsZero():
		return fmt.Errorf("it never expires; say until when it is needed")
	case strings.TrimSpace(e.Reason) == "":
		return fmt.Errorf("it gives no reason")
	case e.Where == "":
		return nil
	}
	variable, name, _ := strings.Cut(e.Where, ":")
	v, err := variables.Parse(variable)
	if err != nil {
		return fmt.Errorf("there is no variable %q; say where as in ARGS:name or REQUEST_HEADERS:User-Agent", variable)
	}
	e.variable, e.name = v, name
	if strings.Contains(name, "*") {
		e.names, err = regexp.Compile("^(?i:" + strings.ReplaceAll(regexp.QuoteMeta(name), `\*`, ".*") + ")$")
		e.name = ""
	}
	return err
}

// ofAnswers tells whether the rule is one about answers.
func (e *Exclusion) ofAnswers() bool { return e.Rule >= 950000 && e.Rule < 959000 }

// targeter is how Coraza takes a variable from a rule for one transaction.
type targeter interface {
	RemoveRuleTargetByID(id int, variable variables.RuleVariable, key string, keyRx *regexp.Regexp)
}

// apply has the exclusion hold for a transaction.
func (e *Exclusion) apply(tx skipper) {
	if e.Where == "" {
		tx.RemoveRuleByID(e.Rule)
		return
	}
	tx.(targeter).RemoveRuleTargetByID(e.Rule, e.variable, e.name, e.names)
}

// active returns the exclusions that have not expired.
func (p *Profile) active() []Exclusion {
	if len(p.Exclusions) == 0 {
		return nil
	}
	now := p.Clock.Now()
	var active []Exclusion
	for _, e := range p.Exclusions {
		if now.Before(e.Until) {
			active = append(active, e)
		}
	}
	return active
}

// Expired returns the exclusions that no longer hold and should be taken out.
func (w *WAF) Expired() []Exclusion {
	now := w.profile.Clock.Now()
	var expired []Exclusion
	for _, e := range w.profile.Exclusions {
		if !now.Before(e.Until) {
			expired = append(expired, e)
		}
	}
	return expired
}

// directives configures Coraza. It is given no body: the gateway has parsed that,
// strictly and within limits, and hands over the fields. Methods and media types
// are the route's to decide, so the set's own lists are those that any route
// could allow. The engine judges no sum itself: Check does, by the profile.
func (p *Profile) directives() string {
	return fmt.Sprintf(`SecRuleEngine DetectionOnly
SecRequestBodyAccess Off
SecResponseBodyAccess Off
SecAuditEngine Off
SecArgumentsLimit 1000
SecDefaultAction "phase:1,log,noauditlog,pass"
SecDefaultAction "phase:2,log,noauditlog,pass"
SecAction "id:900990,phase:1,pass,t:none,nolog,setvar:tx.crs_setup_version=4250,setvar:tx.blocking_paranoia_level=%d,setvar:tx.inbound_anomaly_score_threshold=%d"
SecAction "id:900200,phase:1,pass,t:none,nolog,setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE'"
SecAction "id:900220,phase:1,pass,t:none,nolog,setvar:'tx.allowed_request_content_type=%s'"
Include @owasp_crs/REQUEST-*.conf
`, p.Paranoia, p.BlockingThreshold, contentTypes)
}

// textDirectives configures Coraza for texts: only the rules about what a value
// says, without those about how a request is put together, and without the set's
// initialisation, which costs more than the rules that a sentence needs.
func (p *Profile) textDirectives() string {
	return fmt.Sprintf(`SecRuleEngine DetectionOnly
SecRequestBodyAccess Off
SecResponseBodyAccess Off
SecAuditEngine Off
SecDefaultAction "phase:1,log,noauditlog,pass"
SecDefaultAction "phase:2,log,noauditlog,pass"
SecAction "id:900990,phase:1,pass,t:none,nolog,setvar:tx.crs_setup_version=4250,setvar:tx.blocking_paranoia_level=%[1]d,setvar:tx.detection_paranoia_level=%[1]d,setvar:tx.critical_anomaly_score=5,setvar:tx.error_anomaly_score=4,setvar:tx.warning_anomaly_score=3,setvar:tx.notice_anomaly_score=2"
Include @owasp_crs/REQUEST-93*.conf
Include @owasp_crs/REQUEST-941-*.conf
Include @owasp_crs/REQUEST-942-*.conf
Include @owasp_crs/REQUEST-943-*.conf
Include @owasp_crs/REQUEST-944-*.conf
`, p.Paranoia)
}

// contentTypes are those that a body parser or an inspector of ours exists for.
const contentTypes = "|application/json| |application/x-www-form-urlencoded| |multipart/form-data| |application/octet-stream| " +
	"|application/cloudevents+json| |application/grpc| |application/grpc+proto| |text/plain| |application/x-ndjson|"
