package admission

import (
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// message collects why something is denied, for a person at a terminal.
type message struct {
	lines []string
	ids   string // of the first record
}

// maxLine bounds one reason, so that one long name does not hide the others.
const maxLine = 480

func (m *message) line(text string) { m.lines = append(m.lines, text) }

func (m *message) id(id string) {
	if m.ids == "" {
		m.ids = id
	}
}

// verdict adds each check of a denied verdict that failed or could not be made.
func (m *message) verdict(v *verdict.Verdict, asked string) {
	place := placeOf(&v.Where, asked)
	said := false
	for i := range v.Checks {
		c := &v.Checks[i]
		if !bites(c) || c.Action != verdict.ActionDeny {
			continue
		}
		said = true
		m.line(place + ": " + c.Rule + ": " + saying(c) + " [" + string(c.Code) + "]; to mend it: " + c.Advice())
	}
	if !said {
		m.line(place + ": " + v.Reason + " [" + string(v.Code) + "]; to mend it: " + v.Code.Info().Mend)
	}
}

// bites says whether a check counts against its subject.
func bites(c *verdict.Check) bool {
	return c.Outcome != verdict.Pass && c.Exception == "" && !c.Observed
}

func saying(c *verdict.Check) string {
	if c.Detail != "" {
		return c.Detail
	}
	return c.Code.Info().Meaning
}

// text puts the lines below a heading, as many as fit.
func (m *message) text(heading string) string {
	end := ""
	if m.ids != "" {
		end = "\nrecord " + m.ids + " (apex why " + m.ids + ")"
	}
	const more = len("\n  and 1000000 more")
	room := maxMessage - len(heading) - len(end) - more
	var b strings.Builder
	b.WriteString(heading)
	for i, line := range m.lines {
		line = "\n  " + clip(line, maxLine)
		if room -= len(line); room < 0 && i > 0 {
			b.WriteString("\n  and " + strconv.Itoa(len(m.lines)-i) + " more")
			break
		}
		b.WriteString(line)
	}
	b.WriteString(end)
	return b.String()
}

// placeOf names a reference for a person: the container and what it names.
func placeOf(where *verdict.Origin, text string) string {
	text = clip(reference.Redact(text), 200)
	switch {
	case where.Container != "" && text != "":
		return "container " + clip(where.Container, 63) + ", " + text
	case text != "":
		return text
	case where.Container != "":
		return "container " + clip(where.Container, 63)
	case where.Pointer != "":
		return clip(strings.TrimPrefix(where.Pointer, "/request/object"), 200)
	}
	return "the object"
}

// warn tells what an allowed verdict has to say: checks that would deny under
// another action, and exceptions that were needed.
func warn(a *answer, v *verdict.Verdict, asked string) {
	for i := range v.Checks {
		c := &v.Checks[i]
		switch {
		case c.Outcome == verdict.Pass:
		case c.Exception != "":
			a.warn("exception " + c.Exception + " lets " + placeOf(&v.Where, asked) + " pass " + c.Rule + " [" + string(c.Code) + "]")
		case bites(c) && c.Action == verdict.ActionWarn:
			a.warn(placeOf(&v.Where, asked) + ": " + c.Rule + ": " + saying(c) + " [" + string(c.Code) + "]")
		}
	}
}
