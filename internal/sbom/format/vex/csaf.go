package vex

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/document"
)

// csafName is a full_product_name.
type csafName struct {
	ID     string `json:"product_id"`
	Helper struct {
		PURL   string `json:"purl"`
		CPE    string `json:"cpe"`
		Hashes document.List[struct {
			FileHashes document.List[struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			}] `json:"file_hashes"`
		}] `json:"hashes"`
	} `json:"product_identification_helper"`
}

// csafRelation says that a product is part of another one, under a new name.
type csafRelation struct {
	Name csafName `json:"full_product_name"`
	Part string   `json:"product_reference"`
	Of   string   `json:"relates_to_product_reference"`
}

type csafStatus struct {
	FirstFixed         document.List[string] `json:"first_fixed"`
	Fixed              document.List[string] `json:"fixed"`
	FirstAffected      document.List[string] `json:"first_affected"`
	KnownAffected      document.List[string] `json:"known_affected"`
	LastAffected       document.List[string] `json:"last_affected"`
	KnownNotAffected   document.List[string] `json:"known_not_affected"`
	UnderInvestigation document.List[string] `json:"under_investigation"`
}

// csafAbout is a flag, threat or remediation: words about some products.
type csafAbout struct {
	Label    string                `json:"label"`
	Category string                `json:"category"`
	Details  string                `json:"details"`
	Products document.List[string] `json:"product_ids"`
	Groups   document.List[string] `json:"group_ids"`
}

type csafVulnerability struct {
	CVE string `json:"cve"`
	IDs document.List[struct {
		Text string `json:"text"`
	}] `json:"ids"`
	Status       csafStatus               `json:"product_status"`
	Flags        document.List[csafAbout] `json:"flags"`
	Threats      document.List[csafAbout] `json:"threats"`
	Remediations document.List[csafAbout] `json:"remediations"`
}

// csaf collects what stands in any order in the document.
type csaf struct {
	w       *document.Walker
	names   map[string]names // of products, by identifier
	parts   map[string]csafRelation
	groups  map[string][]string
	version string
	profile string
	state   string
	author  string
	made    string
	all     []csafVulnerability
	list
}

// CSAF reads a CSAF 2.0 document of the profile VEX. It has passed
// [document.Check]. A draft is refused. Products without a package URL or hash
// are named by their CPE, and else by the document's own identifier.
func CSAF(data []byte) ([]fact.VEX, error) {
	c := &csaf{w: document.NewWalker(data), names: map[string]names{}, parts: map[string]csafRelation{}, groups: map[string][]string{}}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("read CSAF: %w", err)
	}
	return c.statements, nil
}

func (c *csaf) read() error {
	err := c.w.Object(func(key string) (err error) {
		switch key {
		case "document":
			return c.document()
		case "product_tree":
			return c.tree()
		case "vulnerabilities":
			_, err = c.w.Array(func() error {
				var v csafVulnerability
				if err := c.w.Decode(&v); err != nil {
					return err
				}
				if len(c.all) == document.MaxStatements {
					return fmt.Errorf("%w (%d)", document.ErrTooMany, document.MaxStatements)
				}
				c.all = append(c.all, v)
				return nil
			})
			return err
		}
		return c.w.Skip()
	})
	switch {
	case err != nil:
		return err
	case c.version != "2.0":
		return fmt.Errorf("%w: csaf_version %q, expected 2.0", ErrVersion, document.Clip(c.version, 20))
	case c.profile != "csaf_vex":
		return fmt.Errorf("%w: category %q, expected csaf_vex", ErrVersion, document.Clip(c.profile, 40))
	case c.state != "final" && c.state != "interim":
		return fmt.Errorf("%w: the document's status is %q, expected final or interim", ErrVersion, document.Clip(c.state, 20))
	}
	for i := range c.all {
		if err := c.vulnerability(&c.all[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *csaf) document() error {
	var d struct {
		Category  string `json:"category"`
		Version   string `json:"csaf_version"`
		Publisher struct {
			Name string `json:"name"`
		} `json:"publisher"`
		Tracking struct {
			Current string `json:"current_release_date"`
			Initial string `json:"initial_release_date"`
			Status  string `json:"status"`
		} `json:"tracking"`
	}
	if err := c.w.Decode(&d); err != nil {
		return err
	}
	c.profile, c.version, c.state, c.author = d.Category, d.Version, d.Tracking.Status, clean(d.Publisher.Name)
	c.made = cmp.Or(d.Tracking.Current, d.Tracking.Initial)
	return nil
}

func (c *csaf) tree() error {
	return c.w.Object(func(key string) (err error) {
		switch key {
		case "branches":
			return c.branches()
		case "full_product_names":
			_, err = c.w.Array(func() error {
				var n csafName
				if err := c.w.Decode(&n); err != nil {
					return err
				}
				return c.name(&n)
			})
		case "relationships":
			_, err = c.w.Array(func() error {
				var r csafRelation
				if err := c.w.Decode(&r); err != nil {
					return err
				}
				c.parts[r.Name.ID] = r
				return c.name(&r.Name)
			})
		case "product_groups":
			_, err = c.w.Array(func() error {
				var g struct {
					ID       string                `json:"group_id"`
					Products document.List[string] `json:"product_ids"`
				}
				err := c.w.Decode(&g)
				c.groups[g.ID] = g.Products
				return err
			})
		default:
			return c.w.Skip()
		}
		return err
	})
}

// branches reads products by vendor, name and version, which nest.
func (c *csaf) branches() error {
	_, err := c.w.Array(func() error {
		return c.w.Object(func(key string) error {
			switch key {
			case "branches":
				return c.branches()
			case "product":
				var n csafName
				if err := c.w.Decode(&n); err != nil {
					return err
				}
				return c.name(&n)
			}
			return c.w.Skip()
		})
	})
	return err
}

func (c *csaf) name(n *csafName) error {
	if n.ID == "" {
		return fmt.Errorf("%w: a product has no product_id", ErrStatement)
	}
	if len(c.names) == document.MaxPackages {
		return fmt.Errorf("%w (%d products)", document.ErrTooMany, document.MaxPackages)
	}
	var out names
	out.add(n.Helper.PURL)
	for _, h := range n.Helper.Hashes {
		for _, f := range h.FileHashes {
			out.hash(f.Algorithm, f.Value)
		}
	}
	if len(out) == 0 {
		out.add(n.Helper.CPE)
	}
	c.names[n.ID] = out
	return nil
}

// about returns the names of a product, and of the part of it that it is about:
// "openssl as a component of the image" is the image with a subcomponent.
func (c *csaf) about(id string) (product, part []string, err error) {
	all, known := c.names[id]
	if !known {
		return nil, nil, fmt.Errorf("%w: the product %q is not in the product tree", ErrStatement, document.Clip(id, 100))
	}
	r, ok := c.parts[id]
	// The relation's own package URL, if any, is of the part.
	for range 8 { // a part of a part: its place is what it is all in
		if !ok {
			break
		}
		if len(part) == 0 {
			if part = all; len(part) == 0 {
				part = c.own(r.Part)
			}
		}
		id = r.Of
		r, ok = c.parts[id]
	}
	if ok {
		return nil, nil, fmt.Errorf("%w: the product %q is part of itself, or of too many", ErrStatement, document.Clip(id, 100))
	}
	return c.own(id), part, nil
}

// own returns the names of a product, its identifier where it has no other.
func (c *csaf) own(id string) []string {
	if n := c.names[id]; len(n) > 0 {
		return n
	}
	return []string{clean(id)}
}

// members returns the products of groups.
func (c *csaf) members(groups []string) [][]string {
	var out [][]string
	for _, g := range groups {
		out = append(out, c.groups[g])
	}
	return out
}

// words are what a document says of one product beside its status.
type words struct{ justification, impact, action string }

func (c *csaf) vulnerability(v *csafVulnerability) error {
	base := fact.VEX{Vulnerability: clean(v.CVE), Format: FormatCSAF, Author: c.author, Made: document.Time(c.made)}
	var ids []string
	for _, id := range v.IDs {
		ids = append(ids, id.Text)
	}
	if base.Vulnerability == "" && len(ids) > 0 {
		base.Vulnerability = clean(ids[0])
	}
	base.Aliases = distinct(ids, base.Vulnerability)
	if base.Vulnerability == "" {
		return fmt.Errorf("%w: a vulnerability has neither cve nor ids", ErrStatement)
	}
	said, err := c.words(v)
	if err != nil {
		return err
	}
	state := map[string]fact.VEXStatus{}
	at := map[string]int{} // statements by all that they say but the products
	for _, s := range []struct {
		status fact.VEXStatus
		lists  [][]string
	}{
		{fact.Affected, [][]string{v.Status.KnownAffected, v.Status.FirstAffected, v.Status.LastAffected}},
		{fact.UnderInvestigation, [][]string{v.Status.UnderInvestigation}},
		{fact.Fixed, [][]string{v.Status.Fixed, v.Status.FirstFixed}},
		{fact.NotAffected, [][]string{v.Status.KnownNotAffected}},
	} {
		for _, id := range slices.Concat(s.lists...) {
			// Contradicting groups are forbidden (section 6.1.6): the product
			// would be affected and not.
			if before, ok := state[id]; ok {
				if before != s.status {
					return fmt.Errorf("%w: %s: the product %q is %s and %s", ErrStatement, base.Vulnerability, document.Clip(id, 100), before, s.status)
				}
				continue
			}
			state[id] = s.status
			if err := c.product(base, s.status, id, said[id], at); err != nil {
				return err
			}
		}
	}
	return nil
}

// product adds what is said of one product to the statement that says the same.
func (c *csaf) product(v fact.VEX, status fact.VEXStatus, id string, said words, at map[string]int) error {
	product, part, err := c.about(id)
	if err != nil {
		return err
	}
	if err := c.spend(len(product) + len(part)); err != nil {
		return err
	}
	v.Status, v.Products, v.Subcomponents = status, slices.Clone(product), part
	switch status {
	case fact.NotAffected:
		v.Justification, v.Impact = said.justification, said.impact
	case fact.Affected:
		v.Action = said.action
	}
	key := strings.Join(append([]string{string(status), v.Justification, v.Impact, v.Action}, part...), "\x00")
	if n, ok := at[key]; ok {
		c.statements[n].Products = append(c.statements[n].Products, product...)
		return nil
	}
	at[key] = len(c.statements)
	return c.add(v)
}

// words returns what flags, threats and remediations say, by product.
func (c *csaf) words(v *csafVulnerability) (map[string]words, error) {
	out := map[string]words{}
	note := func(a *csafAbout, set func(*words)) error {
		for _, ids := range append([][]string{a.Products}, c.members(a.Groups)...) {
			if err := c.spend(len(ids)); err != nil {
				return err
			}
			for _, id := range ids {
				said := out[id]
				set(&said)
				out[id] = said
			}
		}
		return nil
	}
	for i := range v.Flags {
		label := clean(v.Flags[i].Label)
		if err := note(&v.Flags[i], func(s *words) { s.justification = label }); err != nil {
			return nil, err
		}
	}
	for i := range v.Threats {
		t := &v.Threats[i]
		if t.Category != "impact" {
			continue
		}
		impact := clean(t.Details)
		if err := note(t, func(s *words) { s.impact = impact }); err != nil {
			return nil, err
		}
	}
	for i := range v.Remediations {
		action := clean(cmp.Or(v.Remediations[i].Details, v.Remediations[i].Category))
		if err := note(&v.Remediations[i], func(s *words) { s.action = cmp.Or(s.action, action) }); err != nil {
			return nil, err
		}
	}
	return out, nil
}
