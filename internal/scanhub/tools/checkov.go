package tools

import (
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// checkov looks at infrastructure code (github.com/bridgecrewio/checkov). It
// rates nothing without an account: every failed check is an "error" then.
func checkov() Tool {
	return Tool{
		Name: "checkov", Programs: []string{"checkov"}, Version: []string{"--version"}, Targets: Dir,
		Applies: func(t *Tree) bool {
			return t.has(".tf", ".yaml", ".yml", ".json", ".bicep") || t.hasLike("Dockerfile")
		},
		Args: func(r Request) ([]string, error) {
			return []string{
				"--directory", r.Target.Dir, "--output", "sarif", "--output-file-path", r.Work, "--quiet", "--compact",
				"--skip-download", "--download-external-modules", "false", "--config-file", r.Work + "/checkov.yaml",
			}, nil
		},
		Files: map[string]string{"checkov.yaml": "{}\n"},
		// It names the file itself.
		File: true, ReportName: "results_sarif.sarif",
		Exit:     map[int]Exit{0: Clean, 1: Found},
		Network:  offline,
		Severity: always(fact.SeverityMedium),
		Classes: map[string]sarif.Class{
			"CKV_SECRET_*": sarif.Secret, "CKV_K8S_16": sarif.ExcessPrivilege, "CKV_K8S_20": sarif.ExcessPrivilege,
			"CKV_K8S_23": sarif.ExcessPrivilege, "CKV_DOCKER_3": sarif.ExcessPrivilege, "CKV_DOCKER_8": sarif.ExcessPrivilege,
			"CKV_DOCKER_7": sarif.UnpinnedDependency, "CKV_AWS_24": sarif.NetworkExposure, "CKV_AWS_25": sarif.NetworkExposure,
			"CKV_AWS_260": sarif.NetworkExposure,
		},
		Memory: 4 << 30,
	}
}
