package app

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/ledger"
)

// RecordSchema is the value of [Record.Schema].
const RecordSchema = "apex.ledger.record/v1"

// Record is a record of a ledger as commands and the HTTP API show it.
type Record struct {
	Schema  string    `json:"schema"`
	Ledger  string    `json:"ledger"`
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Time    time.Time `json:"time"`
	Segment uint64    `json:"segment"`
	Index   uint64    `json:"index"`
	Erased  bool      `json:"erased,omitempty"`
	// Data is the record's data where it is JSON, Base64 where it is not.
	Data   json.RawMessage `json:"data,omitempty"`
	Base64 string          `json:"base64,omitempty"`
}

// recordDepth bounds the nesting of a record's data that is shown as JSON.
const recordDepth = 32

// NewRecord shows a record of the named ledger.
func NewRecord(role string, e *ledger.Entry) Record {
	r := Record{
		Schema: RecordSchema, Ledger: role, ID: e.ID.String(), Type: e.Type, Time: e.Time.UTC(),
		Segment: e.Segment, Index: e.Index, Erased: e.Erased,
	}
	switch {
	case e.Erased:
	case bounded.CheckJSON(e.Data, recordDepth) == nil:
		r.Data = e.Data
	default:
		r.Base64 = base64.StdEncoding.EncodeToString(e.Data)
	}
	return r
}

// Summary says in a few words what a record is about, safe to show.
func (r *Record) Summary() string {
	switch {
	case r.Erased:
		return "(erased)"
	case r.Data == nil:
		return fmt.Sprintf("(%d bytes of base64)", len(r.Base64))
	}
	if brief, ok := briefs[r.Type]; ok {
		if text := brief(r.Data); text != "" {
			return Printable(text)
		}
	}
	return fmt.Sprintf("(%d bytes)", len(r.Data))
}

// Print writes the record for people, with its data indented.
func (r *Record) Print(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "id      %s\ntype    %s\ntime    %s\nledger  %s, segment %d, index %d\n",
		r.ID, Printable(r.Type), r.Time.Format(time.RFC3339Nano), Printable(r.Ledger), r.Segment, r.Index)
	switch {
	case r.Erased:
		b.WriteString("its data was erased\n")
	case r.Data != nil:
		var indented bytes.Buffer
		if err := json.Indent(&indented, r.Data, "", "  "); err != nil {
			return err
		}
		for line := range strings.Lines(indented.String()) {
			b.WriteString(Printable(strings.TrimRight(line, "\n")))
			b.WriteByte('\n')
		}
	case r.Base64 != "":
		fmt.Fprintf(&b, "base64  %s\n", r.Base64)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Printable makes foreign text safe for one line of a terminal: control
// characters, which terminal escapes begin with, and characters that reorder
// text are written out.
func Printable(text string) string {
	clean := func(c rune) bool {
		return c == ' ' || unicode.IsGraphic(c) && !unicode.Is(unicode.Zs, c) && c != unicode.ReplacementChar
	}
	if strings.IndexFunc(text, func(c rune) bool { return !clean(c) }) < 0 {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if clean(c) {
			b.WriteRune(c)
		} else {
			fmt.Fprintf(&b, `\u%04x`, c)
		}
	}
	return b.String()
}
