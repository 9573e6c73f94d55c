package model

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	sarifVersion = "2.1.0"
	sarifSchema  = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	// sarifFingerprint names how fingerprints are made; its version changes when
	// the way does, so that two ways are never compared (SARIF §3.27.17).
	sarifFingerprint = "apexModelFinding/v1"
	sarifUnknown     = "scan.unknown"
)

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"semanticVersion,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string      `json:"id"`
		Short   sarifText   `json:"shortDescription"`
		Help    sarifText   `json:"help"`
		Default sarifLevels `json:"defaultConfiguration"`
		Tags    *sarifTags  `json:"properties,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifLevels struct {
		Level string `json:"level"`
	}
	sarifTags struct {
		Tags []string `json:"tags"` // what the rule refers to
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Kind         string            `json:"kind"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Properties   map[string]string `json:"properties"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		ByteOffset int64 `json:"byteOffset"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
)

// SARIF writes the report as SARIF 2.1.0 (OASIS). Every finding is a result:
// what makes a file malicious is an error, what makes it suspicious or
// unscannable a warning, the rest a note. A place in the file itself is a byte
// offset; one in a member of an archive is a logical location with its offset
// in the properties, because such bytes may not stand in the file at all. A
// fingerprint depends on the file's path, the rule, the member and the detail:
// it survives a change of offsets.
func (r *Report) SARIF(w io.Writer) error {
	s := &sarifBuilder{index: map[string]int{}}
	s.run.Tool.Driver = sarifDriver{Name: "Apex", Rules: []sarifRule{}}
	s.run.Results = []sarifResult{}
	for i := range r.Files {
		f := &r.Files[i]
		for j := range f.Findings {
			s.add(f, &f.Findings[j])
		}
		if f.Verdict == scan.Unknown {
			s.add(f, &scan.Finding{Rule: sarifUnknown, Where: scan.Nowhere, Detail: "no format that loaders of models read",
				Why: "A file of no known format is not clean: something may read it.", Mend: "Leave it out of the model, or have the policy decide on unknown files."})
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(sarifLog{Schema: sarifSchema, Version: sarifVersion, Runs: []sarifRun{s.run}})
}

type sarifBuilder struct {
	run   sarifRun
	index map[string]int
}

func (s *sarifBuilder) add(f *File, found *scan.Finding) {
	i, ok := s.index[found.Rule]
	if !ok {
		i = len(s.run.Tool.Driver.Rules)
		s.index[found.Rule] = i
		rule := sarifRule{ID: found.Rule, Short: sarifText{found.Why}, Help: sarifText{cmp.Or(found.Mend, found.Why)}, Default: sarifLevels{sarifLevel(found.Severity)}}
		if len(found.References) > 0 {
			rule.Tags = &sarifTags{found.References}
		}
		s.run.Tool.Driver.Rules = append(s.run.Tool.Driver.Rules, rule)
	}
	var at sarifLocation
	at.Physical.Artifact.URI = sarifURI(f.Path)
	properties := map[string]string{"verdict": f.Verdict.String(), "severity": found.Severity.String()}
	for name, value := range map[string]string{"format": found.Format, "member": found.Where.Member, "op": found.Where.Op} {
		if value != "" {
			properties[name] = value
		}
	}
	if found.Where.Member != "" {
		at.Logical = append(at.Logical, sarifLogical{f.Path + "!" + found.Where.Member, "member"})
	}
	if found.Where.Op != "" {
		at.Logical = append(at.Logical, sarifLogical{found.Where.Op, "element"})
	}
	switch {
	case found.Where.Offset >= 0 && found.Where.Member == "":
		at.Physical.Region = &sarifRegion{found.Where.Offset}
	case found.Where.Offset >= 0:
		properties["memberOffset"] = strconv.FormatInt(found.Where.Offset, 10)
	}
	message := sarifPlain(f.Path) + ": " + sarifPlain(cmp.Or(found.Detail, found.Why))
	if found.Mend != "" {
		message += "\nTo mend it: " + sarifPlain(found.Mend)
	}
	s.run.Results = append(s.run.Results, sarifResult{RuleID: found.Rule, RuleIndex: i, Kind: "fail", Level: sarifLevel(found.Severity), Message: sarifText{message},
		Locations: []sarifLocation{at}, Fingerprints: map[string]string{sarifFingerprint: hashed(f.Path, found.Rule, found.Where.Member, found.Detail)}, Properties: properties})
}

func sarifLevel(s scan.Severity) string {
	switch s {
	case scan.Note:
		return "note"
	case scan.Harmful:
		return "error"
	}
	return "warning"
}

// sarifURI is a path as a reference (§3.4.4); what is a URI already stays one.
func sarifURI(path string) string {
	if strings.Contains(path, "://") {
		return path
	}
	return (&url.URL{Path: strings.TrimPrefix(filepath.ToSlash(path), "./")}).String()
}

// sarifPlain is foreign text in a message, in which brackets would form links (§3.11.6).
func sarifPlain(s string) string {
	return strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// hashed hashes parts, each preceded by its length, so that no two lists of
// parts read the same.
func hashed(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte{byte(len(p) >> 24), byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p))})
		io.WriteString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
