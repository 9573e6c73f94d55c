package tools

import (
	"os"
	"strings"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// trivyFound is the exit code that we ask for: by default it is 0, and 1 is for
// failures.
const trivyFound = "9"

// trivy finds vulnerabilities, misconfiguration and secrets in folders and
// images (github.com/aquasecurity/trivy).
func trivy() Tool {
	return Tool{
		Name: "trivy", Programs: []string{"trivy"}, Version: []string{"--version"}, Targets: Dir | Image,
		Args: func(r Request) ([]string, error) {
			command := "fs"
			if r.Target.Image != "" {
				command = "image"
			}
			args := []string{
				command, "--quiet", "--format", "sarif", "--output", r.Report, "--exit-code", trivyFound, "--no-progress",
				"--scanners", "vuln,misconfig,secret", "--ignorefile", r.Work + "/none", "--config", r.Work + "/none.yaml",
			}
			switch {
			case r.Data.TrivyCache != "":
				args = append(args, "--cache-dir", r.Data.TrivyCache, "--skip-db-update", "--skip-java-db-update", "--skip-check-update", "--offline-scan")
			case !r.Data.AllowFetching:
				return nil, errNeeds("the database", "name a cache folder that holds it")
			}
			return imageArgs(args, r.Target, "--input"), nil
		},
		File:    true,
		Exit:    map[int]Exit{0: Clean, 9: Found},
		Network: func(r Request) bool { return r.Data.TrivyCache == "" || remote(r.Target) },
		Env: func(Request) []string {
			return []string{"TRIVY_DISABLE_VEX_NOTICE=true", "TRIVY_SKIP_VERSION_CHECK=true"}
		},
		Fill: func(r *sarif.Result) {
			packageOf(r)
			switch {
			case len(r.IDs) > 0:
			case strings.HasPrefix(r.Title, "Secret") || strings.Contains(r.Message, "\nMatch: "):
				r.Class = sarif.Secret
			}
		},
	}
}

// remote says whether the target is fetched from a registry.
func remote(t Target) bool {
	if t.Image == "" {
		return false
	}
	_, err := os.Stat(t.Image)
	return err != nil
}

// imageArgs appends the target: a folder, a reference, or after flag an image
// that is on disk.
func imageArgs(args []string, t Target, flag string) []string {
	switch {
	case t.Dir != "":
		return append(args, t.Dir)
	case remote(t):
		return append(args, "--", t.Image)
	}
	return append(args, flag, t.Image)
}

// packageOf reads the name of the package and of the vulnerability out of the
// lines that Trivy and others write ("Package: openssl").
func packageOf(r *sarif.Result) {
	id := r.Rule
	parts := strings.SplitN(id, "-", 5)
	switch {
	case len(parts) >= 3 && parts[0] == "CVE": // Grype appends the package
		id = strings.Join(parts[:3], "-")
	case len(parts) >= 4 && parts[0] == "GHSA":
		id = strings.Join(parts[:4], "-")
	case len(parts) == 3 && (parts[0] == "GO" || parts[0] == "PYSEC" || parts[0] == "RUSTSEC" || parts[0] == "MAL"):
	default:
		return
	}
	r.Class = sarif.Vulnerability
	r.IDs = append([]string{id}, r.IDs...)
	if rest, ok := strings.CutPrefix(r.Rule, id+"-"); ok {
		r.Package = rest
	}
	for line := range strings.SplitSeq(r.Message, "\n") {
		if name, ok := strings.CutPrefix(line, "Package: "); ok {
			r.Package = strings.TrimSpace(name)
		}
	}
}
