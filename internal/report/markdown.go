package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// maxDetails bounds the sections below the table: hosts refuse comments that
// are longer than 64 KiB.
const maxDetails = 40

// Markdown writes the report in GitHub Flavored Markdown, for a comment on a
// pull request: a table of all subjects, and what to mend below it. Foreign
// text cannot form links, images, mentions or HTML.
func Markdown(w io.Writer, r *verdict.Report) error {
	b := bufio.NewWriter(w)
	d := r.Decision()
	fmt.Fprintf(b, "### %s Apex: %s\n\n%s.\n", markdownMark(d), d, count(r))
	if len(r.Verdicts)+len(r.Unresolved)+len(r.NotJudged) > 0 {
		fmt.Fprint(b, "\n| | Subject | Platform | Decision | Reason |\n|---|---|---|---|---|\n")
	}
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		why := ""
		if v.Decision != verdict.Allow {
			why = prose(verdictReason(v))
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", markdownMark(v.Decision), codeCell(subject(v)), prose(v.Platform), v.Decision, why)
	}
	for i := range r.Unresolved {
		u := &r.Unresolved[i]
		why := u.Why
		if why == "" {
			why = u.Code.Info().Meaning
		}
		fmt.Fprintf(b, "| %s | %s | | %s | %s |\n", markdownMark(verdict.Deny), codeCell(u.Text), verdict.Deny, prose(why))
	}
	for i := range r.NotJudged {
		fmt.Fprintf(b, "| | %s | | not judged | no kind of policy speaks about it |\n", codeCell(r.NotJudged[i].Text))
	}
	details, left := 0, 0
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		if !worthDetails(v) {
			continue
		}
		if details++; details > maxDetails {
			left++
			continue
		}
		markdownDetails(b, v)
	}
	if left > 0 {
		fmt.Fprintf(b, "\n… and %d more: see the full report.\n", left)
	}
	return b.Flush()
}

func worthDetails(v *verdict.Verdict) bool {
	for i := range v.Checks {
		if open(&v.Checks[i]) {
			return true
		}
	}
	return v.Decision != verdict.Allow
}

func markdownMark(d verdict.Decision) string {
	switch d {
	case verdict.Allow:
		return "✅"
	case verdict.Warn:
		return "⚠️"
	}
	return "❌"
}

func markdownDetails(b *bufio.Writer, v *verdict.Verdict) {
	fmt.Fprintf(b, "\n#### %s %s\n\n", markdownMark(v.Decision), code(subject(v)))
	if where := v.Where.String(); where != "" {
		fmt.Fprintf(b, "%s\n\n", code(where))
	}
	for i := range v.Checks {
		c := &v.Checks[i]
		if !open(c) {
			continue
		}
		mark := markdownMark(bites(c))
		if bites(c) == verdict.Allow {
			mark = "➖"
		}
		fmt.Fprintf(b, "- %s **%s** (%s)%s: %s\n", mark, prose(ruleName(c)), code(string(c.Code)), prose(leniency(c)), prose(reason(c)))
		for _, f := range []struct{ label, text string }{{"where", c.Where.String()}, {"expected", c.Expected}, {"found", c.Found}, {"mend", c.Advice()}} {
			if f.text != "" {
				fmt.Fprintf(b, "  - %s: %s\n", f.label, prose(f.text))
			}
		}
	}
	if !explained(v) {
		fmt.Fprintf(b, "- %s: %s\n", code(string(v.Code)), prose(verdictReason(v)))
		if mend := v.Code.Info().Mend; mend != "" {
			fmt.Fprintf(b, "  - mend: %s\n", prose(mend))
		}
	}
}

// markdownEscapes makes every character that begins markup an ordinary one
// (CommonMark §2.4). Backslashes do not stop a host from linking @names, an
// empty comment does; an escaped colon and dot stop bare links.
var markdownEscapes = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", `*`, `\*`, `_`, `\_`, `[`, `\[`, `]`, `\]`, `|`, `\|`, `~`, `\~`, `!`, `\!`, `#`, `\#`, `$`, `\$`,
	`:`, `\:`, `<`, `&lt;`, `>`, `&gt;`, `&`, `&amp;`, `@`, `@<!-- -->`, `www.`, `www\.`,
)

// prose is foreign text outside of code.
func prose(s string) string { return markdownEscapes.Replace(plain(s)) }

// code is foreign text as a code span, in which nothing but the backtick means
// anything; a backtick cannot be escaped there, so it becomes an apostrophe.
func code(s string) string {
	if s = strings.ReplaceAll(plain(s), "`", "'"); s == "" {
		return ""
	}
	return "`" + s + "`"
}

// codeCell is a code span in a table, where the pipe ends the cell.
func codeCell(s string) string { return strings.ReplaceAll(code(s), "|", `\|`) }
