// Package sbom takes inventories: which packages are inside an image, a root
// file system or a folder, where they lie, which layer brought them and who
// owns them.
//
// Start with [Image] or [Open] for a [Source] and [Collect] for its inventory;
// [Examine] compares what is installed with what its packages say as well.
// Packages are found by extractors, one for each kind of evidence (package
// extract; the table is in [extractors]).
//
// An image is read layer by layer, lowest first, and both truths are kept: a
// package that a later layer deleted is in the image and cannot be seen at run
// time, so it is listed as removed. Every byte is foreign: archives are bounded
// in entries, names, bytes and links, names never leave the tree, and what
// could not be read is a gap of the inventory.
//
// Sources: OCI image-spec v1.1, layer (whiteouts, hard links), and the way in
// which containerd unpacks layers where the specification leaves it open.
package sbom

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/sbom/attestation"
	"github.com/apexlogic/apex/internal/sbom/distro"
	"github.com/apexlogic/apex/internal/sbom/extract"
	"github.com/apexlogic/apex/internal/sbom/integrity"
	"github.com/apexlogic/apex/internal/sbom/lock"
	"github.com/apexlogic/apex/internal/sbom/native"
	"github.com/apexlogic/apex/internal/sbom/python"
	"github.com/apexlogic/apex/verdict"
)

// extractors lists every extractor, in the order in which they see a file.
func extractors() []extract.Extractor {
	return slices.Concat(distro.Extractors(), python.Extractors(), lock.Extractors(), native.Extractors())
}

// Source is what an inventory is made of: the layers of an image, or a folder.
type Source struct {
	layers *oci.Layers
	dir    string
}

// Image is the source of an image; who opened its layers closes them.
func Image(layers *oci.Layers) Source { return Source{layers: layers} }

// Folder is the source of an unpacked root file system or a project. Links are
// followed within it only.
func Folder(dir string) Source { return Source{dir: dir} }

// Open is the source of what lies at the path: an image as [oci.OpenLocal] reads
// it (platform chooses where there are several), or else a folder. Close the
// source after use.
func Open(ctx context.Context, path, platform string) (Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Source{}, err
	}
	if info.IsDir() && !oci.IsLayout(path) {
		return Folder(path), nil
	}
	layers, err := oci.OpenLocal(ctx, path, platform)
	if err != nil {
		return Source{}, err
	}
	return Image(layers), nil
}

// Close closes the layers of the source.
func (s Source) Close() error {
	if s.layers == nil {
		return nil
	}
	return s.layers.Close()
}

// Options configure an inventory. The zero value is ready.
type Options struct {
	// Clock tells when the inventory was made; nil leaves that out, so that the
	// same source gives the same bytes.
	Clock clock.Clock
	// Version of the program, noted in the inventory.
	Version string
	// Scratch is the folder for temporary files; "" is the system's. They take
	// as much room as the largest layer's programs and libraries.
	Scratch string
	// Attestations say whom [Examine] trusts for attestations of publishers, and
	// which it judges beside those that it finds.
	Attestations attestation.Options
}

// Collect takes the inventory of the source.
//
// An error means that the source could not be read, that a digest did not
// agree or that it is larger than the limits; then there is no inventory. What
// an extractor could not read is a gap in it. Packages are ordered by path,
// ecosystem, name, version and layer.
func Collect(ctx context.Context, src Source, o Options) (fact.Inventory, error) {
	c, err := collect(ctx, src, o, extractors())
	if err != nil {
		return fact.Inventory{}, err
	}
	defer c.Close()
	return c.inventory(), nil
}

// Examine takes the inventory and compares the files that can be seen at the
// end with what their packages recorded about them, and with what their
// publishers attest where such documents are there. The layers of an image are
// read again for that.
func Examine(ctx context.Context, src Source, o Options) (fact.Inventory, integrity.Report, error) {
	c, err := collect(ctx, src, o, extractors())
	if err != nil {
		return fact.Inventory{}, integrity.Report{}, err
	}
	defer c.Close()
	inv := c.inventory()
	report, err := integrity.Check(ctx, c, inv.Packages)
	if err != nil {
		return fact.Inventory{}, integrity.Report{}, fmt.Errorf("check what is installed: %w", err)
	}
	attested, err := attestation.Check(ctx, c, inv.Packages, o.Attestations)
	if err != nil {
		return fact.Inventory{}, integrity.Report{}, fmt.Errorf("check attestations: %w", err)
	}
	report.Attested = attested.Attested
	report.Findings = append(report.Findings, attested.Findings...)
	report.Gaps = append(report.Gaps, attested.Gaps...)
	return inv, report, nil
}

// subject names the source.
func (s Source) subject() verdict.Ref {
	if s.layers == nil {
		return verdict.Ref{}
	}
	return s.layers.Ref()
}

func (o Options) now() time.Time {
	if o.Clock == nil {
		return time.Time{}
	}
	return o.Clock.Now()
}
