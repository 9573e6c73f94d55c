package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"

	"github.com/apexlogic/apex/internal/fact"
)

// maxPattern bounds a regular expression for identities; RE2 matches in linear
// time, but a program is compiled per pattern.
const maxPattern = 1024

// Extensions are the claims that a certificate authority copied from the
// signer's identity token into the certificate (Fulcio OIDs 1.3.6.1.4.1.57264.1.*).
// Each one that is not empty must be equal, byte for byte.
type Extensions struct {
	SourceRepository    string `json:"sourceRepository,omitempty"`    // .12, "https://github.com/org/repo"
	SourceRepositoryRef string `json:"sourceRepositoryRef,omitempty"` // .14, "refs/heads/main"
	BuildSigner         string `json:"buildSigner,omitempty"`         // .9, the reusable workflow that signs, with its ref
	Workflow            string `json:"workflow,omitempty"`            // .18, the top-level workflow, with its ref
	RunnerEnvironment   string `json:"runnerEnvironment,omitempty"`   // .11, "github-hosted"
	BuildTrigger        string `json:"buildTrigger,omitempty"`        // .20, "push"
}

// matcher accepts one text exactly or by an anchored pattern.
type matcher struct {
	exact   string
	pattern *regexp.Regexp
}

func (m *matcher) set() bool { return m.exact != "" || m.pattern != nil }

func (m *matcher) matches(text string) bool {
	if m.exact != "" && m.exact != text {
		return false
	}
	if m.pattern != nil && !m.pattern.MatchString(text) {
		return false
	}
	return true
}

func newMatcher(field, exact, pattern string) (matcher, error) {
	m := matcher{exact: exact}
	if pattern == "" {
		return m, nil
	}
	if exact != "" {
		return m, fmt.Errorf("%s and %sRegexp are both given; keep one", field, field)
	}
	re, err := anchored(pattern)
	if err != nil {
		return m, fmt.Errorf("%sRegexp: %w", field, err)
	}
	m.pattern = re
	return m, nil
}

// probes are identities that have nothing in common. A pattern that accepts
// all of them names nobody.
var probes = [...]string{"x", "zq-7@probe.invalid", "https://probe.invalid/a/b@refs/heads/c"}

// anchored compiles a pattern that must match the whole text.
func anchored(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("longer than %d bytes", maxPattern)
	}
	// Compiled by itself first: "a)|(b" must not slip out of the group below.
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, err
	}
	if re.MatchString("") {
		return nil, fmt.Errorf("%q matches the empty text", pattern)
	}
	all := true
	for _, probe := range probes {
		all = all && re.MatchString(probe)
	}
	if all {
		return nil, fmt.Errorf("%q matches everything; name the identity", pattern)
	}
	return re, nil
}

// identityPolicy is whom one keyless entry trusts.
type identityPolicy struct {
	issuer, subject matcher
	extensions      Extensions
}

func newIdentityPolicy(k *KeylessEntry) (identityPolicy, error) {
	var p identityPolicy
	var err error
	if p.issuer, err = newMatcher("issuer", k.Issuer, k.IssuerRegexp); err != nil {
		return p, err
	}
	if p.subject, err = newMatcher("subject", k.Subject, k.SubjectRegexp); err != nil {
		return p, err
	}
	p.extensions = k.Extensions
	if !p.issuer.set() {
		return p, errors.New("issuer is not set: anyone could mint the subject elsewhere; give issuer or issuerRegexp")
	}
	if !p.subject.set() && p.extensions == (Extensions{}) {
		return p, errors.New("subject is not set: everyone who has an account at the issuer would be trusted; give subject, subjectRegexp or an extension")
	}
	return p, nil
}

// mismatch says what of the certificate's identity is not what the entry
// names, or "" when all is.
func (p *identityPolicy) mismatch(s *certificate.Summary) string {
	switch {
	case !p.issuer.matches(s.Issuer):
		return fmt.Sprintf("issuer is %q", s.Issuer)
	case !p.subject.matches(s.SubjectAlternativeName):
		return fmt.Sprintf("subject is %q", s.SubjectAlternativeName)
	}
	for _, x := range [...]struct{ name, want, got string }{
		{"source repository", p.extensions.SourceRepository, s.SourceRepositoryURI},
		{"source repository ref", p.extensions.SourceRepositoryRef, s.SourceRepositoryRef},
		{"build signer", p.extensions.BuildSigner, s.BuildSignerURI},
		{"workflow", p.extensions.Workflow, s.BuildConfigURI},
		{"runner environment", p.extensions.RunnerEnvironment, s.RunnerEnvironment},
		{"build trigger", p.extensions.BuildTrigger, s.BuildTrigger},
	} {
		if x.want != "" && x.want != x.got {
			return fmt.Sprintf("%s is %q", x.name, x.got)
		}
	}
	return ""
}

// summarize reads the identity out of a leaf certificate.
func summarize(leaf *x509.Certificate) (*certificate.Summary, fact.Identity, error) {
	s, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return nil, fact.Identity{}, fmt.Errorf("certificate: %w", err)
	}
	return &s, fact.Identity{Issuer: s.Issuer, Subject: s.SubjectAlternativeName}, nil
}
