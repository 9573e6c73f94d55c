package fact

import (
	"fmt"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Severity of a vulnerability, ordered. The zero value is unknown.
type Severity uint8

// The severities.
const (
	SeverityUnknown Severity = iota
	SeverityNegligible
	SeverityLow
	SeverityMedium
	SeverityHigh
	SeverityCritical
)

var severityNames = [...]string{"Unknown", "Negligible", "Low", "Medium", "High", "Critical"}

// String returns the severity as policies spell it.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return severityNames[0]
}

// MarshalText writes the severity as policies spell it.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads exactly what MarshalText writes.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, n := range severityNames {
		if n == string(text) {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("unknown severity %q", text)
}

// Report is one vulnerability scan of the image, whoever handed it in.
type Report struct {
	// Signing is who vouches for it; its Format is FormatFile when nobody does.
	Signing Signing `json:"signing"`
	// Scanner is the name that the report gives, for example "Trivy"; URI and Version as stated.
	Scanner string `json:"scanner"`
	URI     string `json:"uri,omitempty"`
	Version string `json:"version,omitempty"`
	// DBUpdated is the age of the scanner's database; zero when it does not say.
	DBUpdated time.Time `json:"dbUpdated,omitzero"`
	Finished  time.Time `json:"finished,omitzero"`
	// Subject is the digest that was scanned; "" when the report names none.
	Subject verdict.Digest `json:"subject,omitempty"`
	// Config is the digest of the scanned image's configuration; scanners that
	// name an image by its ID mean this one.
	Config verdict.Digest `json:"config,omitempty"`
	// DiffIDs are the digests of the uncompressed layers, where the format names them.
	DiffIDs []verdict.Digest `json:"diffIDs,omitempty"`
	// Code is verdict.OK when the scan finished and could be read.
	Code     verdict.Code    `json:"code"`
	Detail   string          `json:"detail,omitempty"`
	Findings []Vulnerability `json:"findings,omitempty"`
	// Suppressed is how many findings the scanner itself left out, because of
	// an ignore list or a VEX statement. They are not among the findings.
	Suppressed int `json:"suppressed,omitempty"`
}

// Vulnerability is one finding of a scan.
type Vulnerability struct {
	ID      string   `json:"id"`
	Aliases []string `json:"aliases,omitempty"`
	Package string   `json:"package,omitempty"`
	Version string   `json:"version,omitempty"`
	// Fixed is the version that mends it; "" when the report names none.
	Fixed string `json:"fixed,omitempty"`
	// Unfixed is true when the report says that no fixed version exists. An
	// empty Fixed alone does not say so: some formats have no place for it.
	Unfixed  bool     `json:"unfixed,omitempty"`
	Severity Severity `json:"severity"`
	// Score is the CVSS base score, 0 when not given.
	Score float64 `json:"score,omitempty"`
}
