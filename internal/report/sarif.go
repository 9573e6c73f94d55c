package report

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

const (
	sarifVersion = "2.1.0"
	sarifSchema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	// fingerprintKey names how the fingerprint is made; its version changes
	// when the way does, so that two ways are never compared (SARIF §3.27.17).
	fingerprintKey = "apexCheck/v1"
)

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	Results     []sarifResult     `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name  string      `json:"name"`
	Rules []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID    string    `json:"id"`
	Short sarifText `json:"shortDescription"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifInvocation struct {
	Successful bool   `json:"executionSuccessful"`
	EndTime    string `json:"endTimeUtc,omitempty"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Kind         string             `json:"kind"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	Properties   map[string]string  `json:"properties"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification"`
}

type sarifLocation struct {
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
	Region *sarifRegion `json:"region,omitempty"`
}

type sarifRegion struct {
	StartLine   int `json:"startLine"`
	StartColumn int `json:"startColumn,omitempty"`
}

type sarifLogical struct {
	Name string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

// SARIF writes SARIF 2.1.0 (OASIS). Only checks that failed or could not be
// made are results: one that denies is an error, one that warns a warning, and
// one that an exception covers, that is only observed or only audited is a
// note; a covered one is marked as suppressed too. A result points to the line
// of the manifest that names the image, where there is one, and to the image.
// Its fingerprint depends on digest, rule and policy alone, and on the platform
// when the digest is that of an index.
func SARIF(w io.Writer, r *verdict.Report) error {
	s := &sarifBuilder{index: map[string]int{}}
	s.run.Tool.Driver = sarifDriver{Name: "Apex", Rules: []sarifRule{}}
	s.run.Results = []sarifResult{}
	invocation := sarifInvocation{Successful: true}
	if !r.At.IsZero() {
		invocation.EndTime = r.At.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	s.run.Invocations = []sarifInvocation{invocation}
	for i := range r.Verdicts {
		s.verdict(&r.Verdicts[i])
	}
	for i := range r.Unresolved {
		u := &r.Unresolved[i]
		s.add(&item{
			rule: string(u.Code), about: u.Code.Info().Meaning, name: u.Text, identity: u.Text, where: &u.Where,
			level: "error", message: u.Why, mend: u.Code.Info().Mend, code: u.Code,
		})
	}
	return writeJSON(w, sarifLog{Schema: sarifSchema, Version: sarifVersion, Runs: []sarifRun{s.run}})
}

type sarifBuilder struct {
	run   sarifRun
	index map[string]int
}

// item is one result before it has a shape.
type item struct {
	rule, about     string
	policy          string
	name, identity  string // what people call the subject, and what it is
	platform        string
	perPlatform     bool // the subject is an index, and this is about one platform of it
	where           *verdict.Origin
	level           string
	message, mend   string
	expected, found string
	code            verdict.Code
	exception       string
}

func (s *sarifBuilder) verdict(v *verdict.Verdict) {
	base := item{name: subject(v), identity: string(v.Digest), platform: v.Platform, where: &v.Where}
	kind := "an ImageSecurityPolicy"
	switch v.Kind {
	case verdict.KindModel:
		kind = "a ModelSecurityPolicy"
	case verdict.KindFunction:
		// Its digest is that of its files, which change every day.
		kind, base.identity = "a FunctionSecurityPolicy", v.Repo
	}
	if base.identity == "" {
		base.identity = base.name
	}
	for i := range v.Checks {
		c := &v.Checks[i]
		if !open(c) {
			continue
		}
		it := base
		it.rule, it.about, it.policy = c.Rule, "The rule "+c.Rule+" of "+kind+".", c.Policy
		it.level = sarifLevel(bites(c))
		it.message, it.mend, it.code = reason(c), c.Advice(), c.Code
		it.expected, it.found, it.exception = c.Expected, c.Found, c.Exception
		if c.Platform != "" {
			it.platform, it.perPlatform = c.Platform, true
		}
		if c.Where != (verdict.Origin{}) {
			it.where = &c.Where
		}
		s.add(&it)
	}
	if explained(v) {
		return
	}
	base.rule, base.about, base.code = string(v.Code), v.Code.Info().Meaning, v.Code
	base.level, base.message, base.mend = sarifLevel(v.Decision), verdictReason(v), v.Code.Info().Mend
	s.add(&base)
}

func sarifLevel(d verdict.Decision) string {
	switch d {
	case verdict.Deny:
		return "error"
	case verdict.Warn:
		return "warning"
	}
	return "note"
}

func (s *sarifBuilder) add(it *item) {
	if it.rule == "" {
		it.rule = string(verdict.Internal)
	}
	i, ok := s.index[it.rule]
	if !ok {
		i = len(s.run.Tool.Driver.Rules)
		s.index[it.rule] = i
		s.run.Tool.Driver.Rules = append(s.run.Tool.Driver.Rules, sarifRule{ID: it.rule, Short: sarifText{it.about}})
	}
	message := it.message
	if message == "" {
		message = it.code.Info().Meaning
	}
	message = sarifPlain(it.name) + ": " + sarifPlain(message)
	if it.mend != "" {
		message += "\nTo mend it: " + sarifPlain(it.mend)
	}
	parts := []string{it.identity, it.rule, it.policy}
	if it.perPlatform {
		parts = append(parts, it.platform)
	}
	result := sarifResult{
		RuleID: it.rule, RuleIndex: i, Kind: "fail", Level: it.level,
		Message:      sarifText{message},
		Locations:    []sarifLocation{location(it)},
		Fingerprints: map[string]string{fingerprintKey: fingerprint(parts...)},
		Properties:   map[string]string{"code": string(it.code)},
	}
	for name, value := range map[string]string{
		"policy": it.policy, "subject": it.identity, "platform": it.platform, "expected": it.expected, "found": it.found,
	} {
		if value != "" {
			result.Properties[name] = value
		}
	}
	if it.exception != "" {
		result.Suppressions = []sarifSuppression{{Kind: "external", Status: "accepted", Justification: "PolicyException " + it.exception}}
	}
	s.run.Results = append(s.run.Results, result)
}

// sarifPlain is foreign text in a message, in which brackets would form links (§3.11.6).
func sarifPlain(s string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`).Replace(plain(s))
}

func location(it *item) sarifLocation {
	l := sarifLocation{Logical: []sarifLogical{{Name: it.name, Kind: "resource"}}}
	if it.where.File == "" {
		return l
	}
	l.Physical = &sarifPhysical{}
	l.Physical.Artifact.URI = sarifURI(it.where.File)
	if it.where.Line > 0 {
		l.Physical.Region = &sarifRegion{StartLine: it.where.Line, StartColumn: max(it.where.Column, 0)}
	}
	return l
}

func sarifURI(file string) string {
	return (&url.URL{Path: strings.TrimPrefix(filepath.ToSlash(file), "./")}).String()
}

// fingerprint is the same for the same subject, rule and policy, wherever the
// image is named. Each part is preceded by its length, so that no two lists of
// parts read the same.
func fingerprint(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte{byte(len(p) >> 24), byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p))})
		io.WriteString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
