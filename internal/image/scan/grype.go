package scan

import (
	"encoding/json"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

type grypeVulnerability struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	CVSS     list[struct {
		Metrics struct {
			BaseScore score `json:"baseScore"`
		} `json:"metrics"`
	}] `json:"cvss"`
	Fix struct {
		Versions list[string] `json:"versions"`
		State    string       `json:"state"`
	} `json:"fix"`
}

func (v *grypeVulnerability) score() (worst float64) {
	for _, c := range v.CVSS {
		worst = max(worst, float64(c.Metrics.BaseScore))
	}
	return worst
}

type grypeMatch struct {
	Vulnerability grypeVulnerability       `json:"vulnerability"`
	Related       list[grypeVulnerability] `json:"relatedVulnerabilities"`
	Artifact      struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"artifact"`
}

// readGrype reads Grype's JSON document.
func readGrype(p *parsed, w *walker) error {
	matches := false
	err := w.object(func(key string) (err error) {
		switch key {
		case "matches":
			matches, err = w.array(func() error { return readGrypeMatch(p, w) })
			return err
		case "ignoredMatches":
			_, err = w.array(func() error {
				p.report.Suppressed++
				return w.skip()
			})
			return err
		case "source":
			return readGrypeSource(p, w)
		case "descriptor":
			return readGrypeDescriptor(p, w)
		}
		return w.skip()
	})
	if err != nil {
		return err
	}
	if !matches {
		p.fail("Grype's report has no list of matches")
	}
	return nil
}

func readGrypeMatch(p *parsed, w *walker) error {
	var m grypeMatch
	if err := w.decode(&m); err != nil {
		return err
	}
	f := finding{Vulnerability: fact.Vulnerability{
		ID:       m.Vulnerability.ID,
		Package:  m.Artifact.Name,
		Version:  m.Artifact.Version,
		Severity: ParseSeverity(m.Vulnerability.Severity),
		Score:    m.Vulnerability.score(),
	}}
	switch m.Vulnerability.Fix.State {
	case "not-fixed", "wont-fix":
		f.Unfixed = true
	default:
		f.Fixed = strings.Join(m.Vulnerability.Fix.Versions, ", ")
	}
	var related float64
	for i := range m.Related {
		r := &m.Related[i]
		f.Aliases = addAlias(f.Aliases, f.ID, r.ID)
		f.database = max(f.database, ParseSeverity(r.Severity))
		related = max(related, r.score())
	}
	if f.Score == 0 {
		f.Score = related
	}
	return p.add(f)
}

// readGrypeSource reads what was scanned. The target is an object for images
// and a text for everything else.
func readGrypeSource(p *parsed, w *walker) error {
	var source struct {
		Type   string          `json:"type"`
		Target json.RawMessage `json:"target"`
	}
	if err := w.decode(&source); err != nil {
		return err
	}
	var target struct {
		ManifestDigest string       `json:"manifestDigest"`
		ImageID        string       `json:"imageID"`
		RepoDigests    list[string] `json:"repoDigests"`
	}
	if source.Type != "image" || json.Unmarshal(source.Target, &target) != nil {
		return nil // it names no digest
	}
	p.report.Config, _ = verdict.ParseDigest(target.ImageID)
	if d, err := verdict.ParseDigest(target.ManifestDigest); err == nil {
		// The manifest that was read. RepoDigests may name the index above it.
		p.subjects = []verdict.Digest{d}
		return nil
	}
	for _, r := range target.RepoDigests {
		p.addReference(r)
	}
	return nil
}

func readGrypeDescriptor(p *parsed, w *walker) error {
	var d struct {
		Name      string          `json:"name"`
		Version   string          `json:"version"`
		Timestamp string          `json:"timestamp"`
		DB        json.RawMessage `json:"db"`
	}
	if err := w.decode(&d); err != nil {
		return err
	}
	p.report.Scanner, p.report.Version = d.Name, d.Version
	p.report.Finished = instant(d.Timestamp)
	// The database's state is nested since Grype 0.88.
	type status struct {
		Built string `json:"built"`
		Valid *bool  `json:"valid"`
		Error any    `json:"error"`
	}
	var db struct {
		status
		Status *status `json:"status"`
	}
	if json.Unmarshal(d.DB, &db) != nil {
		return nil // it says nothing about its database
	}
	s := &db.status
	if db.Status != nil {
		s = db.Status
	}
	p.report.DBUpdated = instant(s.Built)
	if text, isText := s.Error.(string); (s.Error != nil && (!isText || text != "")) || (s.Valid != nil && !*s.Valid) {
		p.fail("Grype says that its vulnerability database was not valid")
	}
	return nil
}
