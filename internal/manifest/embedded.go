package manifest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

const (
	// maxEmbedded bounds objects in text in objects in text.
	maxEmbedded = 3
	// maxEmbeddedText is above any workflow's embedded object; such text is
	// parsed again for every use of an alias.
	maxEmbeddedText = 256 << 10
)

// text reads objects or settings that a string holds. Text that depends on
// parameters is unresolved as a whole.
func (x *extractor) text(n *node, r role, s scope) error {
	if n.isNull() || strings.TrimSpace(n.text) == "" {
		return nil
	}
	switch {
	case n.typ == typeTagged:
		return x.unresolved(n, "", verdict.ReferenceUnresolved, "the text depends on a value that is not known here: render the manifest first", s)
	case x.embedded >= maxEmbedded:
		return problem(n.line, n.col, "objects in text in objects, more than %d deep: write them out", maxEmbedded)
	case len(n.text) > maxEmbeddedText:
		return problem(n.line, n.col, "text of %d bytes that holds objects, and the limit is %d: split it", len(n.text), maxEmbeddedText)
	}
	if x.room -= len(n.text); x.room < 0 {
		return x.full(n)
	}
	inner := s
	if inner.embedded.Line == 0 {
		inner.embedded = verdict.Origin{Line: int(n.line), Column: int(n.col), Pointer: x.pointer()}
	}
	before, pathBefore := len(x.res.Refs), len(x.path)
	unresolvedBefore := len(x.res.Unresolved)
	x.embedded++
	err := newBuilder(Limits{Bytes: maxEmbeddedText, Documents: 100}).documents([]byte(n.text), func(root *node) error {
		if r == roleManifest && root.isMapping() {
			return x.object(root, inner, "", "")
		}
		return x.visit(root, roleRuntimeEnvField, nil, "", inner)
	})
	x.embedded--
	if err == nil {
		return nil
	}
	if isPlaceholder(n.text) {
		// Braces of templates are not YAML; what they will become is unknown.
		x.res.Refs, x.res.Unresolved, x.path = x.res.Refs[:before], x.res.Unresolved[:unresolvedBefore], x.path[:pathBefore]
		return x.unresolved(n, "", verdict.ReferenceUnresolved, "the text depends on values that are not known here: render the manifest first", s)
	}
	var p *Problem
	if errors.As(err, &p) {
		return problem(n.line, n.col, "in the text here, line %d: %s", p.Where.Line, p.Why)
	}
	return fmt.Errorf("in the text at line %d: %w", n.line, err)
}
