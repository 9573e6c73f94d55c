package vex

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
)

const (
	// Context names the version that is read and written.
	Context = "https://openvex.dev/ns/v0.2.0"
	expires = "expires: "
)

// component is a product or a subcomponent. Identifiers and hashes are maps
// with few keys; what is read of them is named here.
type component struct {
	ID          string `json:"@id,omitempty"`
	Identifiers *struct {
		PURL string `json:"purl,omitempty"`
	} `json:"identifiers,omitempty"`
	Hashes *struct {
		SHA256 string `json:"sha-256,omitempty"`
	} `json:"hashes,omitempty"`
}

func (c *component) names() []string {
	var n names
	n.add(productName(c.ID))
	if c.Identifiers != nil {
		n.add(c.Identifiers.PURL)
	}
	if c.Hashes != nil {
		n.hash("sha-256", c.Hashes.SHA256)
	}
	return n
}

// productName undoes what [Write] does to digests, which are no IRIs.
func productName(id string) string {
	if digest, ok := strings.CutPrefix(id, "urn:sha256:"); ok {
		return "sha256:" + digest
	}
	return id
}

type openProduct struct {
	component
	Subcomponents document.List[component] `json:"subcomponents,omitempty"`
}

type openStatement struct {
	ID            string `json:"@id,omitempty"`
	Vulnerability struct {
		ID      string                `json:"@id,omitempty"`
		Name    string                `json:"name"`
		Aliases document.List[string] `json:"aliases,omitempty"`
	} `json:"vulnerability"`
	Timestamp     string                     `json:"timestamp,omitempty"`
	LastUpdated   string                     `json:"last_updated,omitempty"`
	Products      document.List[openProduct] `json:"products"`
	Status        string                     `json:"status"`
	StatusNotes   string                     `json:"status_notes,omitempty"`
	Justification string                     `json:"justification,omitempty"`
	Impact        string                     `json:"impact_statement,omitempty"`
	Action        string                     `json:"action_statement,omitempty"`
}

// OpenVEX reads an OpenVEX 0.2.0 document. It has passed [document.Check]. A
// statement without products, vulnerability or a known status is an error:
// nobody could say what the document means.
func OpenVEX(data []byte) ([]fact.VEX, error) {
	out, err := readOpenVEX(data)
	if err != nil {
		return nil, fmt.Errorf("read OpenVEX: %w", err)
	}
	return out, nil
}

func readOpenVEX(data []byte) ([]fact.VEX, error) {
	var context, author, timestamp, updated string
	var inherits []int // statements that have no time of their own
	var l list
	w := document.NewWalker(data)
	err := w.Object(func(key string) (err error) {
		switch key {
		case "@context": // said first, so that an old document is not called broken
			return checkContext(w, &context)
		case "author":
			return w.Text(&author)
		case "timestamp":
			return w.Text(&timestamp)
		case "last_updated":
			return w.Text(&updated)
		case "statements":
			_, err = w.Array(func() error {
				var s openStatement
				if err := w.Decode(&s); err != nil {
					return err
				}
				from := len(l.statements)
				if err := s.read(&l); err != nil {
					return err
				}
				for i := from; i < len(l.statements); i++ {
					if l.statements[i].Made.IsZero() {
						inherits = append(inherits, i)
					}
				}
				return nil
			})
			return err
		}
		return w.Skip()
	})
	if err != nil {
		return nil, err
	}
	if context == "" {
		return nil, fmt.Errorf("%w: @context is missing, expected %q", ErrVersion, Context)
	}
	for i := range l.statements {
		l.statements[i].Author = clean(author)
	}
	// The specification's inheritance: a statement has the document's time.
	for _, i := range inherits {
		l.statements[i].Made = first(timestamp, updated)
	}
	return l.statements, nil
}

func checkContext(w *document.Walker, context *string) error {
	if err := w.Text(context); err != nil || *context == Context {
		return err
	}
	return fmt.Errorf("%w: it is %q, expected %q", ErrVersion, document.Clip(*context, 100), Context)
}

// read adds the statement, once for each list of subcomponents.
func (s *openStatement) read(l *list) error {
	status, err := statusOf(s.Status)
	if err != nil {
		return err
	}
	v := fact.VEX{
		Vulnerability: clean(s.Vulnerability.Name), Status: status, Format: FormatOpenVEX,
		Justification: clean(s.Justification), Impact: clean(s.Impact), Action: clean(s.Action), Made: first(s.LastUpdated, s.Timestamp),
	}
	if v.Vulnerability == "" {
		v.Vulnerability = clean(s.Vulnerability.ID)
	}
	switch {
	case v.Vulnerability == "":
		return fmt.Errorf("%w: it names no vulnerability", ErrStatement)
	case len(s.Products) == 0:
		return fmt.Errorf("%w: it names no product of %s", ErrStatement, v.Vulnerability)
	}
	v.Aliases = distinct(s.Vulnerability.Aliases, v.Vulnerability)
	if v.Until, err = expiry(s.StatusNotes); err != nil {
		return err
	}
	at := map[string]int{} // statements by their subcomponents
	for i := range s.Products {
		p := &s.Products[i]
		products := p.names()
		var inside []string
		for j := range p.Subcomponents {
			named := p.Subcomponents[j].names()
			if len(named) == 0 {
				return fmt.Errorf("%w: a subcomponent has neither @id nor identifiers", ErrStatement)
			}
			inside = append(inside, named...)
		}
		if len(products) == 0 {
			return fmt.Errorf("%w: a product has neither @id nor identifiers", ErrStatement)
		}
		inside = distinct(inside, "")
		key := strings.Join(inside, "\x00")
		if n, ok := at[key]; ok {
			l.statements[n].Products = append(l.statements[n].Products, products...)
			continue
		}
		at[key] = len(l.statements)
		one := v
		one.Products, one.Subcomponents = products, inside
		if err := l.add(one); err != nil {
			return err
		}
	}
	return nil
}

// expiry reads the line of the notes that says until when a statement holds. A
// line that cannot be read is an error: the statement would hold for ever, or
// never, and nobody could see why.
func expiry(notes string) (time.Time, error) {
	for line := range strings.Lines(notes) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), expires)
		if !ok {
			continue
		}
		at := document.Time(text)
		if at.IsZero() {
			return time.Time{}, fmt.Errorf("%w: status_notes say %q, expected a time like 2027-01-31T00:00:00Z", ErrStatement, document.Clip(line, 80))
		}
		return at, nil
	}
	return time.Time{}, nil
}

// iri is the @id of a product: OpenVEX wants an IRI, which a digest is not, nor
// a name with spaces in it.
func iri(name string) string {
	if digest, ok := strings.CutPrefix(name, "sha256:"); ok {
		return "urn:sha256:" + digest
	}
	return name
}

func writtenComponent(name string) component {
	c := component{ID: iri(name)}
	switch {
	case strings.HasPrefix(name, "pkg:"):
		c.Identifiers = &struct {
			PURL string `json:"purl,omitempty"`
		}{name}
	case strings.HasPrefix(name, "sha256:"):
		c.Hashes = &struct {
			SHA256 string `json:"sha-256,omitempty"`
		}{strings.TrimPrefix(name, "sha256:")}
	}
	return c
}

// checkWritten refuses what the specification does.
func checkWritten(v *fact.VEX) error {
	if _, err := statusOf(string(v.Status)); err != nil {
		return err
	}
	for _, name := range slices.Concat(v.Products, v.Subcomponents) {
		if u, err := url.Parse(iri(name)); err != nil || u.Scheme == "" {
			return fmt.Errorf("%w: %.100q is no package URL, digest or other IRI", ErrStatement, name)
		}
	}
	switch {
	case v.Vulnerability == "":
		return fmt.Errorf("%w: it names no vulnerability", ErrStatement)
	case len(v.Products) == 0:
		return fmt.Errorf("%w: it names no product", ErrStatement)
	case v.Status == fact.NotAffected && v.Justification == "" && v.Impact == "":
		return fmt.Errorf("%w: not_affected needs a justification or an impact statement", ErrStatement)
	case v.Status == fact.Affected && v.Action == "":
		return fmt.Errorf("%w: affected needs an action statement", ErrStatement)
	case v.Justification != "" && v.Status == fact.NotAffected && !justifies(v.Justification):
		return fmt.Errorf("%w: %q is none of OpenVEX's justifications: say it as the impact", ErrStatement, v.Justification)
	}
	return nil
}

// justifies reports whether OpenVEX has the word.
func justifies(word string) bool {
	switch word {
	case "component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
		"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist":
		return true
	}
	return false
}

// MarshalJSON leaves out nothing: the embedded component would hide the rest.
func (p openProduct) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID            string      `json:"@id,omitempty"`
		Identifiers   any         `json:"identifiers,omitempty"`
		Hashes        any         `json:"hashes,omitempty"`
		Subcomponents []component `json:"subcomponents,omitempty"`
	}{p.ID, orNil(p.Identifiers), orNil(p.Hashes), p.Subcomponents})
}

func orNil[T any](p *T) any {
	if p == nil {
		return nil
	}
	return p
}
