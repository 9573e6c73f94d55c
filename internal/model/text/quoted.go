package text

import (
	"bytes"
	"encoding/json"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/text/jinja"
)

var ruleTemplateQuoted = &scan.Rule{ID: "jinja.quoted", Severity: scan.Note,
	Why:  "Code that is quoted, or a record of data, names an attribute of Python's own; no loader renders it.",
	Mend: "Do not use this text as a template."}

// onlyMentions says whether what was found is no more than names that by
// themselves reach nothing. Prose and records can be handed to an engine by
// another name, so text that goes on to run something is judged as ever.
func onlyMentions(problems []jinja.Problem) bool {
	const most = 32 // there may be more than are listed
	for _, problem := range problems {
		switch problem.Kind {
		case jinja.Underscore, jinja.Assembled:
		default:
			return false
		}
		switch problem.Detail {
		case "__class__", "__mro__", "__base__", "__bases__", "__name__", "__doc__", "__module__", "__version__":
		default:
			return false
		}
	}
	return len(problems) > 0 && len(problems) < most
}

// isMarkdown says whether text is prose with front matter or a heading, and
// does not begin like a template.
func isMarkdown(b []byte) bool {
	b = bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\ufeff")), " \t\r\n")
	if bytes.HasPrefix(b, []byte("{")) {
		return false
	}
	if bytes.HasPrefix(b, []byte("---\n")) || bytes.HasPrefix(b, []byte("# ")) {
		return true
	}
	return bytes.Contains(withoutCode(b), []byte("\n# ")) || bytes.Contains(withoutCode(b), []byte("\n## "))
}

// withoutCode returns Markdown without its fenced blocks that are closed and
// without code between backticks on one line.
func withoutCode(b []byte) []byte {
	var out, block []byte
	var fence []byte
	for line := range bytes.Lines(b) {
		mark := fenceMark(line)
		switch {
		case fence == nil && mark != nil:
			fence, block = mark, append(block[:0], line...)
		case fence == nil:
			out = inlineCode(out, line)
		case mark != nil && mark[0] == fence[0] && len(mark) >= len(fence) && len(bytes.TrimSpace(line)) == len(mark):
			fence = nil
			out = append(out, '\n')
		default:
			block = append(block, line...)
		}
	}
	if fence != nil {
		out = append(out, block...)
	}
	return out
}

// fenceMark returns the backticks or tildes that a line begins with, three at least.
func fenceMark(line []byte) []byte {
	s := bytes.TrimLeft(line, " ")
	if len(line)-len(s) > 3 || len(s) < 3 || s[0] != '`' && s[0] != '~' {
		return nil
	}
	n := len(s) - len(bytes.TrimLeft(s, string(s[:1])))
	if n < 3 || s[0] == '`' && bytes.IndexByte(s[n:], '`') >= 0 {
		return nil
	}
	return s[:n]
}

// inlineCode appends a line without what stands between equal runs of backticks.
func inlineCode(out, line []byte) []byte {
	for {
		i := bytes.IndexByte(line, '`')
		if i < 0 {
			return append(out, line...)
		}
		out = append(out, line[:i]...)
		rest := bytes.TrimLeft(line[i:], "`")
		run := line[i : len(line)-len(rest)]
		end := bytes.Index(rest, run)
		if end < 0 || end+len(run) < len(rest) && rest[end+len(run)] == '`' {
			return append(out, line[i:]...)
		}
		line = rest[end+len(run):]
	}
}

// isRecords says whether a text is JSON objects, one on each line, two at least.
func isRecords(b []byte) bool {
	const longest = 1 << 20
	n := 0
	for line := range bytes.Lines(b) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if len(line) > longest || line[0] != '{' || !json.Valid(line) || bytes.Contains(line, []byte("chat_template")) {
			return false
		}
		if n++; n == 2 {
			return true
		}
	}
	return false
}
