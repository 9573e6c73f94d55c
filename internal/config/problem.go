package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// maxProblems bounds what is told about one load: nobody reads more, and a
// hostile document could otherwise be answered with a far larger report.
const maxProblems = 200

// Severity of a problem.
type Severity uint8

// The severities.
const (
	// Error: the set cannot be published, or denies where it should decide.
	Error Severity = iota
	// Warning: the set can be published, and probably says something that
	// nobody meant.
	Warning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText writes what String returns.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Position is a place in a document. Line and column count from 1, columns in
// characters; 0 means that the place is the whole file.
type Position struct {
	File string `json:"file"`
	// Document counts the documents of a file from 1.
	Document int `json:"document,omitempty"`
	Line     int `json:"line,omitempty"`
	Column   int `json:"column,omitempty"`
}

// String returns "file:line:column", as editors understand it.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is something wrong with a document, in words for the person who mends it.
type Problem struct {
	Position
	Severity Severity `json:"severity"`
	// Code classifies the problem.
	Code verdict.Code `json:"code"`
	// Object is "Kind/name" when it is known.
	Object string `json:"object,omitempty"`
	// Path of the field, for example "spec.rules[0].name".
	Path string `json:"path,omitempty"`
	// Message says what is wrong and what is allowed.
	Message string `json:"message"`
	// Suggestion is what was probably meant, ready to be written there; "" when nothing is close.
	Suggestion string `json:"suggestion,omitempty"`
}

// String returns the problem on one line.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Position.String())
	b.WriteString(": ")
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		fmt.Fprintf(&b, " (did you mean %s?)", p.Suggestion)
	}
	return b.String()
}

// Invalid is the error of a set that cannot be published.
type Invalid struct {
	Problems []Problem // at least one has the severity Error
}

// Error lists the problems, one per line.
func (e *Invalid) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			strings.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Path, b.Path),
			strings.Compare(a.Message, b.Message),
		)
	})
}

// hasErrors reports whether any of the problems forbids publishing.
func hasErrors(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error })
}

// maxShown bounds how much of a document's text is repeated in a message. It
// keeps messages readable, and keeps what was pasted by mistake out of logs.
const maxShown = 48

// quote returns text for a message, shortened.
func quote(text string) string {
	runes := []rune(text)
	if len(runes) > maxShown {
		return fmt.Sprintf("%q…", string(runes[:maxShown]))
	}
	return fmt.Sprintf("%q", text)
}
