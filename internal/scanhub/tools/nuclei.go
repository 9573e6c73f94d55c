package tools

// nuclei sends the requests of its templates to a running service
// (github.com/projectdiscovery/nuclei, v3). Callbacks to its public servers are
// off: they would tell a stranger what is being scanned. It writes no report when
// it found nothing, and ends with 0 where nothing answers as well: the runner
// looks whether something does.
func nuclei() Tool {
	return Tool{
		Name: "nuclei", Programs: []string{"nuclei"}, Version: []string{"-version"}, Targets: URL,
		Args: func(r Request) ([]string, error) {
			if r.Data.NucleiRules == "" {
				return nil, errNeeds("templates", "name a folder of them")
			}
			return []string{
				"-target", r.Target.URL, "-templates", r.Data.NucleiRules, "-sarif-export", r.Report, "-silent", "-no-color",
				"-disable-update-check", "-no-interactsh", "-disable-redirects", "-rate-limit", "50", "-exclude-tags", "dos,fuzz",
			}, nil
		},
		File:    true,
		Silent:  true,
		Exit:    map[int]Exit{0: Done},
		Network: func(Request) bool { return true },
	}
}
