package iam

import (
	"encoding/json"
	"errors"
)

// MarshalJSON writes the document as AWS reads it.
func (p *Policy) MarshalJSON() ([]byte, error) {
	type document struct {
		Version   string      `json:",omitempty"`
		ID        string      `json:"Id,omitempty"`
		Statement []Statement `json:"Statement"`
	}
	d := document{Version: p.Version, ID: p.ID, Statement: p.Statements}
	if d.Statement == nil {
		d.Statement = []Statement{}
	}
	return json.Marshal(d)
}

// MarshalJSON writes one statement.
func (s Statement) MarshalJSON() ([]byte, error) {
	type statement struct {
		Sid          string                         `json:",omitempty"`
		Effect       string                         `json:"Effect"`
		Principal    any                            `json:",omitempty"`
		NotPrincipal any                            `json:",omitempty"`
		Action       []string                       `json:",omitempty"`
		NotAction    []string                       `json:",omitempty"`
		Resource     []string                       `json:",omitempty"`
		NotResource  []string                       `json:",omitempty"`
		Condition    map[string]map[string][]string `json:",omitempty"`
	}
	out := statement{Sid: s.Sid, Effect: "Allow", Principal: whom(s.Principals), NotPrincipal: whom(s.NotPrincipals),
		Action: written(s.Actions), NotAction: written(s.NotActions), Resource: written(s.Resources), NotResource: written(s.NotResources)}
	switch s.Effect {
	case Deny:
		out.Effect = "Deny"
	case EffectUnknown:
		return nil, errors.New("a statement whose effect is not known cannot be written")
	}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		if out.Condition == nil {
			out.Condition = map[string]map[string][]string{}
		}
		name := c.Name()
		if out.Condition[name] == nil {
			out.Condition[name] = map[string][]string{}
		}
		out.Condition[name][c.spelled] = written(c.Values)
	}
	return json.Marshal(out)
}

// Name is the operator with its prefix and suffix: "ForAnyValue:StringLikeIfExists".
func (c *Condition) Name() string {
	name := c.Operator
	switch c.Set {
	case ForAllValues:
		name = "ForAllValues:" + name
	case ForAnyValue:
		name = "ForAnyValue:" + name
	}
	if c.IfExists {
		name += "IfExists"
	}
	return name
}

func written(list []*Pattern) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.text)
	}
	return out
}

func whom(list []Principal) any {
	if len(list) == 0 {
		return nil
	}
	by := map[string][]string{}
	for _, p := range list {
		if p.Type == "*" {
			return "*"
		}
		by[p.Type] = append(by[p.Type], p.Name.text)
	}
	return by
}
