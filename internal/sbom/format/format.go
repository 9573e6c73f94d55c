// Package format reads inventories and statements about vulnerabilities in
// whichever format others wrote them.
//
// Start with [Read], which tells formats by their content and never by a file's
// name. To write an inventory, use cyclonedx.Write or spdx.Write of the packages
// below, to write statements vex.Write.
//
// Every byte is foreign: documents are bounded in bytes, depth, values and
// packages, and a document that could be two formats is refused.
package format

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/format/cyclonedx"
	"github.com/apexlogic/apex/internal/sbom/format/document"
	"github.com/apexlogic/apex/internal/sbom/format/foreign"
	"github.com/apexlogic/apex/internal/sbom/format/spdx"
	"github.com/apexlogic/apex/internal/sbom/format/vex"
	"github.com/apexlogic/apex/internal/sbom/lookalike"
)

// MaxBytes is how many bytes a document may have; read no more of a file.
const MaxBytes = document.MaxBytes

// ErrFormat is wrapped by errors about a document in no format that is read.
var ErrFormat = errors.New("not an inventory in a format that is read")

// Format names a format.
type Format string

// The formats.
const (
	CycloneDX  Format = "CycloneDX"
	SPDX       Format = "SPDX"
	Syft       Format = "Syft JSON"
	Trivy      Format = "Trivy JSON"
	Grype      Format = "Grype JSON"
	OSVScanner Format = "OSV-Scanner JSON"
	OpenVEX    Format = "OpenVEX"
	CSAF       Format = "CSAF VEX"
)

// reader reads a document that has passed [document.Check].
type reader func([]byte) (fact.Inventory, []fact.VEX, error)

func readers() map[Format]reader {
	return map[Format]reader{
		CycloneDX:  cyclonedx.Read,
		SPDX:       alone(spdx.Read),
		Syft:       alone(foreign.Syft),
		Trivy:      alone(foreign.Trivy),
		Grype:      alone(foreign.Grype),
		OSVScanner: alone(foreign.OSVScanner),
		OpenVEX:    statements(vex.OpenVEX),
		CSAF:       statements(vex.CSAF),
	}
}

// alone is a reader of a format that holds no statements.
func alone(read func([]byte) (fact.Inventory, error)) reader {
	return func(data []byte) (fact.Inventory, []fact.VEX, error) {
		inv, err := read(data)
		return inv, nil, err
	}
}

// statements is a reader of a format that holds no inventory.
func statements(read func([]byte) ([]fact.VEX, error)) reader {
	return func(data []byte) (fact.Inventory, []fact.VEX, error) {
		all, err := read(data)
		return fact.Inventory{}, all, err
	}
}

// Read reads an inventory, or statements about vulnerabilities, or both where
// the format holds both. Of OpenVEX and CSAF the inventory is empty. Statements
// are as unsigned as the document: their Signing is left to the caller. The
// inventory's findings are made anew: what a document says of names is not asked.
//
// Reports of scanners (Grype, OSV-Scanner, Trivy without --list-all-pkgs) list
// the packages that they found something about; their inventory says so with a
// gap. Errors about documents that are nothing of the above wrap [ErrFormat].
// It is safe for concurrent use.
func Read(data []byte) (fact.Inventory, []fact.VEX, Format, error) {
	data = document.Trim(data)
	if err := refuse(data); err != nil {
		return fact.Inventory{}, nil, "", err
	}
	if err := document.Check(data); err != nil {
		return fact.Inventory{}, nil, "", fmt.Errorf("inventory: %w", err)
	}
	f, err := sniff(data)
	if err != nil {
		return fact.Inventory{}, nil, "", err
	}
	inv, all, err := readers()[f](data)
	inv.Findings = lookalike.Find(inv.Packages)
	return inv, all, f, err
}

// refuse tells a person what to do with the other encodings of formats.
func refuse(data []byte) error {
	start := bytes.TrimLeft(data[:min(len(data), 1024)], " \t\r\n")
	switch {
	case len(start) == 0:
		return fmt.Errorf("%w: it is empty", ErrFormat)
	case start[0] == '<':
		return fmt.Errorf("%w: it is XML; write CycloneDX or SPDX as JSON", ErrFormat)
	case bytes.HasPrefix(start, []byte("SPDXVersion:")) || bytes.HasPrefix(start, []byte("##")):
		return fmt.Errorf("%w: it is SPDX in tag-value form; write it as JSON", ErrFormat)
	case bytes.HasPrefix(start, []byte("spdxVersion:")) || bytes.HasPrefix(start, []byte("SPDXID:")) || bytes.HasPrefix(start, []byte("---")):
		return fmt.Errorf("%w: it is YAML; write it as JSON", ErrFormat)
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}) || bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		return fmt.Errorf("%w: it is in UTF-16; write it in UTF-8", ErrFormat)
	}
	return nil
}

// sniff tells the format by the keys at the top, in their exact case.
func sniff(data []byte) (Format, error) {
	keys := map[string]bool{}
	var cyclone, spdxVersion, context, csafVersion string
	w := document.NewWalker(data)
	err := w.Object(func(key string) error {
		if len(key) < 64 {
			keys[key] = true
		}
		switch key {
		case "bomFormat":
			return w.Text(&cyclone)
		case "spdxVersion":
			return w.Text(&spdxVersion)
		case "@context":
			return w.Text(&context)
		case "document":
			return w.Object(func(key string) error {
				if key == "csaf_version" {
					return w.Text(&csafVersion)
				}
				return w.Skip()
			})
		}
		return w.Skip()
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	var found []Format
	for _, f := range []struct {
		format Format
		is     bool
	}{
		{CycloneDX, cyclone == "CycloneDX"},
		{SPDX, spdxVersion != ""},
		{Syft, keys["artifacts"] && keys["schema"] && keys["descriptor"]},
		{Trivy, keys["SchemaVersion"] && (keys["ArtifactName"] || keys["ArtifactType"] || keys["Results"])},
		{Grype, keys["matches"] && keys["descriptor"]},
		{OSVScanner, keys["results"]},
		{OpenVEX, keys["statements"] && strings.HasPrefix(context, "https://openvex.dev/ns")},
		{CSAF, csafVersion != ""},
	} {
		if f.is {
			found = append(found, f.format)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("%w (CycloneDX, SPDX, Syft, Trivy, Grype or OSV-Scanner JSON, OpenVEX, CSAF VEX)", ErrFormat)
	}
	return "", fmt.Errorf("%w: it could be %s and %s", ErrFormat, found[0], found[1])
}
