package manifest

import "strings"

// everywhere are names that mean a reference in so many kinds that another
// spelling of them is refused wherever it stands in an object.
func everywhere(key string) string {
	for _, name := range [...]string{"image", "containers", "initContainers", "ephemeralContainers"} {
		if isVariant(key, name) {
			return name
		}
	}
	return ""
}

// isVariant reports whether key is name but for its case. Go programs that
// decode JSON take the one for the other (encoding/json folds case, the long s
// and the Kelvin sign too); the API server does not. What one of them cannot
// see, nobody has judged.
func isVariant(key, name string) bool {
	// Folding makes a letter at most two bytes longer.
	if len(key) < len(name) || len(key) > 3*len(name) || key == name {
		return false
	}
	return strings.EqualFold(key, name)
}

// checkVariants refuses other spellings of names in a mapping.
func checkVariants(n *node, names []string) error {
	if n == nil || n.kind != mapping {
		return nil
	}
	for i := range n.items {
		for _, name := range names {
			if isVariant(n.items[i].key, name) {
				return variant(&n.items[i], name)
			}
		}
	}
	return nil
}

// checkFields refuses other spellings of the fields that the role or the table
// knows, and of those that count everywhere.
func checkFields(n *node, r role, p *pattern, s scope) error {
	if !s.obj.typed || r == roleData || r == roleEncoded || r == roleSchema || r == roleAnnotations || r == roleSkip {
		return nil
	}
	for i := range n.items {
		it := &n.items[i]
		if name := everywhere(it.key); name != "" && !(r == roleAny && name == "image" && it.val.kind == mapping) {
			return variant(it, name)
		}
		for _, f := range r.fields() {
			if isVariant(it.key, f.name) {
				return variant(it, f.name)
			}
		}
		if p == nil {
			continue
		}
		for name := range p.fields {
			if isVariant(it.key, name) {
				return variant(it, name)
			}
		}
	}
	return nil
}

func variant(it *item, name string) error {
	return problem(it.line, it.col, "the key %q differs from %q only by case, and programs disagree on whether they are the same: write %q", clip(it.key, 60), name, name)
}
