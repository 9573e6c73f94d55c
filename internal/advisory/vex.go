package advisory

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/fact"
)

// Exploitability is what statements (VEX) say about a match.
type Exploitability struct {
	// Status and the rest are of the statement that counts most: the newest that
	// is in force, else the newest.
	Status        fact.VEXStatus `json:"status"`
	Justification string         `json:"justification,omitempty"`
	Impact        string         `json:"impact,omitempty"`
	// By are those who signed it and, where a second approver is needed, the others.
	By    []string  `json:"by,omitempty"`
	Until time.Time `json:"until,omitzero"`
	// Counts says that the match is suppressed. Otherwise Why says what is missing.
	Counts bool   `json:"counts"`
	Why    string `json:"why,omitempty"`
}

// Product says what the matches are about, as statements name products.
type Product struct {
	// Names are the product's digests ("sha256:…") and PURLs.
	Names []string
}

// clockSkew is how far in the future a statement may have been made: the
// clocks of two machines.
const clockSkew = 5 * time.Minute

// ApplyVEX sets VEX on the matches that statements are about. packages are
// those that were matched.
//
// A statement suppresses a match when it says not_affected, with a reason, or
// fixed; is signed by somebody who is trusted; and has an expiry that has not
// passed. Of several that are in force the newest counts. What is known to be
// exploited, or is malicious, is suppressed only by two signers. Everything else
// is shown and changes nothing. A statement lapses by itself: apply it anew
// whenever the time matters.
func ApplyVEX(matches []Match, packages []fact.Package, statements []fact.VEX, product Product, now time.Time) {
	if len(statements) == 0 {
		return
	}
	byName := map[string][]int{}
	for i := range statements {
		for _, n := range append([]string{statements[i].Vulnerability}, statements[i].Aliases...) {
			if n != "" {
				byName[n] = append(byName[n], i)
			}
		}
	}
	for i := range matches {
		m := &matches[i]
		var about []*fact.VEX
		seen := map[int]bool{}
		for _, n := range slices.Concat([]string{m.Group}, m.IDs, m.Aliases) {
			for _, s := range byName[n] {
				if !seen[s] && covers(&statements[s], product, &packages[m.Package]) {
					about = append(about, &statements[s])
				}
				seen[s] = true
			}
		}
		if len(about) > 0 {
			m.VEX = weigh(m, about, now)
		}
	}
}

// weigh decides what the statements about one match come to.
func weigh(m *Match, about []*fact.VEX, now time.Time) *Exploitability {
	// Newest first; of those made at one time the less favourable first.
	slices.SortStableFunc(about, func(a, b *fact.VEX) int {
		return cmp.Or(b.Made.Compare(a.Made), cmp.Compare(favour(a), favour(b)))
	})
	var inForce []*fact.VEX
	for _, s := range about {
		if objection(s, now) == "" {
			inForce = append(inForce, s)
		}
	}
	if len(inForce) == 0 {
		out := describe(about[0])
		out.Why = objection(about[0], now)
		return out
	}
	top := inForce[0]
	out := describe(top)
	if out.Why = unsaid(top); out.Why != "" {
		return out
	}
	// Each signer's newest word counts, and each signer once.
	signers := map[string]bool{}
	for _, s := range inForce {
		who := signer(&s.Signing)
		if signers[who] {
			continue
		}
		signers[who] = true
		if s != top && unsaid(s) == "" {
			out.By = append(out.By, who)
			if s.Until.Before(out.Until) {
				out.Until = s.Until
			}
		}
	}
	if (m.Exploited != nil || m.Malicious) && len(out.By) < 2 {
		out.Why = "it is known to be exploited, and only one signer says so: a second one must"
		return out
	}
	out.Counts = true
	return out
}

func describe(s *fact.VEX) *Exploitability {
	out := &Exploitability{Status: s.Status, Justification: s.Justification, Impact: s.Impact, Until: s.Until}
	if who := signer(&s.Signing); who != "" {
		out.By = []string{who}
	}
	return out
}

// objection says why a statement is not in force; "" when it is.
func objection(s *fact.VEX, now time.Time) string {
	switch {
	case !s.Signing.Valid():
		return "nobody who is trusted signed the statement"
	case signer(&s.Signing) == "":
		return "it is not known who signed the statement"
	case !s.Signing.Until.IsZero() && !now.Before(s.Signing.Until):
		return "the statement's signature is no longer good"
	case s.Until.IsZero():
		return "the statement has no expiry"
	case !now.Before(s.Until):
		return "the statement has expired"
	case s.Made.After(now.Add(clockSkew)):
		return "the statement is dated in the future"
	}
	return ""
}

// unsaid says why a statement in force does not suppress; "" when it does.
func unsaid(s *fact.VEX) string {
	switch s.Status {
	case fact.Fixed:
		return ""
	case fact.NotAffected:
		if strings.TrimSpace(s.Justification) == "" && strings.TrimSpace(s.Impact) == "" {
			return "not_affected needs a justification or an impact statement"
		}
		return ""
	case fact.Affected:
		return "the statement says that the product is affected"
	case fact.UnderInvestigation:
		return "the statement says that it is being investigated"
	}
	return "the statement has an unknown status"
}

func favour(s *fact.VEX) int {
	if unsaid(s) == "" {
		return 1
	}
	return 0
}

// signer names who signed: the identity of a certificate, else the key.
func signer(s *fact.Signing) string {
	if s.Identity.Subject != "" {
		return s.Identity.Subject + " (" + s.Identity.Issuer + ")"
	}
	return s.KeyID
}

// covers reports whether the statement is about the package in the product.
func covers(s *fact.VEX, product Product, p *fact.Package) bool {
	for _, name := range s.Products {
		// A statement about the package itself holds wherever it is.
		if samePURL(name, p.PURL) {
			return true
		}
		if !slices.ContainsFunc(product.Names, func(n string) bool { return sameProduct(name, n) }) {
			continue
		}
		if len(s.Subcomponents) == 0 || slices.ContainsFunc(s.Subcomponents, func(c string) bool { return samePURL(c, p.PURL) }) {
			return true
		}
	}
	return false
}

// sameProduct reports whether a statement's name of a product means ours: the
// same text, a PURL that fits, or a PURL of an image with our digest.
func sameProduct(stated, ours string) bool {
	if stated == ours {
		return stated != ""
	}
	if strings.HasPrefix(ours, "sha256:") {
		u, err := packageurl.FromString(stated)
		return err == nil && u.Type == packageurl.TypeOCI && u.Version == ours
	}
	return samePURL(stated, ours)
}

// samePURL reports whether the stated PURL fits ours: what it leaves out fits
// anything, what it names must be the same.
func samePURL(stated, ours string) bool {
	if !strings.HasPrefix(stated, "pkg:") || !strings.HasPrefix(ours, "pkg:") {
		return false
	}
	a, err := packageurl.FromString(stated)
	if err != nil {
		return false
	}
	b, err := packageurl.FromString(ours)
	if err != nil || a.Type != b.Type || a.Namespace != b.Namespace || a.Name != b.Name {
		return false
	}
	if a.Version != "" && a.Version != b.Version || a.Subpath != "" && a.Subpath != b.Subpath {
		return false
	}
	has := b.Qualifiers.Map()
	for _, q := range a.Qualifiers {
		if has[q.Key] != q.Value {
			return false
		}
	}
	return true
}
