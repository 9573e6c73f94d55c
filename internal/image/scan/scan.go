// Package scan reads what others found out about an image: vulnerability
// reports of scanners, and SLSA provenance of builders.
//
// Start with [ParseReport] for a report that a person hands in,
// [FromAttestation] for one that was signed as an in-toto statement, and
// [ParseProvenance] for how the image was built. All three are pure functions
// over bytes: they fetch nothing, verify no signature and read no clock, and
// are safe for concurrent use.
//
// A report's format is told by its content, never by a file's name: Trivy JSON
// (schema version 2), Grype JSON, CycloneDX with vulnerabilities (1.4 and
// later), SARIF 2.1.0 and OSV-Scanner JSON. A document that is none of them, or
// two of them at once, is refused.
//
// The package fails closed. "No vulnerabilities" is only ever the answer of a
// scan that says that it looked: a failed invocation, a missing result and an
// SBOM whose list of vulnerabilities is empty because nobody scanned are
// [verdict.ReportFailed], and what cannot be read is [verdict.ReportInvalid].
package scan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// The limits on foreign documents.
const (
	// MaxReport is how many bytes a report may have. Trivy writes about 4 KB a
	// finding, mostly references, so this holds some 16,000 of them.
	MaxReport = 64 << 20
	// maxDepth is several times the nesting of any of the formats.
	maxDepth = 64
	// maxFindings is more than any image has; a list that is longer is hostile.
	maxFindings = 100_000
	// maxElements bounds the lists that are walked without being kept.
	maxElements = 1_000_000
	// maxInner bounds the lists inside one finding (ratings, aliases, sources).
	maxInner = 1_000

	// Texts are clipped, so that a finding cannot be used to store a novel.
	maxID      = 256
	maxText    = 512
	maxAliases = 32
)

var (
	// ErrFormat is wrapped by errors about a document in no supported format.
	ErrFormat = errors.New("not a vulnerability report in a supported format")
	// ErrTooMany is wrapped by errors about a list that is longer than its limit.
	ErrTooMany = errors.New("more items than are read")
)

// ParseReport reads a vulnerability report in any supported format.
//
// The result's Code is [verdict.OK] when the scan finished and could be read,
// [verdict.ReportFailed] when the report says that the scan failed or never
// looked, and [verdict.ReportInvalid], together with an error, when it cannot be
// read. Signing is left to the caller. Finished is zero when the format names
// no time (OSV-Scanner, some SARIF): such a report is of unknown age. Subject is
// "" when the report names no digest, or several different ones.
func ParseReport(data []byte) (fact.Report, error) {
	p, err := parse(data)
	if err != nil {
		return invalid(err), err
	}
	if p.format == formatCycloneDX && p.total() == 0 && p.report.Code == verdict.OK {
		// Trivy writes the same empty list into an SBOM for which nobody
		// scanned, so an empty list says nothing.
		p.fail("its list of vulnerabilities is empty, which is also what an SBOM says for which nobody scanned: hand in the scanner's own JSON instead")
	}
	return p.report, nil
}

func invalid(err error) fact.Report {
	return fact.Report{Code: verdict.ReportInvalid, Detail: clip(err.Error(), maxText)}
}

// format is the shape of a report.
type format string

const (
	formatTrivy     format = "Trivy JSON"
	formatGrype     format = "Grype JSON"
	formatCycloneDX format = "CycloneDX"
	formatSARIF     format = "SARIF"
	formatOSV       format = "OSV-Scanner JSON"
)

// parsed is a report together with what its reader needs to remember.
type parsed struct {
	format   format
	report   fact.Report
	subjects []verdict.Digest // every manifest digest that it names, sorted
	findings []finding
}

func (p *parsed) total() int { return len(p.report.Findings) + p.report.Suppressed }

// fail marks the scan as failed; the first reason stands.
func (p *parsed) fail(why string) {
	if p.report.Code == verdict.OK {
		p.report.Code, p.report.Detail = verdict.ReportFailed, clip(why, maxText)
	}
}

// addSubject notes a manifest digest; text that is no sha256 digest names nothing.
func (p *parsed) addSubject(text string) {
	if d, err := verdict.ParseDigest(text); err == nil && !slices.Contains(p.subjects, d) && len(p.subjects) < maxInner {
		p.subjects = append(p.subjects, d)
	}
}

// addReference notes the digest of "repository@sha256:…".
func (p *parsed) addReference(text string) {
	if _, digest, ok := strings.Cut(text, "@"); ok {
		p.addSubject(digest)
	}
}

func (p *parsed) addDiffID(text string) {
	if d, err := verdict.ParseDigest(text); err == nil && len(p.report.DiffIDs) < maxInner {
		p.report.DiffIDs = append(p.report.DiffIDs, d)
	}
}

// strict are the rules of foreign JSON. Reports quote the labels of the image
// that was scanned, and provenance holds environments and build arguments, in
// which two keys may differ in case only; nothing here reads any of them.
func strict() bounded.Rules {
	return bounded.Rules{Depth: maxDepth, FreeMaps: []string{"annotations", "args", "environment", "labels", "Labels"}}
}

// parse reads a report of any format from a whole document.
func parse(data []byte) (*parsed, error) {
	if len(data) > MaxReport {
		return nil, fmt.Errorf("vulnerability report: %w of %d bytes", bounded.ErrTooLarge, MaxReport)
	}
	if err := strict().Check(data); err != nil {
		return nil, fmt.Errorf("vulnerability report: %w", err)
	}
	return parseChecked(data)
}

// parseChecked is parse for bytes that passed the check of depth and keys.
func parseChecked(data []byte) (*parsed, error) {
	f, err := sniff(data)
	if err != nil {
		return nil, fmt.Errorf("vulnerability report: %w", err)
	}
	p := &parsed{format: f, report: fact.Report{Code: verdict.OK}}
	read := map[format]func(*parsed, *walker) error{
		formatTrivy:     readTrivy,
		formatGrype:     readGrype,
		formatCycloneDX: readCycloneDX,
		formatSARIF:     readSARIF,
		formatOSV:       readOSV,
	}[f]
	if err := read(p, newWalker(data)); err != nil {
		return nil, fmt.Errorf("%s report: %w", f, err)
	}
	slices.Sort(p.subjects)
	if len(p.subjects) == 1 {
		p.report.Subject = p.subjects[0]
	}
	p.report.Scanner = scannerName(p.report.Scanner)
	p.report.Version = clip(p.report.Version, maxID)
	p.report.Findings = resolve(p.findings)
	p.findings = nil
	return p, nil
}

// sniff tells the format by the top-level keys, in their exact case.
func sniff(data []byte) (format, error) {
	keys := map[string]bool{}
	var cyclone, version string
	w := newWalker(data)
	err := w.object(func(key string) error {
		keys[clip(key, maxID)] = true
		switch key {
		case "bomFormat":
			return w.text(&cyclone)
		case "version":
			return w.text(&version)
		}
		return w.skip()
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	var found []format
	if cyclone == "CycloneDX" {
		found = append(found, formatCycloneDX)
	}
	if keys["runs"] {
		if version != "2.1.0" {
			return "", fmt.Errorf("%w: SARIF version %q, expected 2.1.0", ErrFormat, clip(version, 20))
		}
		found = append(found, formatSARIF)
	}
	if keys["matches"] && keys["descriptor"] {
		found = append(found, formatGrype)
	}
	if keys["SchemaVersion"] && (keys["ArtifactName"] || keys["ArtifactType"] || keys["Results"]) {
		found = append(found, formatTrivy)
	}
	if keys["results"] {
		found = append(found, formatOSV)
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%w (Trivy JSON, Grype JSON, CycloneDX, SARIF 2.1.0, OSV-Scanner JSON)", ErrFormat)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%w: it looks like %s and %s at once", ErrFormat, found[0], found[1])
}

// scannerNames are the scanners whose names policies spell in one way.
var scannerNames = [...]string{"Trivy", "Grype", "OSV-Scanner"}

// scannerName returns the name as policies spell it, where it is a known one.
func scannerName(name string) string {
	for _, known := range scannerNames {
		if strings.EqualFold(name, known) {
			return known
		}
	}
	return clip(name, maxID)
}

// instant reads an RFC 3339 time; the zero time stands for text that is none,
// so that a report with a broken time has no time.
func instant(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1990 {
		// Go programs write the zero time as year 1.
		return time.Time{}
	}
	return t.UTC()
}

// clip shortens s to at most n bytes without splitting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}
