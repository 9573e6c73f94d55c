package dast

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// probe is a hostile value for one slot, and what gives a weakness away.
type probe struct {
	rule rule
	// strings: only values that are text by the description.
	strings bool
	// value makes the hostile one; token is told apart from everything else.
	value func(s *scanner, token string) any
	// found looks at the answer and says what is wrong, "" when nothing is.
	found func(s *scanner, a *answer, token string) string
}

// factors and product prove that something was computed: the product is in no
// request.
const (
	factors = "7919*6037"
	product = "47807003"
	// longText is ten times what a field is for, and within a request's header.
	longText = 100_000
)

func was(what string, marks ...string) func(*scanner, *answer, string) string {
	return func(_ *scanner, a *answer, _ string) string {
		for _, m := range marks {
			if strings.Contains(a.body, m) {
				return what
			}
		}
		return ""
	}
}

func called(what string) func(*scanner, *answer, string) string {
	return func(s *scanner, _ *answer, token string) string {
		if s.canary.called(token) {
			return what
		}
		return ""
	}
}

func fixed(v any) func(*scanner, string) any { return func(*scanner, string) any { return v } }

// nothing is for probes that only disturb: disturbed looks at every answer.
func nothing(*scanner, *answer, string) string { return "" }

var (
	ruleError     = rule{"dast/server-error", "The service fails on input that it should refuse", sarif.ServerError, fact.SeverityMedium, 703}
	ruleTrace     = rule{"dast/stack-trace", "An answer shows the inside of the service", sarif.Disclosure, fact.SeverityMedium, 209}
	ruleTraversal = rule{"dast/path-traversal", "A path leaves its folder", sarif.PathTraversal, fact.SeverityHigh, 22}
	ruleSQL       = rule{"dast/sql-injection", "A value becomes part of an SQL statement", sarif.SQLInjection, fact.SeverityCritical, 89}
	ruleNoSQL     = rule{"dast/nosql-injection", "A value becomes part of a database query", sarif.NoSQLInjection, fact.SeverityHigh, 943}
	ruleTemplate  = rule{"dast/template-injection", "A value is run as a template", sarif.TemplateInjection, fact.SeverityCritical, 1336}
	ruleCommand   = rule{"dast/command-injection", "A value is run as a command", sarif.CommandInjection, fact.SeverityCritical, 78}
	ruleScripting = rule{"dast/cross-site-scripting", "A value comes back as markup", sarif.CrossSiteScripting, fact.SeverityHigh, 79}
	ruleHeader    = rule{"dast/header-injection", "A value becomes a header of the answer", sarif.HeaderInjection, fact.SeverityHigh, 113}
	ruleRedirect  = rule{"dast/open-redirect", "A value chooses the site that a visitor is sent to", sarif.OpenRedirect, fact.SeverityMedium, 601}
	ruleForgery   = rule{"dast/request-forgery", "The service requests a URL that it was given", sarif.RequestForgery, fact.SeverityHigh, 918}
	ruleEntities  = rule{"dast/external-entities", "The service loads entities of XML from elsewhere", sarif.ExternalEntities, fact.SeverityHigh, 611}
	ruleAuth      = rule{"dast/missing-authentication", "An operation that asks for credentials answers without", sarif.MissingAuth, fact.SeverityCritical, 306}
	ruleOrigin    = rule{"dast/cross-origin", "Any site may read answers with a visitor's credentials", sarif.CrossOrigin, fact.SeverityHigh, 942}
	ruleHeaders   = rule{"dast/security-headers", "Headers that protect a browser are missing", sarif.SecurityHeaders, fact.SeverityLow, 693}
	ruleVerb      = rule{"dast/verb-tampering", "A method that is not described is accepted", sarif.VerbTampering, fact.SeverityMedium, 650}
	ruleUnbounded = rule{"dast/unbounded-body", "A body of any size is accepted", sarif.ResourceExhaustion, fact.SeverityMedium, 770}
	ruleSlow      = rule{"dast/slow-request", "A request that is never finished is held open", sarif.ResourceExhaustion, fact.SeverityLow, 400}
	sqlMarks      = []string{"SQL syntax", "SQLSTATE", "sqlite3.", "SQLITE_ERROR", "SQL logic error", "unrecognized token", "Unclosed quotation mark", "pq: syntax error", "syntax error at or near", "ORA-0", "unterminated quoted string", "mysql_fetch"}
	noSQLMarks    = []string{"MongoError", "MongoServerError", "CastError", "BSONError", "unknown operator: $", "unknown top level operator"}
	traceMarks    = []string{"goroutine 1 [", "goroutine ", "Traceback (most recent call last)", "\tat java.", "\n    at ", "Exception in thread", "System.NullReferenceException", "panic: runtime error", "runtime/debug.Stack", "Werkzeug Debugger", "<b>Fatal error</b>"}
	passwdMarks   = []string{"root:x:0:0:", "root:*:0:0:", "root:!:0:0:", "[boot loader]", "; for 16-bit app support"}
	computedProof = []string{product}
)

// probes is the table. A new one is one line.
func probes() []probe {
	return []probe{
		{ruleError, false, fixed("not-of-this-type"), nothing},
		{ruleError, false, fixed(map[string]any{"a": []any{nil}}), nothing},
		{ruleError, false, fixed([]any{1, "a", nil}), nothing},
		{ruleError, false, fixed(nil), nothing},
		{ruleError, false, fixed(-1), nothing},
		{ruleError, false, fixed("99999999999999999999999999"), nothing},
		{ruleError, false, fixed(1e308), nothing},
		{ruleError, true, fixed(strings.Repeat("A", longText)), nothing},
		{ruleError, true, fixed("%00%ff\x00\u202e\ufffe"), nothing},
		{ruleTraversal, true, fixed(strings.Repeat("../", 10) + "etc/passwd"), was("the password file of the machine comes back", passwdMarks...)},
		{ruleTraversal, true, fixed(strings.Repeat("..%2f", 10) + "etc/passwd"), was("the password file of the machine comes back", passwdMarks...)},
		{ruleTraversal, true, fixed("/etc/passwd"), was("the password file of the machine comes back", passwdMarks...)},
		{ruleTraversal, true, fixed(strings.Repeat(`..\`, 10) + `windows\win.ini`), was("a file of the system comes back", passwdMarks...)},
		{ruleSQL, true, func(_ *scanner, t string) any { return t + `'"` }, was("the database complains about a quote", sqlMarks...)},
		{ruleNoSQL, true, fixed(map[string]any{"$apex": 1}), was("the database complains about an operator", noSQLMarks...)},
		{ruleTemplate, true, fixed("{{" + factors + "}}"), was("a template was computed", computedProof...)},
		{ruleTemplate, true, fixed("${" + factors + "}"), was("a template was computed", computedProof...)},
		{ruleTemplate, true, fixed("<%= " + factors + " %>"), was("a template was computed", computedProof...)},
		{ruleTemplate, true, fixed(`{{printf "%d%d" 4780 7003}}`), was("a template was computed", computedProof...)},
		{ruleCommand, true, fixed("x;expr 7919 \\* 6037"), was("a command was run", computedProof...)},
		{ruleCommand, true, fixed("x|expr 7919 \\* 6037"), was("a command was run", computedProof...)},
		{ruleCommand, true, fixed("$(expr 7919 \\* 6037)"), was("a command was run", computedProof...)},
		{ruleCommand, true, fixed("x'; expr 7919 \\* 6037; '"), was("a command was run", computedProof...)},
		{ruleCommand, true, func(s *scanner, t string) any { return "x;curl -s " + s.canary.url(t) + ";" }, called("a command was run that called us")},
		{ruleScripting, true, func(_ *scanner, t string) any { return "<i id='" + t + "'>\"" }, reflected},
		{ruleHeader, true, func(_ *scanner, t string) any { return "x\r\nX-Apex-Canary: " + t }, injected},
		{ruleRedirect, true, func(_ *scanner, t string) any { return "https://" + t + ".example/" }, redirected},
		{ruleRedirect, true, func(_ *scanner, t string) any { return "//" + t + ".example/" }, redirected},
		{ruleForgery, true, func(s *scanner, t string) any { return s.canary.url(t) }, called("the service called the URL that it was given")},
	}
}

// reflected says whether the markup comes back as it was sent, in a page.
func reflected(_ *scanner, a *answer, token string) string {
	kind := strings.ToLower(a.header.Get("Content-Type"))
	page := kind == "" || strings.HasPrefix(kind, "text/html") || strings.HasPrefix(kind, "application/xhtml") || strings.HasPrefix(kind, "image/svg")
	if page && strings.Contains(a.body, "<i id='"+token+"'>") {
		return "markup comes back as it was sent"
	}
	return ""
}

func injected(_ *scanner, a *answer, token string) string {
	if a.header.Get("X-Apex-Canary") == token {
		return "a line end in the value begins a header"
	}
	return ""
}

func redirected(_ *scanner, a *answer, token string) string {
	to, err := url.Parse(a.header.Get("Location"))
	if err == nil && a.status >= 300 && a.status < 400 && strings.EqualFold(to.Hostname(), token+".example") {
		return "the visitor is sent to a site of the sender's choice"
	}
	return ""
}

// slot sends all probes for one slot.
func (s *scanner) slot(ctx context.Context, op *operation, sl *slot, valid *answer) error {
	for _, p := range probes() {
		if p.strings && sl.kind != "string" {
			continue
		}
		token := s.token()
		value := p.value(s, token)
		if sl.in != "body" {
			value = text(value)
			if sl.in == "path" && value == "" {
				continue // another path
			}
		}
		a, err := s.send(ctx, op, change{slot: sl, value: value})
		if err != nil {
			return err
		}
		s.disturbed(op, sl.String(), a, valid)
		// What the valid request shows too, the probe has not caused.
		if what := p.found(s, a, token); what != "" && p.found(s, valid, token) == "" || what != "" && s.canary.called(token) {
			s.add(p.rule, op, sl.String(), what, a.req, a.sent)
		}
	}
	if sl.kind != "string" {
		return nil
	}
	if err := s.blindSQL(ctx, op, sl); err != nil {
		return err
	}
	return s.operator(ctx, op, sl)
}

// disturbed looks at what no answer should show. A service that fails on valid
// input is said so once, and not again for each probe.
func (s *scanner) disturbed(op *operation, where string, a, valid *answer) {
	if valid == nil || !valid.cut && valid.status < 500 {
		switch {
		case a.cut:
			s.add(ruleError, op, where, "the connection ended without an answer that can be read", a.req, a.sent)
		case a.status >= 500 && a.status != http.StatusNotImplemented && a.status != http.StatusServiceUnavailable:
			s.add(ruleError, op, where, fmt.Sprintf("the service answers %d", a.status), a.req, a.sent)
		}
	}
	for _, m := range traceMarks {
		// "goroutine " alone is a word: with a number after it is a trace.
		if i := strings.Index(a.body, m); i >= 0 && (m != "goroutine " || traceAt(a.body[i+len(m):])) && !strings.Contains(a.sent, m) {
			s.add(ruleTrace, op, where, "the answer holds a stack trace", a.req, a.sent)
			return
		}
	}
}

// traceAt says whether rest begins like "17 [running]".
func traceAt(rest string) bool {
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	return digits > 0 && strings.HasPrefix(rest[digits:], " [")
}

// blindSQL compares what is true with what is false: an answer that is more
// than for a value that does not exist, and only when a condition within the
// value is true, means that the condition was judged.
func (s *scanner) blindSQL(ctx context.Context, op *operation, sl *slot) error {
	token := s.token()
	var got [4]string
	var last *answer
	for i, tail := range []string{"", "' OR '1'='1", "' AND '1'='2", "' OR '1'='1"} {
		a, err := s.send(ctx, op, change{slot: sl, value: token + tail})
		if err != nil {
			return err
		}
		got[i] = fmt.Sprint(a.status, " ", without(a.body, token+tail))
		if i == 1 && !a.ok() {
			return nil
		}
		last = a
	}
	// The last shows that the answers do not differ by chance.
	if got[0] == got[2] && got[1] == got[3] && got[0] != got[1] {
		s.add(ruleSQL, op, sl.String(), "a condition within the value is judged", last.req, last.sent)
	}
	return nil
}

// operator sends an operator of document databases where text belongs. One that
// is true of everything and finds what the value alone does not was run.
func (s *scanner) operator(ctx context.Context, op *operation, sl *slot) error {
	if sl.in != "body" || op.form {
		return nil
	}
	token := s.token()
	var status [3]int
	var last *answer
	for i, v := range []any{token, map[string]any{"$ne": token}, map[string]any{"$eq": token}} {
		a, err := s.send(ctx, op, change{slot: sl, value: v})
		if err != nil {
			return err
		}
		status[i] = a.status
		if i == 1 {
			last = a
		}
	}
	if status[1] >= 200 && status[1] < 300 && status[0] >= 400 && status[2] == status[0] {
		s.add(ruleNoSQL, op, sl.String(), "an operator of the database is obeyed", last.req, last.sent)
	}
	return nil
}

// without takes what was sent out of an answer, however it was escaped.
func without(body, sent string) string {
	for _, form := range []string{sent, html.EscapeString(sent), url.QueryEscape(sent), url.PathEscape(sent), fmt.Sprintf("%q", sent), strings.ReplaceAll(sent, "'", `\u0027`)} {
		body = strings.ReplaceAll(body, form, "")
	}
	return body
}
