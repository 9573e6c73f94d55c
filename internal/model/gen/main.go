// Command gen writes docs/model-findings.md from the rules of all formats. Run
// it with
//
//	go generate ./internal/model
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/apexlogic/apex/internal/model"
)

func main() {
	to := flag.String("to", "docs/model-findings.md", "file that is written")
	flag.Parse()
	if err := os.WriteFile(*to, []byte(page()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// page is the whole document: a table per format, in the order of the formats.
func page() string {
	var b strings.Builder
	b.WriteString(`# What ` + "`apex model scan`" + ` finds

<!-- Written by go generate ./internal/model from the rules of the formats; edits here are lost. -->

Every finding names a rule. A rule's id is never renamed and never reused; what
stands beside it in a report says where in the file it was found and what
exactly was. The severity is the least that the file's verdict becomes:
*malicious* runs or escapes when the file is loaded, *suspicious* may, or asks
for trust that it does not earn, *unscannable* could not be read to its end, and
a *note* changes nothing. The first three are blocked.

Tables are in the order in which files are examined. A rule that several formats
share stands with the first of them.
`)
	last := ""
	for _, r := range model.Rules() {
		if r.Format != last {
			last = r.Format
			fmt.Fprintf(&b, "\n## %s\n\n| rule | severity | why it matters | what mends it | references |\n| --- | --- | --- | --- | --- |\n", r.Format)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.ID, r.Severity, cell(r.Why), cell(r.Mend), cell(strings.Join(r.References, ", ")))
	}
	return b.String()
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}
