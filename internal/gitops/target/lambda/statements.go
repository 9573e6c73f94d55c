package lambda

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/apexlogic/apex/internal/gitops"
)

// maxPolicy bounds a resource policy; AWS's limit is 20 KB.
const maxPolicy = 256 << 10

var statementID = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`) })

// statement is one of a policy document, as far as AddPermission writes it.
type statement struct {
	Sid       string
	Effect    string
	Principal json.RawMessage
	Action    json.RawMessage
	Resource  json.RawMessage
	Condition map[string]map[string]json.RawMessage
}

// statements reads a resource policy. A statement that AddPermission could not
// have written with the fields that Git has is kept whole.
func statements(policy, arn string) ([]permission, error) {
	if len(policy) > maxPolicy {
		return nil, fmt.Errorf("the resource policy has %d bytes: %d are read: %w", len(policy), maxPolicy, errOdd)
	}
	var doc struct{ Statement json.RawMessage }
	if err := json.Unmarshal([]byte(policy), &doc); err != nil {
		return nil, fmt.Errorf("the resource policy is no JSON: %w: %w", err, errOdd)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(doc.Statement, &raw); err != nil {
		raw = []json.RawMessage{doc.Statement} // one alone
	}
	var all []permission
	for _, text := range raw {
		p, ok := permissionOf(text, arn)
		if !ok {
			var s struct{ Sid string }
			if err := json.Unmarshal(text, &s); err != nil {
				return nil, fmt.Errorf("the resource policy has a statement that is none: %w", errOdd)
			}
			p = permission{LambdaPermission: gitops.LambdaPermission{ID: s.Sid}, Other: text}
		}
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b permission) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// permissionOf reads a statement of the form that AddPermission writes.
func permissionOf(text json.RawMessage, arn string) (permission, bool) {
	// Fields of another name (NotPrincipal, NotAction) say the opposite.
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil {
		return permission{}, false
	}
	for name := range fields {
		if !slices.Contains([]string{"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}, name) {
			return permission{}, false
		}
	}
	var s statement
	if json.Unmarshal(text, &s) != nil || s.Effect != "Allow" || one(s.Resource) != arn || s.Sid == "" {
		return permission{}, false
	}
	p := permission{LambdaPermission: gitops.LambdaPermission{ID: s.Sid, Action: one(s.Action), Principal: principal(s.Principal)}}
	if p.Action == "" || p.Principal == "" {
		return permission{}, false
	}
	for operator, keys := range s.Condition {
		for key, value := range keys {
			var to *string
			switch strings.ToLower(operator + " " + key) {
			case "arnlike aws:sourcearn":
				to = &p.SourceARN
			case "stringequals aws:sourceaccount":
				to = &p.SourceAccount
			case "stringequals lambda:functionurlauthtype":
				to = &p.URLAuth
			case "bool lambda:invokedviafunctionurl":
				if string(value) != "true" && one(value) != "true" {
					return permission{}, false
				}
				p.ViaURL = true
				continue
			default:
				return permission{}, false
			}
			v := one(value)
			if v == "" || *to != "" {
				return permission{}, false
			}
			*to = v
		}
	}
	return p, true
}

// one returns the text, or the only text of a list.
func one(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	var list []string
	if json.Unmarshal(v, &list) == nil && len(list) == 1 {
		return list[0]
	}
	return ""
}

// principal returns whom a statement lets in, as AddPermission takes it.
func principal(v json.RawMessage) string {
	if s := one(v); s != "" {
		return plainPrincipal(s)
	}
	var by map[string]json.RawMessage
	if json.Unmarshal(v, &by) != nil || len(by) != 1 {
		return ""
	}
	for kind, who := range by {
		if kind == "AWS" || kind == "Service" {
			return plainPrincipal(one(who))
		}
	}
	return ""
}

// plainPrincipal writes an account by its number, whichever way it was named.
func plainPrincipal(s string) string {
	parts := strings.Split(s, ":")
	if len(parts) == 6 && parts[0] == "arn" && parts[2] == "iam" && parts[5] == "root" && accountID().MatchString(parts[4]) {
		return parts[4]
	}
	return s
}
