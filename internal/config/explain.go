package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Explanation describes a kind or one of its fields from the kind's schema.
type Explanation struct {
	Kind string `json:"kind"`
	// Path of the field with "[]" after lists, for example
	// "spec.rules[].action"; "" for the kind itself.
	Path string `json:"path,omitempty"`
	// Type in words: "text", "list of text", "map of text", "mapping", "integer", "true or false".
	Type        string   `json:"type"`
	Required    bool     `json:"required,omitempty"`
	Enum        []string `json:"enum,omitempty"`
	Default     string   `json:"default,omitempty"`
	Limits      []string `json:"limits,omitempty"`
	Description string   `json:"description,omitempty"`
	// Rules are conditions over several fields, in words.
	Rules    []string `json:"rules,omitempty"`
	Children []Child  `json:"children,omitempty"`
}

// Child is a field below the one that is explained.
type Child struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required,omitempty"`
	// Summary is the first sentence of the description.
	Summary string `json:"summary,omitempty"`
}

// UnknownError says that a path names no kind or field.
type UnknownError struct {
	What       string   // "kind" or "field"
	Name       string   // what was asked for
	Known      []string // what there is
	Suggestion string   // "" when nothing is close
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("no %s %s; known are %s", e.What, quote(e.Name), strings.Join(e.Known, ", "))
	if e.Suggestion != "" {
		text += " (did you mean " + e.Suggestion + "?)"
	}
	return text
}

// Kinds returns the kinds that have a schema, sorted.
func Kinds() []string { return knownKinds() }

// Explain describes "KIND" or "KIND.field.field". The kind may be written in
// any case, in the plural, or as its short name; lists are passed through, with
// or without "[]". A name that is not there is an [*UnknownError].
func Explain(path string) (Explanation, error) {
	parts := strings.Split(path, ".")
	def, err := definitionOf(parts[0])
	if err != nil {
		return Explanation{}, err
	}
	s, at, required := def.Schema, "", true
	for _, part := range parts[1:] {
		for s.Items != nil {
			s, at = s.Items, at+"[]"
		}
		name := strings.TrimSuffix(part, "[]")
		child, ok := s.Properties[name]
		if !ok {
			// Field names are exact in documents; a question may be less exact.
			if i := slices.IndexFunc(s.names(), func(n string) bool { return strings.EqualFold(n, name) }); i >= 0 {
				name = s.names()[i]
				child, ok = s.Properties[name]
			}
		}
		if !ok {
			return Explanation{}, &UnknownError{What: "field", Name: part, Known: s.names(), Suggestion: closest(name, s.names())}
		}
		required = slices.Contains(s.Required, name)
		s, at = child, join(at, name)
	}
	return explain(def.Kind, at, s, required), nil
}

func definitionOf(name string) (*definition, error) {
	var known []string
	for _, kind := range knownKinds() {
		def, err := kinds()[kind]()
		if err != nil {
			return nil, err
		}
		names := append([]string{def.Kind, def.Plural, def.Singular}, def.ShortNames...)
		if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) {
			return def, nil
		}
		known = append(known, kind)
	}
	return nil, &UnknownError{What: "kind", Name: name, Known: known, Suggestion: closest(name, known)}
}

func explain(kind, path string, s *schema, required bool) Explanation {
	e := Explanation{
		Kind: kind, Path: path, Type: typeName(s), Required: required && path != "",
		Enum: s.Enum, Description: s.Description, Limits: limits(s),
	}
	if s.Default != nil {
		e.Default = fmt.Sprint(s.Default)
	}
	inner := s
	for inner.Items != nil {
		inner = inner.Items
		if len(e.Enum) == 0 {
			e.Enum = inner.Enum
		}
		for _, limit := range limits(inner) {
			e.Limits = append(e.Limits, "each: "+limit)
		}
	}
	for _, r := range append(slices.Clone(s.Rules), rulesBelow(s, inner)...) {
		if r.Message != "" {
			e.Rules = append(e.Rules, r.Message)
		} else {
			e.Rules = append(e.Rules, r.Rule)
		}
	}
	for _, name := range inner.names() {
		child := inner.Properties[name]
		if path == "" && (name == "apiVersion" || name == "kind") {
			continue
		}
		e.Children = append(e.Children, Child{
			Name: name, Type: typeName(child), Required: slices.Contains(inner.Required, name), Summary: firstSentence(child.Description),
		})
	}
	return e
}

func rulesBelow(s, inner *schema) []*rule {
	if s == inner {
		return nil
	}
	return inner.Rules
}

func typeName(s *schema) string {
	switch {
	case s.IntOrString:
		return "integer or text"
	case s.Type == "array" && s.Items != nil:
		return "list of " + typeName(s.Items)
	case s.Type == "object" && s.AdditionalProperties != nil:
		return "map of " + typeName(s.AdditionalProperties)
	case s.Type == "object":
		return "mapping"
	case s.Type == "boolean":
		return "true or false"
	case s.Format == "date-time":
		return "time"
	case s.isDuration():
		return "duration"
	case s.Type == "string":
		return "text"
	case s.Type == "":
		return "anything"
	}
	return s.Type
}

// limits says what the schema's bounds are, in words.
func limits(s *schema) []string {
	var out []string
	between := func(low, high *int64, unit string) {
		switch {
		case low != nil && high != nil:
			out = append(out, fmt.Sprintf("%d to %d %s", *low, *high, unit))
		case low != nil:
			out = append(out, fmt.Sprintf("at least %d %s", *low, unit))
		case high != nil:
			out = append(out, fmt.Sprintf("at most %d %s", *high, unit))
		}
	}
	between(s.MinLength, s.MaxLength, "characters")
	between(s.MinItems, s.MaxItems, "entries")
	between(s.MinProperties, s.MaxProperties, "entries")
	if s.Minimum != nil {
		out = append(out, "at least "+strconv.FormatFloat(*s.Minimum, 'f', -1, 64))
	}
	if s.Maximum != nil {
		out = append(out, "at most "+strconv.FormatFloat(*s.Maximum, 'f', -1, 64))
	}
	if s.Pattern != "" {
		out = append(out, "matches "+s.Pattern)
	}
	switch s.ListType {
	case "set":
		out = append(out, "no entry twice")
	case "map":
		out = append(out, "unique by "+strings.Join(s.ListMapKeys, ", "))
	}
	return out
}

func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if i := strings.Index(text, ". "); i >= 0 {
		return text[:i+1]
	}
	return text
}
