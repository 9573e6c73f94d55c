package scan

import (
	"fmt"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// trivySchema is the one version of the report that is read (Trivy 0.20 and later).
const trivySchema = 2

type trivyVulnerability struct {
	VulnerabilityID  string
	PkgName          string
	InstalledVersion string
	FixedVersion     string
	Status           string
	Severity         string
	VendorSeverity   values[level]
	CVSS             values[struct{ V2Score, V3Score, V40Score score }]
}

// readTrivy reads Trivy's JSON report.
//
// Metadata.ImageID is the digest of the image's configuration; the manifest's
// digest is in RepoDigests, which is empty for an image that was scanned
// before it was pushed.
func readTrivy(p *parsed, w *walker) error {
	p.report.Scanner = "Trivy"
	looked, schema := false, 0
	err := w.object(func(key string) error {
		switch key {
		case "SchemaVersion":
			return w.decode(&schema)
		case "CreatedAt":
			var at string
			err := w.text(&at)
			p.report.Finished = instant(at)
			return err
		case "Trivy":
			return w.object(func(key string) error {
				if key == "Version" {
					return w.text(&p.report.Version)
				}
				return w.skip()
			})
		case "Metadata":
			return readTrivyMetadata(p, w)
		case "Results":
			_, err := w.array(func() error { return readTrivyResult(p, w, &looked) })
			return err
		}
		return w.skip()
	})
	if err != nil {
		return err
	}
	if schema != trivySchema {
		return fmt.Errorf("%w: schema version %d, expected %d", ErrFormat, schema, trivySchema)
	}
	if !looked {
		p.fail("Trivy's report has no result about packages: the image holds none that Trivy knows, or it was not run with --scanners vuln")
	}
	return nil
}

func readTrivyMetadata(p *parsed, w *walker) error {
	var m struct {
		ImageID              string
		DiffIDs, RepoDigests list[string]
	}
	if err := w.decode(&m); err != nil {
		return err
	}
	p.report.Config, _ = verdict.ParseDigest(m.ImageID)
	for _, d := range m.DiffIDs {
		p.addDiffID(d)
	}
	for _, r := range m.RepoDigests {
		p.addReference(r)
	}
	return nil
}

func readTrivyResult(p *parsed, w *walker, looked *bool) error {
	class, found := "", false
	err := w.object(func(key string) error {
		switch key {
		case "Class":
			return w.text(&class)
		case "Vulnerabilities":
			_, err := w.array(func() error {
				found = true
				return readTrivyVulnerability(p, w)
			})
			return err
		case "ExperimentalModifiedFindings":
			_, err := w.array(func() error {
				var m struct{ Type string }
				err := w.decode(&m)
				if m.Type == "vulnerability" {
					p.report.Suppressed++
				}
				return err
			})
			return err
		}
		return w.skip()
	})
	switch class {
	case "os-pkgs", "lang-pkgs", "": // older versions name no class
		*looked = true
	}
	*looked = *looked || found
	return err
}

func readTrivyVulnerability(p *parsed, w *walker) error {
	var v trivyVulnerability
	if err := w.decode(&v); err != nil {
		return err
	}
	f := finding{Vulnerability: fact.Vulnerability{
		ID:       v.VulnerabilityID,
		Package:  v.PkgName,
		Version:  v.InstalledVersion,
		Fixed:    v.FixedVersion,
		Severity: ParseSeverity(v.Severity),
	}}
	if v.FixedVersion == "" {
		switch v.Status {
		case "", "affected", "will_not_fix", "fix_deferred", "end_of_life", "under_investigation":
			f.Unfixed = true
		}
	}
	for _, l := range v.VendorSeverity {
		f.database = max(f.database, fact.Severity(l))
	}
	// The newest version of CVSS counts, and of several vendors the worst.
	var v2, v3, v4 score
	for _, c := range v.CVSS {
		v2, v3, v4 = max(v2, c.V2Score), max(v3, c.V3Score), max(v4, c.V40Score)
	}
	for _, s := range []score{v4, v3, v2} {
		if f.Score == 0 {
			f.Score = float64(s)
		}
	}
	return p.add(f)
}
