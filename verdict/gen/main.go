// Command gen writes docs/codes.md from the table of codes in package verdict. Run it with
//
//	go generate ./verdict
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

func main() {
	to := flag.String("to", "docs/codes.md", "file that is written")
	flag.Parse()
	if err := os.WriteFile(*to, []byte(page()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// page is the whole document: a table per area, in the order of the codes.
func page() string {
	var b strings.Builder
	b.WriteString(`# Codes

<!-- Written by go generate ./verdict from verdict/codes.go; edits here are lost. -->

Every check and every decision carries a code. It is what programs compare,
what ` + "`apex policy test`" + ` expects and what the ledger keeps: a code is never
renamed and never reused. What passes has the code ` + "`ok`" + `. The words beside a
verdict are for people and may change.
`)
	last := ""
	for _, info := range verdict.Codes() {
		if a := area(info.Code); a != last {
			last = a
			fmt.Fprintf(&b, "\n## %s\n\n| code | what is the case | what mends it |\n| --- | --- | --- |\n", a)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", info.Code, cell(info.Meaning), cell(info.Mend))
	}
	return b.String()
}

// area is the part of a code that its table is about: "image.signature" or "policy".
func area(c verdict.Code) string {
	first, rest, _ := strings.Cut(string(c), ".")
	if first != "image" {
		return first
	}
	second, _, deeper := strings.Cut(rest, ".")
	switch second {
	case "signature", "attestation", "provenance", "sbom", "vulnerability", "base":
		if deeper {
			return first + "." + second
		}
	}
	return first
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}
