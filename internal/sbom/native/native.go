// Package native finds packages in machine code: the modules that a Go program
// was built from, and the C libraries that wheels, CUDA images and extension
// modules carry without any package manager knowing.
//
// Start at [Extractors], which the inventory runs over every file. [ReadBuildInfo]
// reads the build information of one Go program. The table in table.go says
// how the version of each library is found; a library is added there.
//
// Attributes that these extractors set beyond those of [fact.Package]: "main"
// (the program itself), "devel" (built from a working copy: its version is what
// the linker was told, or none), "replaced" (a Go module whose code comes from a
// local folder), "static" (part of the file rather than a file of its own), and
// "soname" (only the SONAME tells the version, so it is the interface's).
//
// Programs and libraries are foreign bytes: the readers here take bounded parts
// of them by their own few lines. debug/elf, debug/pe and debug/macho are not
// used: a table of names without ends makes them copy the whole table once for
// each section or symbol.
//
// Sources: cmd/link/internal/ld (buildinfo), debug/buildinfo, the System V ABI
// (ELF), Microsoft's PE format, Apple's Mach-O headers, and the libraries' own
// headers and version strings.
package native

import (
	"github.com/apexlogic/apex/internal/sbom/extract"
)

// Extractors lists the extractors of this package.
func Extractors() []extract.Extractor {
	return []extract.Extractor{
		goProgram(),
		sharedObjects(),
		cudaToolkit(),
	}
}
