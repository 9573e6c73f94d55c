package config

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// validation is one document's way through the schema.
type validation struct {
	report func(line, column int, path, message, suggestion string)
	wrong  int
}

func (c *validation) fail(line, column int, path, message, suggestion string) {
	c.wrong++
	c.report(line, column, path, message, suggestion)
}

// validate holds v against s, fills in defaults, and reports what is wrong. It
// returns whether nothing is.
func validate(v *value, s *schema, report func(line, column int, path, message, suggestion string)) bool {
	c := &validation{report: report}
	c.value(v, s, "")
	return c.wrong == 0
}

func (c *validation) value(v *value, s *schema, path string) {
	before := c.wrong
	switch {
	case v.kind == kindNull:
		if !s.Nullable && !(s.PreserveMore && s.Type == "") {
			c.fail(v.line, v.column, path, "is empty; "+wanted(s)+" is expected: give a value, or remove the line", "")
		}
		return
	case s.IntOrString:
		if v.kind != kindInt && v.kind != kindString {
			c.fail(v.line, v.column, path, "is "+v.kind.String()+"; an integer or text is expected", "")
		}
		return
	}
	switch s.Type {
	case "object":
		c.object(v, s, path)
	case "array":
		c.array(v, s, path)
	case "string":
		c.text(v, s, path)
	case "integer", "number":
		c.number(v, s, path)
	case "boolean":
		if v.kind != kindBool {
			c.mismatch(v, s, path)
		}
	}
	// A rule is asked only about what has the right shape: after a misspelled
	// field its answer would be a second message about the same mistake.
	if c.wrong == before {
		c.rules(v, s, path)
	}
}

func (c *validation) rules(v *value, s *schema, path string) {
	if len(s.Rules) == 0 {
		return
	}
	self := v.native()
	for _, r := range s.Rules {
		switch ok, err := r.holds(self); {
		case err != nil:
			c.fail(v.line, v.column, path, fmt.Sprintf("the rule %q cannot be evaluated: %v", r.Rule, err), "")
		case !ok && r.Message != "":
			suggestion := ""
			if v.kind == kindString && s.isDuration() {
				suggestion = closestDuration(v.text)
			}
			c.fail(v.line, v.column, path, r.Message, suggestion)
		case !ok:
			c.fail(v.line, v.column, path, "has to satisfy: "+r.Rule, "")
		}
	}
}

func (c *validation) object(v *value, s *schema, path string) {
	if v.kind != kindMap {
		c.mismatch(v, s, path)
		return
	}
	count := int64(len(v.fields))
	if s.MinProperties != nil && count < *s.MinProperties {
		c.fail(v.line, v.column, path, fmt.Sprintf("has %d entries; at least %d are needed", count, *s.MinProperties), "")
	}
	if s.MaxProperties != nil && count > *s.MaxProperties {
		c.fail(v.line, v.column, path, fmt.Sprintf("has %d entries; at most %d are allowed", count, *s.MaxProperties), "")
		return
	}
	meant := map[string]bool{} // fields that are there under a misspelled name
	for i := range v.fields {
		f := &v.fields[i]
		child, known := s.Properties[f.key]
		switch {
		case known:
			c.value(f.value, child, join(path, f.key))
		case s.AdditionalProperties != nil:
			c.value(f.value, s.AdditionalProperties, join(path, f.key))
		case !s.PreserveMore:
			meant[c.unknownField(v, f, s, path)] = true
		}
	}
	for _, name := range s.names() {
		if child := s.Properties[name]; child.Default != nil && v.get(name) == nil {
			v.fields = append(v.fields, field{key: name, line: v.line, column: v.column, value: fromDefault(child.Default, v)})
		}
	}
	for _, name := range s.Required {
		if v.get(name) == nil && !meant[name] {
			c.missing(v, s, path, name)
		}
	}
}

// unknownField reports a field that the schema does not have, and returns the
// one that was probably meant.
func (c *validation) unknownField(v *value, f *field, s *schema, path string) string {
	if path == "metadata" && f.key == "namespace" {
		c.fail(f.line, f.column, join(path, f.key), "the kind is cluster-scoped and has no namespace; remove the line", "")
		return ""
	}
	var free []string
	for _, name := range s.names() {
		if v.get(name) == nil {
			free = append(free, name)
		}
	}
	suggestion := closest(f.key, free)
	if suggestion == "" {
		// A field at the wrong depth: one level further down.
		for _, name := range s.names() {
			if child := s.Properties[name]; child.Properties[f.key] != nil {
				suggestion = name + "." + f.key
				break
			}
		}
	}
	c.fail(f.line, f.column, join(path, f.key), "unknown field; known here: "+strings.Join(s.names(), ", "), suggestion)
	return suggestion
}

func (c *validation) missing(v *value, s *schema, path, name string) {
	message := "is missing"
	if child := s.Properties[name]; child != nil {
		message += "; " + wanted(child) + " is needed"
	}
	c.fail(v.line, v.column, join(path, name), message, "")
}

func (c *validation) array(v *value, s *schema, path string) {
	if v.kind != kindList {
		c.mismatch(v, s, path)
		return
	}
	count := int64(len(v.items))
	if s.MinItems != nil && count < *s.MinItems {
		c.fail(v.line, v.column, path, fmt.Sprintf("has %d entries; at least %d are needed", count, *s.MinItems), "")
	}
	if s.MaxItems != nil && count > *s.MaxItems {
		c.fail(v.line, v.column, path, fmt.Sprintf("has %d entries; at most %d are allowed", count, *s.MaxItems), "")
		return
	}
	seen := make(map[string]int)
	for i, item := range v.items {
		at := element(path, i)
		before := c.wrong
		if s.Items != nil {
			c.value(item, s.Items, at)
		}
		if c.wrong != before || s.ListType != "set" && s.ListType != "map" {
			continue
		}
		identity, where, shown := identify(item, s, at)
		if first, twice := seen[identity]; twice {
			line, column := item.lookup(strings.TrimPrefix(strings.TrimPrefix(where, at), "."))
			c.fail(line, column, where, fmt.Sprintf("%s is there twice, first on line %d; remove one of the two", shown, first), "")
			continue
		}
		seen[identity] = item.line
	}
}

// identify returns what has to be unique of an item of a set or map list, the
// path that names it, and how to show it.
func identify(item *value, s *schema, at string) (identity, where, shown string) {
	var b bytes.Buffer
	if s.ListType == "set" {
		item.canonical(&b)
		return b.String(), at, quote(item.text)
	}
	where = at
	for _, key := range s.ListMapKeys {
		if child := item.get(key); child != nil {
			child.canonical(&b)
			where, shown = join(at, key), quote(child.text)
		}
		b.WriteByte(0)
	}
	return b.String(), where, shown
}

func (c *validation) text(v *value, s *schema, path string) {
	if v.kind != kindString {
		c.mismatch(v, s, path)
		return
	}
	length := int64(utf8.RuneCountInString(v.text))
	switch {
	case s.MinLength != nil && length < *s.MinLength:
		message := fmt.Sprintf("has %d characters; at least %d are needed", length, *s.MinLength)
		if length == 0 {
			message = "is empty text; a value is needed"
		}
		c.fail(v.line, v.column, path, message, "")
	case s.MaxLength != nil && length > *s.MaxLength:
		c.fail(v.line, v.column, path, fmt.Sprintf("has %d characters; at most %d are allowed", length, *s.MaxLength), "")
	case len(s.Enum) > 0 && !slices.Contains(s.Enum, v.text):
		c.fail(v.line, v.column, path, quote(v.text)+" is not one of "+strings.Join(s.Enum, ", "), closest(v.text, s.Enum))
	case s.Pattern != "" && !s.matches(v.text):
		c.fail(v.line, v.column, path, quote(v.text)+" does not match "+s.Pattern, closestToPattern(v.text, s))
	case s.Format == "date-time":
		if _, err := time.Parse(time.RFC3339, v.text); err != nil {
			c.fail(v.line, v.column, path, quote(v.text)+" is not a time as RFC 3339 writes it, for example 2026-01-31T12:00:00Z", closestTime(v.text))
		}
	}
}

// closestToPattern mends upper case, the usual slip where a pattern asks for lower case.
func closestToPattern(text string, s *schema) string {
	for _, mended := range []string{strings.ToLower(text), strings.TrimSpace(text), "sha256:" + text} {
		if len(mended) <= 2*maxSuggest && mended != text && s.matches(mended) {
			return mended
		}
	}
	return ""
}

// closestTime mends a date without time and a time without zone.
func closestTime(text string) string {
	for _, layout := range []string{time.DateOnly, time.DateTime, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Format(time.RFC3339)
		}
	}
	return ""
}

// isDuration says whether the text is a duration. A format would say it too, but
// API servers read days and weeks by it, which Go does not.
func (s *schema) isDuration() bool {
	return len(s.Rules) == 1 && strings.HasPrefix(s.Rules[0].Message, "is not a duration")
}

// closestDuration mends days, a bare number, and words for units.
func closestDuration(text string) string {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	n, err := strconv.Atoi(number)
	if err != nil || n <= 0 || n > 10_000 {
		return ""
	}
	switch unit := strings.ToLower(strings.TrimSpace(text[len(number):])); {
	case unit == "" || strings.HasPrefix(unit, "h"):
		return strconv.Itoa(n) + "h"
	case strings.HasPrefix(unit, "d"):
		return strconv.Itoa(24*n) + "h"
	case strings.HasPrefix(unit, "w"):
		return strconv.Itoa(7*24*n) + "h"
	case strings.HasPrefix(unit, "mi"):
		return strconv.Itoa(n) + "m"
	case strings.HasPrefix(unit, "s"):
		return strconv.Itoa(n) + "s"
	}
	return ""
}

func (c *validation) number(v *value, s *schema, path string) {
	number := v.float
	switch {
	case v.kind == kindInt:
		number = float64(v.number)
	case v.kind != kindFloat || s.Type == "integer":
		c.mismatch(v, s, path)
		return
	}
	switch {
	case s.Minimum != nil && number < *s.Minimum:
		c.fail(v.line, v.column, path, fmt.Sprintf("is %s; at least %v is needed", v.text, *s.Minimum), "")
	case s.Maximum != nil && number > *s.Maximum:
		c.fail(v.line, v.column, path, fmt.Sprintf("is %s; at most %v is allowed", v.text, *s.Maximum), "")
	case s.Format == "int32" && (number < math.MinInt32 || number > math.MaxInt32):
		c.fail(v.line, v.column, path, fmt.Sprintf("is %s; an integer of 32 bits is expected", v.text), "")
	}
}

// mismatch reports a value of another type than the schema's.
func (c *validation) mismatch(v *value, s *schema, path string) {
	suggestion := ""
	switch {
	case s.Type == "string" && v.kind != kindList && v.kind != kindMap:
		suggestion = strconv.Quote(v.text)
	case s.Type == "integer" && v.kind == kindString:
		if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
			suggestion = strconv.FormatInt(n, 10)
		}
	case s.Type == "boolean" && v.kind == kindString:
		if lower := strings.ToLower(v.text); lower == "true" || lower == "false" {
			suggestion = lower
		}
	case s.Type == "array" && v.kind == kindString && s.Items != nil && s.Items.Type == "string" && len(v.text) <= maxSuggest:
		suggestion = "[" + strconv.Quote(v.text) + "]"
	}
	c.fail(v.line, v.column, path, "is "+v.kind.String()+"; "+wanted(s)+" is expected", suggestion)
}

// wanted names what a schema takes.
func wanted(s *schema) string {
	switch s.Type {
	case "object":
		return "a mapping"
	case "array":
		return "a list"
	case "integer":
		return "an integer"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	case "string":
		switch {
		case len(s.Enum) > 0:
			return "one of " + strings.Join(s.Enum, ", ")
		case s.Format == "date-time":
			return "a time"
		case s.Format == "duration":
			return "a duration"
		}
		return "text"
	}
	return "a value"
}

// fromDefault returns a schema's default as a value at its parent's position.
// Defaults of our kinds are scalars; a test holds that.
func fromDefault(d any, parent *value) *value {
	v := &value{line: parent.line, column: parent.column}
	switch d := d.(type) {
	case string:
		v.kind, v.text = kindString, d
	case bool:
		v.kind, v.truth = kindBool, d
	case float64:
		v.kind, v.number = kindInt, int64(d)
	}
	return v
}
