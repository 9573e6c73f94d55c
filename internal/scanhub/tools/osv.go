package tools

import (
	"strings"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// osvScanner finds vulnerabilities of what lock files list
// (github.com/google/osv-scanner, v2). Its code 127 is a failure that comes with
// an empty list of results, and 128 says that it found nothing to look at: only
// 0 is clean. The report goes to standard output: the flag that names a file for
// it changed between versions.
func osvScanner() Tool {
	return Tool{
		Name: "osv-scanner", Programs: []string{"osv-scanner"}, Version: []string{"--version"}, Targets: Dir | Image,
		Args: func(r Request) ([]string, error) {
			flags := []string{"--format", "sarif", "--config", r.Work + "/osv-scanner.toml"}
			switch {
			case r.Data.OSVDatabase != "":
				flags = append(flags, "--offline")
			case !r.Data.AllowFetching:
				return nil, errNeeds("the database", "name a folder with osv-scalibr/<ecosystem>/all.zip")
			}
			if r.Target.Dir != "" {
				return append(append([]string{"scan", "source"}, flags...), "--recursive", r.Target.Dir), nil
			}
			args := append([]string{"scan", "image"}, flags...)
			if !remote(r.Target) {
				args = append(args, "--archive")
			}
			return append(args, r.Target.Image), nil
		},
		// An empty configuration, in place of the one in the tree.
		Files:   map[string]string{"osv-scanner.toml": ""},
		Exit:    map[int]Exit{0: Clean, 1: Found, 128: Nothing},
		Network: func(r Request) bool { return r.Data.OSVDatabase == "" || remote(r.Target) },
		Env: func(r Request) []string {
			if r.Data.OSVDatabase == "" {
				return nil
			}
			return []string{"OSV_SCANNER_LOCAL_DB_CACHE_DIRECTORY=" + r.Data.OSVDatabase}
		},
		Memory: 6 << 30, // it reads all of the database
		Fill: func(r *sarif.Result) {
			packageOf(r)
			// "Package 'requests@2.19.1' is vulnerable to 'CVE-…'"
			if _, rest, ok := strings.Cut(r.Message, "Package '"); ok && r.Package == "" {
				name, _, _ := strings.Cut(rest, "'")
				if at := strings.LastIndexByte(name, '@'); at > 0 {
					name = name[:at]
				}
				r.Package = name
			}
		},
	}
}
