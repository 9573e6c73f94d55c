package tools

import "github.com/apexlogic/apex/internal/scanhub/sarif"

// semgrep matches patterns of code (semgrep.dev). Without --error it ends with
// 0 whether it found something or not, and with 2 and above when it failed.
func semgrep() Tool {
	return Tool{
		Name: "semgrep", Programs: []string{"semgrep", "opengrep"}, Version: []string{"--version"}, Targets: Dir,
		Args: func(r Request) ([]string, error) {
			args := []string{"scan", "--sarif", "--quiet", "--metrics=off", "--disable-version-check", "--disable-nosem", "--no-git-ignore", "--strict"}
			switch {
			case r.Data.SemgrepRules != "":
				args = append(args, "--config", r.Data.SemgrepRules)
			case r.Data.AllowFetching:
				args = append(args, "--config", "p/default")
			default:
				return nil, errNeeds("rules", "name a file or folder of them")
			}
			return append(args, r.Target.Dir), nil
		},
		Exit:    map[int]Exit{0: Done, 1: Found},
		Network: func(r Request) bool { return r.Data.SemgrepRules == "" },
		Classes: map[string]sarif.Class{"generic.secrets.*": sarif.Secret},
		Env:     func(Request) []string { return []string{"SEMGREP_SEND_METRICS=off", "SEMGREP_ENABLE_VERSION_CHECK=0"} },
		Memory:  6 << 30,
	}
}
