package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// idleGrants refuses what routes allow to nobody: a grant for an identity that
// the route does not recognise, for a model that it does not have, or for an
// action that its API does not know, would be read as access that is there.
func idleGrants(s *Set, _ time.Time, report func(Problem)) {
	for _, r := range s.ProtectedRoutes {
		spec := &r.Value.Spec
		known := recognised(spec)
		models := make([]string, len(spec.Models))
		for i := range spec.Models {
			models[i] = spec.Models[i].Name
		}
		for i := range spec.Allow {
			grant := &spec.Allow[i]
			idle := func(field string, n int, message, suggestion string) {
				report(r.doc.problem(Error, verdict.PolicyInvalid, fmt.Sprintf("spec.allow[%d].%s[%d]", i, field, n), message, suggestion))
			}
			for n, id := range grant.Identities {
				if why := known.misses(id); why != "" {
					idle("identities", n, why, "")
				}
			}
			for n, action := range grant.Actions {
				if does := actionsOf(spec.API); !slices.Contains(does, action) {
					idle("actions", n, fmt.Sprintf("the api %s has no %s, so nobody ever does it; its actions are %s", spec.API, action, strings.Join(does, ", ")), "")
				}
			}
			for n, model := range grant.Models {
				switch {
				case spec.API == "Events":
					idle("models", n, "events have types, not models, so nothing is allowed with this one: leave models out", "")
				case len(models) > 0 && !slices.Contains(models, model):
					idle("models", n, fmt.Sprintf("the route has no model %s, so nothing is allowed with it: add it to spec.models, or take it out", quote(model)), closest(model, models))
				}
			}
		}
	}
}

// actionsOf are what requests of an API do, of all actions that can be allowed.
func actionsOf(api string) []string {
	switch api {
	case "OpenAI":
		return []string{"infer", "embed", "generate", "transcribe", "speak", "moderate", "list"}
	case "Events":
		return []string{"produce"}
	}
	return []string{"infer", "list"}
}

// sources are whom a route recognises, and the names of what it does not.
type sources struct {
	anonymous        bool
	domains, issuers []string
}

func recognised(spec *v1alpha1.ProtectedRouteSpec) sources {
	k := sources{anonymous: spec.Anonymous}
	for i := range spec.Identities {
		if s := spec.Identities[i].SPIFFE; s != nil {
			k.domains = append(k.domains, s.TrustDomain)
		}
		if o := spec.Identities[i].OIDC; o != nil {
			k.issuers = append(k.issuers, o.Issuer)
		}
	}
	return k
}

// misses says why nobody whom the route recognises is what a grant names; "" when
// somebody may be. What is no identity at all, compiling the grants tells.
func (k *sources) misses(id string) string {
	domain, workload := strings.CutPrefix(id, "spiffe://")
	domain, _, _ = strings.Cut(domain, "/")
	person := strings.Contains(id, "#")
	switch {
	case id == "*":
		return ""
	case id == "anonymous" && !k.anonymous:
		return "the route lets in nobody who shows nothing: set spec.anonymous: true, or take it out"
	case id == "anonymous":
		return ""
	case strings.HasPrefix(id, "group:") && len(k.issuers) == 0:
		return "groups come from OpenID Connect tokens, of which the route takes none: add the issuer to spec.identities, or take it out"
	case strings.HasPrefix(id, "group:"):
		return ""
	case workload && domain != "" && !person && !slices.Contains(k.domains, domain):
		return fmt.Sprintf("the route does not recognise the trust domain %s, so nobody has this identity: %s", quote(domain), k.mend("spiffe: {trustDomain: ...}", k.domains))
	case person && !workload && !slices.ContainsFunc(k.issuers, func(issuer string) bool { return strings.HasPrefix(id, issuer+"#") }):
		issuer, _, _ := strings.Cut(id, "#")
		return fmt.Sprintf("the route does not recognise the issuer %s to the letter, so nobody has this identity: %s", quote(issuer), k.mend("oidc: {issuer: ...}", k.issuers))
	}
	return ""
}

// mend says what to do about an identity that is not recognised.
func (k *sources) mend(entry string, known []string) string {
	return fmt.Sprintf("take the grant away, too, add it to spec.identities as %s, or correct it; recognised are %s", entry, cmp.Or(strings.Join(known, ", "), "none"))
}
