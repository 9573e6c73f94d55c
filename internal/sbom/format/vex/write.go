package vex

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/apexlogic/apex/internal/fact"
)

// Write writes the statements as one OpenVEX 0.2.0 document by the author, made
// at that time. The same statements give the same bytes: the document's @id is
// made from all the rest. Statements that the specification does not allow are
// refused: not_affected without a reason, affected without an action.
//
// Who signed a statement is not written: the document is signed as a whole.
func Write(w io.Writer, statements []fact.VEX, author string, made time.Time) error {
	type written struct {
		Context    string          `json:"@context"`
		ID         string          `json:"@id"`
		Author     string          `json:"author"`
		Timestamp  string          `json:"timestamp"`
		Version    int             `json:"version"`
		Statements []openStatement `json:"statements"`
	}
	if author == "" || made.IsZero() || len(statements) == 0 {
		return fmt.Errorf("write OpenVEX: %w: a document needs an author, a time and statements", ErrStatement)
	}
	d := written{Context: Context, Author: author, Timestamp: made.UTC().Format(time.RFC3339Nano), Version: 1}
	for i := range statements {
		v := &statements[i]
		if err := checkWritten(v); err != nil {
			return fmt.Errorf("write OpenVEX: statement %d (%.100s): %w", i+1, v.Vulnerability, err)
		}
		s := openStatement{Status: string(v.Status), Justification: v.Justification, Impact: v.Impact, Action: v.Action}
		s.Vulnerability.Name, s.Vulnerability.Aliases = v.Vulnerability, v.Aliases
		if !v.Made.IsZero() {
			s.Timestamp = v.Made.UTC().Format(time.RFC3339Nano)
		}
		if !v.Until.IsZero() {
			s.StatusNotes = expires + v.Until.UTC().Format(time.RFC3339Nano)
		}
		for _, name := range v.Products {
			p := openProduct{component: writtenComponent(name)}
			for _, sub := range v.Subcomponents {
				p.Subcomponents = append(p.Subcomponents, writtenComponent(sub))
			}
			s.Products = append(s.Products, p)
		}
		d.Statements = append(d.Statements, s)
	}
	encode := func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(d)
	}
	var unnamed bytes.Buffer
	if err := encode(&unnamed); err != nil {
		return fmt.Errorf("write OpenVEX: %w", err)
	}
	d.ID = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, unnamed.Bytes()).String()
	return encode(w)
}
