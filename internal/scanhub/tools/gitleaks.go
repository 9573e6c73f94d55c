package tools

import (
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// gitleaksFound is the exit code that we ask for: by default it is 1, which its
// failures have too.
const gitleaksFound = 9

// gitleaks finds secrets in files (github.com/gitleaks/gitleaks, v8.19 and
// later). It redacts them: what it found never leaves it.
func gitleaks() Tool {
	return Tool{
		Name: "gitleaks", Programs: []string{"gitleaks"}, Version: []string{"version"}, Targets: Dir,
		Args: func(r Request) ([]string, error) {
			// Its own rules, and not the .gitleaks.toml of the tree, which could
			// turn them off; nor its .gitleaksignore, nor its comments.
			return []string{
				"dir", "--no-banner", "--no-color", "--redact=100", "--ignore-gitleaks-allow",
				"--config", r.Work + "/gitleaks.toml", "--gitleaks-ignore-path", r.Work, "--exit-code", "9", "--max-archive-depth", "2",
				"--report-format", "sarif", "--report-path", r.Report, r.Target.Dir,
			}, nil
		},
		Files:   map[string]string{"gitleaks.toml": "[extend]\nuseDefault = true\n"},
		File:    true,
		Exit:    map[int]Exit{0: Clean, gitleaksFound: Found},
		Network: offline, Class: sarif.Secret, Severity: always(fact.SeverityHigh),
	}
}
