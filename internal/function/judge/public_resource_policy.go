package judge

import (
	"fmt"

	"github.com/apexlogic/apex/internal/function/iam"
)

func publicResourcePolicy() Class {
	return Class{
		ID: "public_resource_policy", Severity: "high",
		Why:  "the policy of a resource lets everybody in",
		Mend: `name the principals, or bound "*" by aws:PrincipalOrgID, aws:SourceArn or aws:SourceVpce`,
		find: func(sc *scene) {
			for i := range sc.stack.Resources {
				r := &sc.stack.Resources[i]
				if r.Policy != nil {
					if doc, ok := sc.read(r.Policy, r.ID, r.ID); ok {
						sc.publicStatement(doc, r.ID)
					}
				}
				if r.Public != nil && *r.Public && r.Type == "AWS::S3::Bucket" {
					sc.report(r.Where, r.ID, "its access list lets everybody in")
				}
			}
		},
	}
}

// publicStatement reports the first statement that lets everybody in, once the
// document's own denies have been applied.
func (sc *scene) publicStatement(doc *iam.Policy, resource string) {
	open := &iam.Policy{Version: doc.Version}
	for _, s := range doc.Statements {
		everyone := len(s.NotPrincipals) > 0
		for _, p := range s.Principals {
			everyone = everyone || p.Everyone() || p.Type == "AWS" && accountOf(p.Name.String()) == "*"
		}
		// A Deny for everybody but some leaves those strangers out.
		if everyone && s.Effect != iam.EffectUnknown {
			open.Statements = append(open.Statements, s)
		}
	}
	rights := iam.NewRights([]*iam.Policy{open}, nil)
	for i := range open.Statements {
		s := &open.Statements[i]
		if s.Effect != iam.Allow {
			continue
		}
		actions := []string{}
		for _, a := range s.Actions {
			actions = append(actions, a.String())
		}
		if len(s.NotActions) > 0 {
			actions = append(actions, "*:*")
		}
		for _, action := range actions {
			grants, err := rights.Grants(action, stranger(action, false))
			left := err != nil // it is public on its face
			for _, g := range grants {
				left = left || g.Statement == s && g.Truth == iam.Yes
			}
			if left {
				sc.report(sc.at(iam.Source{Policy: doc, Statement: s}), resource, fmt.Sprintf("everybody may %s", action))
				return
			}
		}
	}
}
