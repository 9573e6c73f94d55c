package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/apexlogic/apex/internal/advisory/osv"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/internal/sbom"
	"github.com/apexlogic/apex/internal/sbom/format"
	"github.com/apexlogic/apex/internal/sbom/integrity"
	"github.com/apexlogic/apex/verdict"
)

// InventoryOptions say how [TakeInventory] looks inside.
type InventoryOptions struct {
	// Registry is asked for images that are not of this machine.
	Registry *oci.Client
	// Platform chooses among several, "os/arch"; "" where there is one.
	Platform string
	// Clock and Version are noted in the inventory; nil leaves the time out.
	Clock   clock.Clock
	Version string
}

// maxDocument bounds an SBOM or VEX document.
const maxDocument = 256 << 20

// ReadInventory returns the inventory that somebody else has made when text is
// an SBOM, with the statements (VEX) in it, and takes one otherwise.
func ReadInventory(ctx context.Context, text string, o InventoryOptions) (fact.Inventory, []fact.VEX, error) {
	if info, err := os.Stat(text); err == nil && info.Mode().IsRegular() && strings.EqualFold(filepath.Ext(text), ".json") {
		inventory, statements, err := readDocument(text)
		return inventory, statements, err
	}
	inventory, err := TakeInventory(ctx, text, o)
	return inventory, nil, err
}

func readDocument(path string) (fact.Inventory, []fact.VEX, error) {
	data, err := bounded.ReadFile(path, maxDocument)
	if err != nil {
		return fact.Inventory{}, nil, err
	}
	inventory, statements, _, err := format.Read(data)
	if err != nil {
		return fact.Inventory{}, nil, fmt.Errorf("%s: %w", path, err)
	}
	return inventory, statements, nil
}

// TakeInventory finds what is inside of a folder, an OCI layout, an archive of
// an image, or an image in a registry: what exists at the path counts.
func TakeInventory(ctx context.Context, text string, o InventoryOptions) (fact.Inventory, error) {
	source, err := openSource(ctx, text, &o)
	if err != nil {
		return fact.Inventory{}, err
	}
	defer source.Close()
	inventory, err := sbom.Collect(ctx, source, sbom.Options{Clock: o.Clock, Version: o.Version})
	if err != nil {
		return fact.Inventory{}, fmt.Errorf("%s: %w", reference.Redact(text), err)
	}
	return inventory, nil
}

// CompareInstalled takes the inventory and compares the files that can be seen
// at the end with what their packages recorded about them (RECORD of wheels,
// dpkg, apk, rpm). An SBOM has no files to compare.
func CompareInstalled(ctx context.Context, text string, o InventoryOptions) (fact.Inventory, integrity.Report, error) {
	source, err := openSource(ctx, text, &o)
	if err != nil {
		return fact.Inventory{}, integrity.Report{}, err
	}
	defer source.Close()
	inventory, compared, err := sbom.Examine(ctx, source, sbom.Options{Clock: o.Clock, Version: o.Version})
	if err != nil {
		return inventory, compared, fmt.Errorf("%s: %w", reference.Redact(text), err)
	}
	return inventory, compared, nil
}

func openSource(ctx context.Context, text string, o *InventoryOptions) (sbom.Source, error) {
	if _, err := os.Stat(text); err == nil {
		return sbom.Open(ctx, text, o.Platform)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return sbom.Source{}, err
	}
	ref, err := reference.Parse(text)
	if err != nil {
		return sbom.Source{}, fmt.Errorf("%s is neither a file or folder that exists nor an image: %w", reference.Redact(text), err)
	}
	m, err := o.Registry.Resolve(ctx, ref)
	if err != nil {
		return sbom.Source{}, err
	}
	digest := m.Digest
	if m.IsIndex() {
		if digest, err = platformOf(m.Raw, o.Platform); err != nil {
			return sbom.Source{}, fmt.Errorf("%s: %w", reference.Redact(text), err)
		}
	}
	layers, err := o.Registry.Layers(ctx, ref.Name(), digest)
	if err != nil {
		return sbom.Source{}, err
	}
	return sbom.Image(layers), nil
}

// platformOf picks one image of an index.
func platformOf(index []byte, want string) (verdict.Digest, error) {
	platforms, err := oci.ParseIndex(index)
	if err != nil {
		return "", err
	}
	var names []string
	var found verdict.Digest
	for _, p := range platforms {
		if p.Attestation {
			continue
		}
		names = append(names, p.Platform)
		if want == p.Platform || want == "" && (found == "" || p.Platform == "linux/amd64") {
			found = p.Digest
		}
	}
	if found == "" {
		return "", fmt.Errorf("there is no image for %q; there are %v", want, names)
	}
	return found, nil
}

// LoadAdvisories returns the snapshot in a file, or the current one of the
// directory of this user when path is "". A file is a snapshot of ours or a
// feed in OSV's form (JSON lines, a zip of JSON, gzipped or not).
func LoadAdvisories(ctx context.Context, path string, c clock.Clock) (*snapshot.Snapshot, error) {
	if path == "" {
		var err error
		if path, err = AdvisoriesDir(); err != nil {
			return nil, err
		}
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; run apex advisories sync, or import a file", snapshot.ErrNone)
	}
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		dir, err := snapshot.OpenDir(path, c)
		if err != nil {
			return nil, err
		}
		s, err := dir.Current()
		if errors.Is(err, snapshot.ErrNone) {
			return nil, fmt.Errorf("%w; run apex advisories sync, or import a file", err)
		}
		return s, err
	}
	ours, err := isSnapshot(path)
	if err != nil {
		return nil, err
	}
	if ours {
		data, err := bounded.ReadFile(path, snapshot.MaxSize)
		if err != nil {
			return nil, err
		}
		return snapshot.Load(data)
	}
	in := snapshot.Input{Taken: info.ModTime(), Feeds: []snapshot.Feed{{Name: "file"}}}
	for record, err := range osv.RecordsFile(ctx, path) {
		if err != nil {
			if _, one := errors.AsType[*osv.RecordError](err); one {
				continue
			}
			return nil, err
		}
		in.Feeds[0].Records = append(in.Feeds[0].Records, record)
	}
	return snapshot.Build(in)
}

func isSnapshot(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 7)
	_, err = io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	return string(head) == "APEXADV", err
}

// VulnerabilityNames steps through what the advisories call the vulnerabilities
// of each package: all the names of one record.
func VulnerabilityNames(s *snapshot.Snapshot) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for id, r := range s.All() {
			names := append([]string{id}, r.Aliases...)
			for i := range r.Affected {
				if !yield(r.Affected[i].Name, names) {
					return
				}
			}
		}
	}
}
