package cyclonedx

import (
	"cmp"
	"fmt"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/internal/sbom/purl"
)

// analysis is what a document says of one vulnerability.
type analysis struct {
	id      string
	aliases []string
	vex     fact.VEX // status, justification, impact, action, times
	affects []affected
}

// affected is what a vulnerability is about. ranged says that the document names
// versions of it as affected.
type affected struct {
	ref    string
	ranged bool
}

// vulnerability keeps the analysis of a vulnerability, where there is one. A
// vulnerability without it is a finding and no statement.
func (r *reader) vulnerability() error {
	var v struct {
		ID         string `json:"id"`
		Updated    string `json:"updated"`
		References document.List[struct {
			ID string `json:"id"`
		}] `json:"references"`
		Recommendation string `json:"recommendation"`
		Affects        document.List[struct {
			Ref      string `json:"ref"`
			Versions document.List[struct {
				Status string `json:"status"`
			}] `json:"versions"`
		}] `json:"affects"`
		Analysis struct {
			State         string                `json:"state"`
			Justification string                `json:"justification"`
			Response      document.List[string] `json:"response"`
			Detail        string                `json:"detail"`
			FirstIssued   string                `json:"firstIssued"`
			LastUpdated   string                `json:"lastUpdated"`
		} `json:"analysis"`
		Properties document.List[property] `json:"properties"`
	}
	if err := r.w.Decode(&v); err != nil {
		return err
	}
	status, ok := statusOf(v.Analysis.State)
	if !ok || v.ID == "" {
		return nil
	}
	if len(r.analyses) == document.MaxStatements {
		return fmt.Errorf("%w (%d)", document.ErrTooMany, document.MaxStatements)
	}
	a := analysis{id: v.ID, vex: fact.VEX{
		Status: status, Justification: justification(v.Analysis.Justification), Impact: v.Analysis.Detail, Action: v.Recommendation,
		Made: document.Time(cmp.Or(v.Analysis.LastUpdated, v.Analysis.FirstIssued, v.Updated)),
	}}
	if v.Analysis.State == "false_positive" && a.vex.Impact == "" {
		a.vex.Impact = "the supplier says that the finding is wrong"
	}
	if status == fact.Affected && a.vex.Action == "" && len(v.Analysis.Response) > 0 {
		a.vex.Action = v.Analysis.Response[0]
	}
	for _, ref := range v.References {
		if ref.ID != "" && ref.ID != v.ID {
			a.aliases = append(a.aliases, ref.ID)
		}
	}
	for _, q := range v.Properties {
		if q.Name == propExpires {
			a.vex.Until = document.Time(q.Value)
		}
	}
	for _, about := range v.Affects {
		one := affected{ref: about.Ref}
		for _, version := range about.Versions {
			one.ranged = one.ranged || version.Status != "unaffected"
		}
		if one.ref != "" {
			a.affects = append(a.affects, one)
		}
	}
	r.analyses = append(r.analyses, a)
	return nil
}

// statusOf translates the impact analysis state (ECMA-424, vulnerabilities.analysis).
func statusOf(state string) (fact.VEXStatus, bool) {
	switch state {
	case "resolved", "resolved_with_pedigree":
		return fact.Fixed, true
	case "exploitable":
		return fact.Affected, true
	case "in_triage":
		return fact.UnderInvestigation, true
	case "false_positive", "not_affected":
		return fact.NotAffected, true
	}
	return "", false
}

// justification translates to the words of OpenVEX, where it has one.
func justification(word string) string {
	switch word {
	case "code_not_present":
		return "vulnerable_code_not_present"
	case "code_not_reachable":
		return "vulnerable_code_not_in_execute_path"
	case "protected_by_mitigating_control", "protected_at_runtime", "protected_at_perimeter", "protected_by_compiler":
		return "inline_mitigations_already_exist"
	}
	return document.Clip(document.Clean(word), 256) // requires_configuration, requires_dependency, requires_environment
}

// statements resolves what the analyses are about. One without anything that it
// affects is about nothing.
func (r *reader) statements() ([]fact.VEX, error) {
	var out []fact.VEX
	for i := range r.analyses {
		a := &r.analyses[i]
		v := a.vex
		v.Vulnerability, v.Format = clean(a.id), Name
		v.Author, v.Impact, v.Action = clean(r.author), clean(v.Impact), clean(v.Action)
		for _, alias := range a.aliases {
			v.Aliases = append(v.Aliases, clean(alias))
		}
		if v.Made.IsZero() {
			v.Made = document.Time(r.made)
		}
		// One statement for the subject itself, one for all packages in it.
		self, inside := v, v
		for _, about := range a.affects {
			ref := about.ref
			url := r.purlOf(ref)
			// "Not affected" beside a list of affected versions is about the one
			// version that the reference names; without one it is a
			// contradiction, on which nobody can rely.
			if about.ranged && (v.Status == fact.NotAffected || v.Status == fact.Fixed) && ref != r.root && !definite(url) {
				continue
			}
			switch {
			case ref == r.root && len(r.products) > 0:
				self.Products = append(self.Products, r.products...)
			case url == "":
				self.Products = append(self.Products, clean(ref))
			case r.byRef[ref] != "" && len(r.products) > 0:
				inside.Products, inside.Subcomponents = r.products, append(inside.Subcomponents, clean(url))
			default: // of another document: the package is the product
				self.Products = append(self.Products, clean(url))
			}
		}
		for _, s := range []fact.VEX{self, inside} {
			if len(s.Products) > 0 {
				out = append(out, s)
			}
		}
	}
	if len(out) > document.MaxStatements {
		return nil, fmt.Errorf("%w (%d statements)", document.ErrTooMany, document.MaxStatements)
	}
	return out, nil
}

// definite reports whether a URL names one version.
func definite(url string) bool {
	p, err := purl.From(url)
	return err == nil && p.Version != ""
}

func clean(s string) string { return document.Clip(document.Clean(s), document.MaxText) }
