package tools

// grype finds vulnerabilities in folders and images (github.com/anchore/grype).
// Without --fail-on it ends with 0 whether it found something or not.
func grype() Tool {
	return Tool{
		Name: "grype", Programs: []string{"grype"}, Version: []string{"version"}, Targets: Dir | Image,
		Args: func(r Request) ([]string, error) {
			if r.Data.GrypeDB == "" && !r.Data.AllowFetching {
				return nil, errNeeds("the database", "name a folder that holds it")
			}
			target := "dir:" + r.Target.Dir
			switch {
			case remote(r.Target):
				target = "registry:" + r.Target.Image
			case r.Target.Image != "":
				target = r.Target.Image
			}
			return []string{"--quiet", "--output", "sarif", "--file", r.Report, target}, nil
		},
		File:    true,
		Exit:    map[int]Exit{0: Done},
		Network: func(r Request) bool { return r.Data.GrypeDB == "" || remote(r.Target) },
		Env: func(r Request) []string {
			env := []string{"GRYPE_CHECK_FOR_APP_UPDATE=false"}
			if r.Data.GrypeDB != "" {
				// An old database is the caller's to judge: the version says which it is.
				env = append(env, "GRYPE_DB_AUTO_UPDATE=false", "GRYPE_DB_VALIDATE_AGE=false", "GRYPE_DB_CACHE_DIR="+r.Data.GrypeDB)
			}
			return env
		},
		Fill: packageOf,
	}
}
