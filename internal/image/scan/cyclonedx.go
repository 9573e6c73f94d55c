package scan

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// maxComponents bounds the components whose names are kept for the findings.
const maxComponents = 200_000

type cycloneComponent struct {
	Ref        string `json:"bom-ref"`
	Name       string `json:"name"`
	Version    string `json:"version"`
	PURL       string `json:"purl"`
	Properties list[struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}] `json:"properties"`
}

type cycloneVulnerability struct {
	ID      string `json:"id"`
	Ratings list[struct {
		Score    score  `json:"score"`
		Severity string `json:"severity"`
		Vector   score  `json:"vector"`
	}] `json:"ratings"`
	References list[struct {
		ID string `json:"id"`
	}] `json:"references"`
	Affects list[struct {
		Ref string `json:"ref"`
	}] `json:"affects"`
	Analysis struct {
		State string `json:"state"`
	} `json:"analysis"`
}

type component struct{ name, version string }

// cyclone collects what stands in any order in the document.
type cyclone struct {
	*parsed
	w          *walker
	components map[string]component
	present    bool // there is a list of vulnerabilities
}

// readCycloneDX reads a CycloneDX BOM with vulnerabilities (1.4 and later). Of
// several ratings the worst counts: the format does not say which one the
// scanner believes.
func readCycloneDX(p *parsed, w *walker) error {
	c := &cyclone{parsed: p, w: w, components: map[string]component{}}
	err := w.object(func(key string) (err error) {
		switch key {
		case "metadata":
			return c.metadata()
		case "components":
			return c.list()
		case "vulnerabilities":
			c.present, err = w.array(c.vulnerability)
			return err
		}
		return w.skip()
	})
	if err != nil {
		return err
	}
	if !c.present {
		p.fail("it has no list of vulnerabilities: it is an SBOM and not a report")
	}
	// Until here Package holds the reference to the component.
	for i := range p.findings {
		f := &p.findings[i]
		if known, ok := c.components[f.Package]; ok {
			f.Package, f.Version = clip(known.name, maxText), clip(known.version, maxID)
		}
	}
	return nil
}

func (c *cyclone) metadata() error {
	return c.w.object(func(key string) error {
		switch key {
		case "timestamp":
			var at string
			err := c.w.text(&at)
			c.report.Finished = instant(at)
			return err
		case "tools":
			return c.tools()
		case "component":
			var subject cycloneComponent
			if err := c.w.decode(&subject); err != nil {
				return err
			}
			c.subject(&subject)
			return nil
		}
		return c.w.skip()
	})
}

// tools reads both forms: a list (until 1.4) and an object with components
// (since 1.5). A known scanner counts before other tools, since the BOM's
// generator is listed too.
func (c *cyclone) tools() error {
	type tool struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	var raw rawTools[tool]
	if err := c.w.decode(&raw); err != nil {
		return err
	}
	for i, t := range raw {
		if i == 0 || (known(t.Name) && !known(c.report.Scanner)) {
			c.report.Scanner, c.report.Version = t.Name, t.Version
		}
	}
	return nil
}

type rawTools[T any] []T

func (r *rawTools[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return (*list[T])(r).UnmarshalJSON(data)
	}
	w := newWalker(data)
	return w.object(func(key string) error {
		if key == "components" {
			return w.decode((*list[T])(r))
		}
		return w.skip()
	})
}

func known(name string) bool {
	for _, n := range scannerNames {
		if scannerName(name) == n {
			return true
		}
	}
	return false
}

// subject reads what the BOM is about: the digest is in the package URL
// (purl-spec, type oci), in the version (Syft, Grype) or in Trivy's properties.
func (c *cyclone) subject(s *cycloneComponent) {
	c.addSubject(s.Version)
	for _, purl := range []string{s.PURL, s.Ref} {
		c.addSubject(purlDigest(purl))
	}
	for _, property := range s.Properties {
		switch property.Name {
		case "aquasecurity:trivy:RepoDigest":
			c.addReference(property.Value)
		case "aquasecurity:trivy:ImageID":
			c.report.Config, _ = verdict.ParseDigest(property.Value)
		case "aquasecurity:trivy:DiffID":
			c.addDiffID(property.Value)
		}
	}
}

// purlDigest returns the digest in "pkg:oci/name@sha256:…?…", or "".
func purlDigest(purl string) string {
	rest, ok := strings.CutPrefix(purl, "pkg:oci/")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "?")
	_, version, _ := strings.Cut(rest, "@")
	version, err := url.PathUnescape(version)
	if err != nil {
		return ""
	}
	return version
}

// list reads components, which may hold components.
func (c *cyclone) list() error {
	_, err := c.w.array(func() error {
		var ref string
		var item component
		err := c.w.object(func(key string) error {
			switch key {
			case "bom-ref":
				return c.w.text(&ref)
			case "name":
				return c.w.text(&item.name)
			case "version":
				return c.w.text(&item.version)
			case "components":
				return c.list()
			}
			return c.w.skip()
		})
		if err != nil || ref == "" {
			return err
		}
		if len(c.components) == maxComponents {
			return fmt.Errorf("%w (%d)", ErrTooMany, maxComponents)
		}
		c.components[ref] = item
		return nil
	})
	return err
}

func (c *cyclone) vulnerability() error {
	var v cycloneVulnerability
	if err := c.w.decode(&v); err != nil {
		return err
	}
	switch v.Analysis.State {
	case "not_affected", "false_positive":
		// Both say that this very image is not affected. "resolved" does not:
		// what a digest names cannot be mended.
		c.report.Suppressed++
		return nil
	}
	f := finding{Vulnerability: fact.Vulnerability{ID: v.ID}}
	for _, r := range v.Ratings {
		f.Severity = max(f.Severity, ParseSeverity(r.Severity))
		f.Score = max(f.Score, float64(r.Score), float64(r.Vector))
	}
	for _, r := range v.References {
		f.Aliases = addAlias(f.Aliases, f.ID, r.ID)
	}
	if len(v.Affects) == 0 {
		return c.add(f)
	}
	for _, a := range v.Affects {
		f.Package = a.Ref
		if err := c.add(f); err != nil {
			return err
		}
	}
	return nil
}
