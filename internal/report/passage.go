package report

import (
	"bufio"
	"fmt"
	"io"

	"github.com/apexlogic/apex/verdict"
)

// Passage explains what was decided about something that asked to pass: a
// request, a message, a connection.
type Passage struct {
	Kind, ID string
	Decision verdict.Decision
	lines    []said
}

// said is a label and what stands behind it; a sentence may be broken.
type said struct {
	label, text string
	sentence    bool
}

// Say adds a line that is never broken; one without text is left out.
func (p *Passage) Say(label, text string) { p.lines = append(p.lines, said{label, text, false}) }

// Refused adds why something was refused or cut, and what mends it. Without a
// code it adds nothing; without a detail, what the code means.
func (p *Passage) Refused(code verdict.Code, detail string) {
	if code == "" {
		return
	}
	if detail == "" {
		detail = code.Info().Meaning
	}
	p.lines = append(p.lines, said{"reason", detail, true}, said{"code", string(code), false}, said{"mend", code.Info().Mend, true})
}

// Write writes the explanation for people.
func (p *Passage) Write(w io.Writer, o Options) error {
	out := &printer{bufio.NewWriter(w), o}
	fmt.Fprintf(out, "%s %s %s: %s\n", out.mark(p.Decision), p.Kind, plain(p.ID), out.word(p.Decision))
	for _, s := range p.lines {
		if s.sentence {
			out.field(2, s.label, s.text)
		} else {
			out.verbatim(2, s.label, s.text)
		}
	}
	return out.Flush()
}
