// Package policytest holds policies to what their authors expect of them,
// before anybody depends on it and without a registry.
//
// Start with [Find] and [Run]: a file of cases says what is given (facts about
// an image, as the engine would have gathered them) and what is wanted (a
// decision, and the code of each rule). Policies, trust roots, exceptions and
// locks are compiled exactly as for a verdict; only the facts are stated
// instead of gathered. [Result.Coverage] says which rules were seen to pass and
// to fail: a rule that no case has seen failing is a rule that nobody has tried.
// [Lint] says what is wrong with policies where they stand.
//
// The format is documented at [File]; docs/policy-tests.md shows it.
package policytest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// Schema is what a file of cases says that it is.
const Schema = "apex.policytest/v1"

// File is a file of cases. Names of fields are those of the YAML.
type File struct {
	Schema string `yaml:"schema,required"`
	// Policies are files and folders with the documents to test, relative to
	// the file: policies, and the trust roots, locks, exceptions and
	// revocations that they depend on.
	Policies []string `yaml:"policies,required"`
	// Now is the time at which everything is judged.
	Now time.Time `yaml:"now,required"`
	// Given is what all cases have in common; a case's own fields replace it,
	// each as a whole.
	Given Given  `yaml:"given"`
	Cases []Case `yaml:"cases,required"`
}

// Case is one image and what should be decided about it.
type Case struct {
	Name  string `yaml:"name,required"`
	Given Given  `yaml:"given"`
	Want  Want   `yaml:"want,required"`

	at place
}

// Want is what a case expects.
type Want struct {
	Decision Decision `yaml:"decision,required"`
	// Code of the check, or of the state, that decided; any when it is left out.
	Code Code `yaml:"code"`
	// Codes of single checks by rule name, or by policy/rule where several
	// policies have the rule. What passes has the code ok.
	Codes map[string]Code `yaml:"codes"`
}

// Given is what is known about the image. What is left out is known not to be
// there: no signatures, no reports.
type Given struct {
	// Image as host/path, with or without digest. Without one the case uses a
	// digest of its own, which everything else is about unless it says otherwise.
	Image string `yaml:"image"`
	// Index through which the image was asked for; a case is about one platform.
	Index Digest `yaml:"index"`
	// Platform of the image. Default: linux/amd64.
	Platform string `yaml:"platform"`
	// Namespace and Labels are those of the workload.
	Namespace    string            `yaml:"namespace"`
	Labels       map[string]string `yaml:"labels"`
	Config       Config            `yaml:"config"`
	Signatures   []Signature       `yaml:"signatures"`
	Attestations []Attestation     `yaml:"attestations"`
	Reports      []Report          `yaml:"reports"`
	Provenance   []Provenance      `yaml:"provenance"`
	// Unknown facts could not be established: image, signatures, attestations,
	// reports or provenance, each with the code of the reason.
	Unknown map[string]Code `yaml:"unknown"`
}

// Config is what the image's manifest and configuration say.
type Config struct {
	// Base is a locked base image, "repository:tag", whose layers the image begins with.
	Base string `yaml:"base"`
	// Layers are diffIDs, lowest first, above those of Base. Default: one layer
	// that no other image has.
	Layers      []Digest          `yaml:"layers"`
	Created     time.Time         `yaml:"created"`
	User        string            `yaml:"user"`
	Env         []string          `yaml:"env"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// Signature is a signature over the image.
type Signature struct {
	// By names the trust root's entries under which it verifies; none: nobody whom we know.
	By []string `yaml:"by"`
	// Repository that was signed. Default: the image's own. "none" stands for a
	// signature that names no repository.
	Repository  string            `yaml:"repository"`
	Digest      Digest            `yaml:"digest"`
	Annotations map[string]string `yaml:"annotations"`
	SignedAt    time.Time         `yaml:"signedAt"`
	// Logged is true when a transparency log holds a verified entry.
	Logged bool `yaml:"logged"`
	// Code says why it does not count. Default: ok, or
	// image.signature.untrusted when nobody is named.
	Code Code `yaml:"code"`
}

// Attestation is a signed statement about the image. One that holds a
// vulnerability report or provenance is read as such too.
type Attestation struct {
	By            []string  `yaml:"by"`
	PredicateType string    `yaml:"predicateType,required"`
	Predicate     Predicate `yaml:"predicate"`
	// PredicateFile holds the predicate as JSON, relative to the file of cases.
	PredicateFile string `yaml:"predicateFile"`
	Digest        Digest `yaml:"digest"`
	Code          Code   `yaml:"code"`
}

// Report is a vulnerability report. Without By it counts as handed in by the
// person who asks.
type Report struct {
	By []string `yaml:"by"`
	// File holds a scanner's report in any format that apex verify --report
	// reads; the other fields but By are then read from it.
	File     string    `yaml:"file"`
	Scanner  string    `yaml:"scanner"`
	URI      string    `yaml:"uri"`
	Finished time.Time `yaml:"finished"`
	Digest   Digest    `yaml:"digest"`
	Findings []Finding `yaml:"findings"`
	Code     Code      `yaml:"code"`
}

// Finding is one vulnerability of a report.
type Finding struct {
	ID       string   `yaml:"id,required"`
	Severity Severity `yaml:"severity"`
	Package  string   `yaml:"package"`
	Version  string   `yaml:"version"`
	Fixed    string   `yaml:"fixed"`
	// Unfixed says that no fixed version exists.
	Unfixed bool `yaml:"unfixed"`
}

// Provenance is signed SLSA provenance in the terms that rules judge.
type Provenance struct {
	By         []string  `yaml:"by"`
	Builder    string    `yaml:"builder,required"`
	BuildType  string    `yaml:"buildType"`
	Source     string    `yaml:"source"`
	EntryPoint string    `yaml:"entryPoint"`
	Finished   time.Time `yaml:"finished"`
	// Base is a base image, "repository:tag", that the build resolved to a digest.
	Base   string `yaml:"base"`
	Digest Digest `yaml:"digest"`
	Code   Code   `yaml:"code"`
}

// Digest, Code, Decision, Severity and Predicate are the words of package
// verdict and package fact, read strictly.
type (
	Digest    verdict.Digest
	Code      verdict.Code
	Decision  struct{ verdict.Decision }
	Severity  struct{ fact.Severity }
	Predicate json.RawMessage
)

// UnmarshalText accepts a full digest only.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := verdict.ParseDigest(string(text))
	*d = Digest(parsed)
	return err
}

// UnmarshalText accepts the codes of the table, and no others: a code with a
// slip in it would be a test that cannot fail, or cannot pass.
func (c *Code) UnmarshalText(text []byte) error {
	for _, info := range verdict.Codes() {
		if string(info.Code) == string(text) {
			*c = Code(text)
			return nil
		}
	}
	return fmt.Errorf("%q is no code; docs/codes.md lists them", clip(string(text)))
}

// clip bounds foreign text in messages.
func clip(s string) string {
	const limit = 64
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
