package judge

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/function/iam"
)

func publicOrCrossAccountTrust() Class {
	return Class{
		ID: "public_or_cross_account_trust", Severity: "critical",
		Why:  "strangers can assume the role",
		Mend: "name the roles that may assume it; for another account require sts:ExternalId, for an identity provider its subject",
		find: func(sc *scene) {
			for _, n := range sc.nodes {
				if n.Trust == nil {
					continue
				}
				for i := range n.Trust.Statements {
					s := &n.Trust.Statements[i]
					if s.Effect != iam.Allow {
						continue
					}
					if why := strangers(n.Trust, s); why != "" {
						sc.report(sc.at(iam.Source{Policy: n.Trust, Statement: s}), n.ID, why)
					}
				}
			}
		},
	}
}

// strangers says who can assume a role by a statement, "" for nobody unexpected.
func strangers(trust *iam.Policy, s *iam.Statement) string {
	assumes := false
	for _, action := range []string{"sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"} {
		assumes = assumes || s.MatchesAction(action) != iam.No
	}
	if !assumes || denied(trust, s) {
		return ""
	}
	open := s.Holds(stranger("sts:AssumeRole", true), iam.Yes) == iam.Yes
	if len(s.NotPrincipals) > 0 && open {
		return "everybody but a few may assume the role (NotPrincipal)"
	}
	for _, p := range s.Principals {
		name := p.Name.String()
		switch {
		case p.Everyone() || p.Type == "Service" && name == "*":
			if open {
				return "everybody may assume the role"
			}
		case p.Type == "AWS" && p.Name.Unknown():
			// "${…account_id}:root" is the account itself; the rest is not known.
			if account := accountOf(name); account != "" && open {
				return fmt.Sprintf("everybody in account %s may assume the role, and no sts:ExternalId is asked for", account)
			}
		case p.Type == "AWS":
			if account := accountOf(name); account != "" && open {
				return fmt.Sprintf("everybody in account %s may assume the role, and no sts:ExternalId is asked for", account)
			}
		case p.Type == "Federated":
			if why := provider(name, s); why != "" {
				return why
			}
		}
	}
	return ""
}

// accountOf is the account that a principal names as a whole, by its number, its
// root, or a star in the place of a name; "" when it names less.
func accountOf(name string) string {
	if len(name) == 12 && digits(name) {
		return name
	}
	parts := strings.SplitN(name, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" {
		return ""
	}
	account := parts[4]
	switch {
	case account == "*":
		return "*"
	case !digits(account) || account == "":
		return ""
	case parts[5] == "root", strings.Contains(parts[5], "*"):
		return account
	}
	return ""
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// provider judges the trust in an identity provider that serves many customers:
// without its subject, all of them are trusted.
func provider(name string, s *iam.Statement) string {
	if s.MatchesAction("sts:AssumeRoleWithWebIdentity") == iam.No {
		return "" // SAML providers are one's own
	}
	issuer := name
	if _, rest, ok := strings.Cut(name, "oidc-provider/"); ok {
		issuer = rest
	}
	for _, c := range s.Conditions {
		if host, _, ok := strings.Cut(c.Key, ":"); ok && strings.Contains(host, ".") {
			issuer = host // of a provider that the template names by a reference
			break
		}
	}
	if len(s.Conditions) == 0 {
		return "everybody whom the identity provider knows may assume the role: no condition names whom"
	}
	shared := false
	for _, host := range []string{"token.actions.githubusercontent.com", "gitlab.com", "accounts.google.com", "app.terraform.io", "oidc.circleci.com", "api.bitbucket.org", "oidc.vercel.com", "agent.buildkite.com", "www.amazon.com", "graph.facebook.com", "cognito-identity.amazonaws.com"} {
		shared = shared || strings.HasPrefix(strings.ToLower(issuer), host)
	}
	if !shared {
		return ""
	}
	for _, c := range s.Conditions {
		_, claim, ok := strings.Cut(c.Key, ":")
		if !ok || c.IfExists || c.Set == iam.ForAllValues || strings.Contains(c.Operator, "Not") || c.Operator == "Null" {
			continue
		}
		broad := len(c.Values) == 0
		for _, v := range c.Values {
			broad = broad || loose(v.String())
		}
		switch {
		case broad:
		case claim == "aud" && !strings.HasPrefix(strings.ToLower(issuer), "token.actions") && !strings.HasPrefix(issuer, "gitlab.com") && !strings.HasPrefix(issuer, "app.terraform.io"):
			return "" // the audience is one's own application
		case claim != "aud" && claim != "amr":
			return ""
		}
	}
	return fmt.Sprintf("everybody who uses %s may assume the role: no condition on its subject names whom", issuer)
}

// loose says whether the value of a subject leaves open whose it is:
// "*", "repo:*", "repo:*/*:ref:refs/heads/main".
func loose(value string) bool {
	if strings.Trim(value, "*?") == "" {
		return true
	}
	_, rest, ok := strings.Cut(value, ":")
	return ok && strings.HasPrefix(rest, "*")
}

// denied says whether another statement denies the role to those who are not
// meant, whoever they are.
func denied(trust *iam.Policy, of *iam.Statement) bool {
	for i := range trust.Statements {
		s := &trust.Statements[i]
		if s == of || s.Effect != iam.Deny || s.MatchesAction("sts:AssumeRole") != iam.Yes {
			continue
		}
		everyone := len(s.NotPrincipals) > 0
		for _, p := range s.Principals {
			everyone = everyone || p.Everyone()
		}
		if everyone && s.Holds(stranger("sts:AssumeRole", true), iam.No) == iam.Yes {
			return true
		}
	}
	return false
}

// stranger is the context of somebody from another account and organisation.
func stranger(action string, trust bool) iam.Context {
	ours := iam.Attacker{Action: action}.Context()
	return func(key string) iam.Value {
		switch key {
		case "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:principalarn", "kms:calleraccount",
			"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths", "aws:userid", "aws:username",
			"s3:dataaccesspointaccount", "s3:dataaccesspointarn", "elasticfilesystem:accesspointarn", "lambda:eventsourcetoken", "sts:externalid":
			return iam.Value{State: iam.Stranger}
		case "elasticfilesystem:accessedviamounttarget":
			return iam.Value{} // only from within the network
		case "aws:principaltype", "s3:prefix", "s3:versionid", "sns:protocol", "sns:endpoint", "lambda:functionurlauthtype":
			return iam.Value{State: iam.Chosen}
		case "aws:sourceidentity":
			if trust {
				return iam.Value{State: iam.Chosen}
			}
		}
		return ours(key)
	}
}
