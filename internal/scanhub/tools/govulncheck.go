package tools

import (
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// govulncheck finds calls of vulnerable Go functions
// (golang.org/x/vuln/cmd/govulncheck). Its code 3 is for text only: in SARIF it
// ends with 0 whether it found something or not.
func govulncheck() Tool {
	return Tool{
		Name: "govulncheck", Programs: []string{"govulncheck"}, Version: []string{"-version"}, Targets: Dir,
		Applies: func(t *Tree) bool { return t.has("go.mod") },
		Args: func(r Request) ([]string, error) {
			args := []string{"-format", "sarif"}
			switch {
			case r.Data.GoAdvisories != "":
				if err := goDatabase(r.Data.GoAdvisories); err != nil {
					return nil, err
				}
				args = append(args, "-db", (&url.URL{Scheme: "file", Path: r.Data.GoAdvisories}).String())
			case !r.Data.AllowFetching:
				return nil, errNeeds("the Go advisories", "name a folder of them, in the layout of vuln.go.dev")
			}
			return append(args, "./..."), nil
		},
		InTree: true, Go: true,
		Exit:    map[int]Exit{0: Done, 3: Found},
		Network: func(r Request) bool { return r.Data.GoAdvisories == "" },
		Class:   sarif.Vulnerability,
		// It rates nothing. "error" is what is called; the rest is only there.
		Severity: func(r *sarif.Result) fact.Severity {
			switch r.Level {
			case "error":
				return fact.SeverityHigh
			case "warning":
				return fact.SeverityMedium
			}
			return fact.SeverityLow
		},
		// The package stands in a sentence, as an import path where others have
		// the module: it is left to the alias and the file to say that it is one.
		Fill: func(r *sarif.Result) { r.IDs = append([]string{r.Rule}, r.IDs...) },
	}
}

// maxIndex is ten times the list of modules of the whole database.
const maxIndex = 32 << 20

// goDatabase says whether dir holds Go advisories. govulncheck takes an empty
// folder for a database without advisories, and everything for clean.
func goDatabase(dir string) error {
	var head struct {
		Modified time.Time `json:"modified"`
	}
	var modules []struct {
		Path string `json:"path"`
	}
	for name, v := range map[string]any{"db.json": &head, "modules.json": &modules} {
		data, err := bounded.ReadFile(filepath.Join(dir, "index", name), maxIndex)
		if err == nil {
			err = bounded.JSON(data, 6, v)
		}
		if err != nil {
			return fmt.Errorf("the folder of Go advisories is not one: %w", err)
		}
	}
	if head.Modified.IsZero() || len(modules) == 0 {
		return fmt.Errorf("the folder %s holds no Go advisories", dir)
	}
	return nil
}
