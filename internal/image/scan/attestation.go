package scan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// The predicate types of vulnerability reports.
const (
	// PredicateVuln is cosign's (sigstore/cosign, COSIGN_VULN_ATTESTATION_SPEC).
	PredicateVuln = "https://cosign.sigstore.dev/attestation/vuln/v1"
	// PredicateVulns01 and PredicateVulns02 are in-toto's.
	PredicateVulns01 = "https://in-toto.io/attestation/vulns/v0.1"
	PredicateVulns02 = "https://in-toto.io/attestation/vulns/v0.2"
	// PredicateCycloneDX begins the types of CycloneDX BOMs. Such an
	// attestation is a report only when it lists vulnerabilities.
	PredicateCycloneDX = "https://cyclonedx.org/bom"
)

// FromAttestation reads the vulnerability report inside a signed statement. ok
// is false when the statement is none, and then there is no error either.
//
// The report carries the statement's Signing. Its Finished is the predicate's
// scanFinishedOn, or the time of the report inside; a report with neither is
// [verdict.ReportInvalid]. Its Subject is the statement's digest, provided that
// the report inside names no other: where the two disagree, Subject is what the
// scanner looked at. It is then [verdict.ReportSubject], unless the report also
// names the image's Config, which tells whether the two are the same image
// under the digests of its index and of its platform.
//
// On an error the report's Code is [verdict.ReportInvalid] as well.
func FromAttestation(a *fact.Attestation) (report fact.Report, ok bool, err error) {
	switch {
	case a.PredicateType == PredicateVuln:
		report, err = fromPredicate(a, readResult)
	case a.PredicateType == PredicateVulns01, a.PredicateType == PredicateVulns02:
		report, err = fromPredicate(a, readVulns)
	case a.PredicateType == PredicateCycloneDX, strings.HasPrefix(a.PredicateType, PredicateCycloneDX+"/"):
		if !bytes.Contains(a.Predicate, []byte(`"vulnerabilities"`)) {
			return fact.Report{}, false, nil // an SBOM
		}
		var p *parsed
		if p, err = parse(a.Predicate); err != nil {
			break
		}
		if p.format != formatCycloneDX {
			err = fmt.Errorf("%w: the predicate is %s", ErrFormat, p.format)
			break
		}
		if p.total() == 0 {
			return fact.Report{}, false, nil // an SBOM: see ParseReport
		}
		report = p.finish(a, "")
	default:
		return fact.Report{}, false, nil
	}
	if err != nil {
		err = fmt.Errorf("attestation %s: %w", a.PredicateType, err)
		report = invalid(err)
	}
	report.Signing = a.Signing
	return report, true, err
}

// predicate is what cosign's and in-toto's predicates have in common.
type predicate struct {
	Scanner struct {
		URI     string `json:"uri"`
		Version string `json:"version"`
		DB      struct {
			LastUpdate string `json:"lastUpdate"`
		} `json:"db"`
		Result json.RawMessage `json:"result"`
	} `json:"scanner"`
	Metadata struct {
		Finished string `json:"scanFinishedOn"`
	} `json:"metadata"`
}

func fromPredicate(a *fact.Attestation, read func(json.RawMessage) (*parsed, error)) (fact.Report, error) {
	if len(a.Predicate) > MaxReport {
		return fact.Report{}, fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, MaxReport)
	}
	var pr predicate
	if err := strict().Unmarshal(a.Predicate, &pr); err != nil {
		return fact.Report{}, err
	}
	p, err := read(pr.Scanner.Result)
	if err != nil {
		return fact.Report{}, fmt.Errorf("scanner.result: %w", err)
	}
	if _, err := time.Parse(time.RFC3339Nano, pr.Metadata.Finished); err != nil && pr.Metadata.Finished != "" {
		return fact.Report{}, fmt.Errorf("metadata.scanFinishedOn %q is not a time (RFC 3339)", clip(pr.Metadata.Finished, 40))
	}
	named := toolName(pr.Scanner.URI)
	if p.report.Scanner == "" {
		p.report.Scanner = named
	}
	if known(named) && known(p.report.Scanner) && named != p.report.Scanner {
		return fact.Report{}, fmt.Errorf("scanner.uri names %s, but the result is one of %s", named, p.report.Scanner)
	}
	p.report.URI = clip(pr.Scanner.URI, maxText)
	if pr.Scanner.Version != "" {
		p.report.Version = clip(pr.Scanner.Version, maxID)
	}
	if at := instant(pr.Scanner.DB.LastUpdate); !at.IsZero() {
		p.report.DBUpdated = at
	}
	return p.finish(a, pr.Metadata.Finished), nil
}

// readResult reads the report inside cosign's predicate.
func readResult(result json.RawMessage) (*parsed, error) {
	if why := emptyResult(result); why != "" {
		return failed(why), nil
	}
	return parseChecked(result)
}

// emptyResult says why there is nothing to read. Cosign's predicate holds a
// whole report, so an empty object or list is no report that found nothing.
func emptyResult(result json.RawMessage) string {
	w := newWalker(result)
	tok, err := w.dec.Token()
	if err != nil {
		return "the attestation has no result"
	}
	if _, container := tok.(json.Delim); tok == nil || container && !w.dec.More() {
		return "the attestation's result is empty, so it does not say that anything was scanned"
	}
	return ""
}

func failed(why string) *parsed {
	p := &parsed{report: fact.Report{Code: verdict.OK}}
	p.fail(why)
	return p
}

// vulnsEntry is one finding of in-toto's predicate. The specification of v0.1
// nests it under "vulnerability", its example does not.
type vulnsEntry struct {
	ID       string               `json:"id"`
	Severity oneOrMany[vulnsRate] `json:"severity"`
}

type vulnsRate struct {
	Method string `json:"method"`
	Score  any    `json:"score"`
}

// readVulns reads in-toto's own list of findings, in which an empty list says
// that the scanner found nothing.
func readVulns(result json.RawMessage) (*parsed, error) {
	p := &parsed{report: fact.Report{Code: verdict.OK}}
	w := newWalker(result)
	if len(result) == 0 {
		return failed("the attestation has no result"), nil
	}
	present, err := w.array(func() error {
		var e struct {
			vulnsEntry
			Nested *vulnsEntry `json:"vulnerability"`
		}
		if err := w.decode(&e); err != nil {
			return err
		}
		entry := &e.vulnsEntry
		if e.Nested != nil {
			entry = e.Nested
		}
		return p.add(entry.finding())
	})
	if err != nil {
		return nil, err
	}
	if !present {
		p.fail("the attestation's result is null, so it does not say that anything was scanned")
	}
	p.report.Findings = resolve(p.findings)
	return p, nil
}

func (e *vulnsEntry) finding() finding {
	f := finding{Vulnerability: fact.Vulnerability{ID: e.ID}}
	for _, r := range e.Severity {
		text := fmt.Sprint(r.Score)
		f.Severity = max(f.Severity, ParseSeverity(text))
		// Other numbers, such as EPSS, are probabilities and no severities.
		if strings.Contains(strings.ToLower(r.Method), "cvss") {
			f.Score = max(f.Score, parseScore(text))
		}
	}
	return f
}

type oneOrMany[T any] []T

func (o *oneOrMany[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return (*list[T])(o).UnmarshalJSON(data)
	}
	var one T
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*o = oneOrMany[T]{one}
	return nil
}

// finish joins what the report says with what the statement says.
func (p *parsed) finish(a *fact.Attestation, finishedOn string) fact.Report {
	r := p.report
	if at := instant(finishedOn); !at.IsZero() {
		r.Finished = at
	}
	var stated []verdict.Digest
	for _, s := range a.Subjects {
		if s.Digest != "" && !slices.Contains(stated, s.Digest) {
			stated = append(stated, s.Digest)
		}
	}
	common := slices.IndexFunc(p.subjects, func(d verdict.Digest) bool { return slices.Contains(stated, d) })
	switch {
	case common >= 0:
		r.Subject = p.subjects[common]
	case len(p.subjects) > 0:
		if r.Config == "" && r.Code == verdict.OK {
			r.Code = verdict.ReportSubject
			r.Detail = fmt.Sprintf("the statement is about %s, but the report inside is about %s", short(stated), short(p.subjects))
		}
	case len(stated) == 1:
		r.Subject = stated[0]
	}
	if r.Finished.IsZero() && r.Code == verdict.OK {
		r.Code, r.Detail = verdict.ReportInvalid, "neither the attestation nor the report inside says when the scan finished"
	}
	return r
}

// short lists digests for people.
func short(digests []verdict.Digest) string {
	if len(digests) == 0 {
		return "no digest"
	}
	var b strings.Builder
	for i, d := range digests[:min(len(digests), 3)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(d.Short())
	}
	return b.String()
}

// toolName finds the tool in a URI such as "pkg:github/aquasecurity/trivy@0.50"
// or "https://github.com/anchore/grype/releases/tag/v0.74.0".
func toolName(uri string) string {
	uri, _, _ = strings.Cut(clip(uri, maxText), "?")
	segments := strings.Split(strings.Trim(uri, "/"), "/")
	last := ""
	for _, s := range segments {
		last, _, _ = strings.Cut(s, "@")
		if name := scannerName(last); known(name) {
			return name
		}
	}
	return last
}
