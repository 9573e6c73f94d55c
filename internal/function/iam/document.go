package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
)

// The limits on a document.
const (
	// MaxDocument is how many bytes a document may have. The largest that AWS
	// takes is 20 KiB (of a bucket); templates that are merged grow beyond.
	MaxDocument = 256 << 10
	maxDepth    = 12      // Statement, Condition, operator, key, values: 5
	maxEntries  = 8 << 10 // actions, resources, principals and values together
	// maxText is how long one of them may be. An ARN has 2,048 characters at most.
	maxText = 4 << 10
)

// Effect says what a statement does.
type Effect uint8

// The effects. EffectUnknown is that of a template which does not say.
const (
	EffectUnknown Effect = iota
	Allow
	Deny
)

// Policy is one document. It is immutable after Parse and safe for concurrent use.
type Policy struct {
	// Origin is the caller's name for the document: it comes back in answers.
	Origin string
	// Name is that of the policy, "" when the caller does not know it.
	Name string

	Version string // "2012-10-17", or "2008-10-17", which is the default and knows no variables
	ID      string

	Statements []Statement
}

// Statement is one statement. Of each pair (Actions and NotActions, …) at most
// one holds something; both are empty only where the element is absent.
type Statement struct {
	Index  int // within the document, from 0
	Sid    string
	Effect Effect

	Actions, NotActions       []*Pattern
	Resources, NotResources   []*Pattern
	Principals, NotPrincipals []Principal
	Conditions                []Condition
}

// Principal is one entry of a Principal element.
type Principal struct {
	Type string // "AWS", "Service", "Federated", "CanonicalUser"; "*" for the entry "*" itself
	Name *Pattern
}

// Everyone says whether the entry names everybody, the anonymous included.
func (p Principal) Everyone() bool {
	return p.Type == "*" || p.Type == "AWS" && p.Name.text == "*"
}

// Parse reads a document. Errors name the statement and the element. A document
// that AWS would refuse is an error: what it would mean is not known.
func Parse(document []byte) (*Policy, error) {
	if len(document) > MaxDocument {
		return nil, fmt.Errorf("read policy: %w of %d bytes", bounded.ErrTooLarge, MaxDocument)
	}
	var raw struct {
		Version   string
		ID        json.RawMessage `json:"Id"`
		Statement json.RawMessage
	}
	if err := bounded.JSON(document, maxDepth, &raw); err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	p := &Policy{Version: raw.Version}
	_ = json.Unmarshal(raw.ID, &p.ID) // documentation only: some templates put a number
	statements := []json.RawMessage{raw.Statement}
	switch first := firstByte(raw.Statement); first {
	case '[':
		statements = nil
		if err := json.Unmarshal(raw.Statement, &statements); err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
	case '{':
	default:
		return nil, errors.New("read policy: no Statement: write a list of statements")
	}
	r := reader{vars: raw.Version == "2012-10-17" || strings.Contains(raw.Version, "${")}
	for i, s := range statements {
		st, err := r.statement(s)
		if err != nil {
			return nil, fmt.Errorf("read policy: statement %d: %w", i+1, err)
		}
		st.Index = i
		p.Statements = append(p.Statements, st)
	}
	return p, nil
}

func firstByte(raw json.RawMessage) byte {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 {
		return raw[0]
	}
	return 0
}

type reader struct {
	vars    bool
	entries int
}

func (r *reader) statement(raw json.RawMessage) (Statement, error) {
	var s Statement
	var in struct {
		Sid                     json.RawMessage
		Effect                  string
		Action, NotAction       json.RawMessage
		Resource, NotResource   json.RawMessage
		Principal, NotPrincipal json.RawMessage
		Condition               json.RawMessage
	}
	if firstByte(raw) != '{' {
		return s, errors.New("it is no object")
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return s, err
	}
	_ = json.Unmarshal(in.Sid, &s.Sid)
	switch {
	case in.Effect == "Allow":
		s.Effect = Allow
	case in.Effect == "Deny":
		s.Effect = Deny
	case strings.Contains(in.Effect, "${"):
	default:
		return s, fmt.Errorf("effect %.40q: write Allow or Deny", in.Effect)
	}
	resource := dialect{wild: true, vars: r.vars, arn: true}
	for _, e := range []struct {
		name string
		raw  json.RawMessage
		as   dialect
		into *[]*Pattern
	}{
		{"Action", in.Action, asAction, &s.Actions},
		{"NotAction", in.NotAction, asAction, &s.NotActions},
		{"Resource", in.Resource, resource, &s.Resources},
		{"NotResource", in.NotResource, resource, &s.NotResources},
	} {
		texts, err := r.texts(e.raw)
		if err != nil {
			return s, fmt.Errorf("%s: %w", e.name, err)
		}
		for _, t := range texts {
			*e.into = append(*e.into, compile(t, e.as))
		}
	}
	if len(s.Actions) > 0 && len(s.NotActions) > 0 {
		return s, errors.New("both Action and NotAction: keep one of them")
	}
	if len(s.Resources) > 0 && len(s.NotResources) > 0 {
		return s, errors.New("both Resource and NotResource: keep one of them")
	}
	if len(s.Actions)+len(s.NotActions) == 0 && (in.Action == nil && in.NotAction == nil) {
		return s, errors.New("no Action: name what the statement is about")
	}
	var err error
	if s.Principals, err = r.principals(in.Principal); err != nil {
		return s, fmt.Errorf("Principal: %w", err)
	}
	if s.NotPrincipals, err = r.principals(in.NotPrincipal); err != nil {
		return s, fmt.Errorf("NotPrincipal: %w", err)
	}
	if s.Conditions, err = r.conditions(in.Condition); err != nil {
		return s, fmt.Errorf("Condition: %w", err)
	}
	return s, nil
}

// texts reads a text or a list of texts. Numbers and booleans are written out,
// as IAM does for the values of conditions.
func (r *reader) texts(raw json.RawMessage) ([]string, error) {
	var list []json.RawMessage
	switch firstByte(raw) {
	case 0, 'n':
		return nil, nil
	case '[':
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
	default:
		list = []json.RawMessage{raw}
	}
	if r.entries += len(list); r.entries > maxEntries {
		return nil, fmt.Errorf("%w of %d entries", bounded.ErrTooMany, maxEntries)
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		var s string
		switch firstByte(e) {
		case '"':
			if err := json.Unmarshal(e, &s); err != nil {
				return nil, err
			}
		case '{', '[', 'n', 0:
			return nil, errors.New("expected a text or a list of texts")
		default:
			s = string(bytes.TrimSpace(e))
		}
		if len(s) > maxText {
			return nil, fmt.Errorf("%w of %d characters in a text", bounded.ErrTooLarge, maxText)
		}
		out = append(out, s)
	}
	return out, nil
}

func (r *reader) principals(raw json.RawMessage) ([]Principal, error) {
	switch firstByte(raw) {
	case 0, 'n':
		return nil, nil
	case '"':
		texts, err := r.texts(raw)
		if err != nil {
			return nil, err
		}
		if texts[0] == "*" {
			return []Principal{{Type: "*", Name: compile("*", asLike)}}, nil
		}
		if strings.Contains(texts[0], "${") {
			return []Principal{{Type: "AWS", Name: compile(texts[0], asLiteral)}}, nil
		}
		return nil, fmt.Errorf(`%.80q: write {"AWS": …}, {"Service": …} or "*"`, texts[0])
	case '{':
	default:
		return nil, errors.New(`expected "*" or an object`)
	}
	keys, members, err := object(raw)
	if err != nil {
		return nil, err
	}
	var out []Principal
	for i, key := range keys {
		texts, err := r.texts(members[i])
		if err != nil {
			return nil, fmt.Errorf("%.80s: %w", key, err)
		}
		for _, t := range texts {
			out = append(out, Principal{Type: key, Name: compile(t, asLiteral)})
		}
	}
	return out, nil
}

// object reads the members of an object in their order.
func object(raw json.RawMessage) (keys []string, values []json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("expected an object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		key, _ := t.(string)
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, nil, err
		}
		keys, values = append(keys, key), append(values, v)
	}
	return keys, values, nil
}
