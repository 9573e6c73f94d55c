package model

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/model/oms"
	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/verdict"
)

// Examined is a model that was hashed and scanned in one pass.
type Examined struct {
	*oms.Hashed
	Report Report
}

// Examine hashes the model at path, a folder or a file, and scans each of its
// files in the same pass: what was scanned is what was hashed, or the error says
// which file changed meanwhile. The manifest is as [oms.Hash] makes it, and the
// report's files are in its order.
func (s *Scanner) Examine(ctx context.Context, path string, o oms.Options, options scan.Options) (*Examined, error) {
	var mu sync.Mutex
	found := map[string]*File{}
	o.Work.Inspect = func(ctx context.Context, name string, r io.ReaderAt, size int64) error {
		started := time.Now()
		f := &File{Path: name, Size: size, Result: s.File(ctx, scan.NewFile(r, size), options)}
		f.Took = time.Since(started)
		mu.Lock()
		defer mu.Unlock()
		found[name] = f
		return ctx.Err()
	}
	hashed, err := oms.Hash(ctx, path, o)
	if err != nil {
		return nil, err
	}
	files := make([]File, 0, len(found))
	for _, f := range found {
		files = append(files, *f)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return &Examined{Hashed: hashed, Report: Summarize(files)}, nil
}

// FilesOf lists the files of a manifest of whole files by SHA-256, which is what
// an artifact's layers are compared with.
func (e *Examined) FilesOf() []fact.ModelFile {
	sizes := map[string]int64{}
	for i := range e.Report.Files {
		sizes[e.Report.Files[i].Path] = e.Report.Files[i].Size
	}
	files := make([]fact.ModelFile, 0, len(e.Manifest.Resources))
	for _, r := range e.Manifest.Resources {
		files = append(files, fact.ModelFile{Path: r.Name, Digest: verdict.Digest("sha256:" + r.Digest), Size: sizes[r.Name]})
	}
	return files
}

// The most of each list in an attestation: an attestation is evidence, not the
// report.
const attestedItems = 100

// Predicate is what a scan attestation states of the report. root stands for
// the files; finished is when the scan ended.
func (r *Report) Predicate(root verdict.Digest, finished time.Time) fact.ModelScan {
	p := fact.ModelScan{Root: root, Finished: finished.UTC().Truncate(time.Second), Verdict: r.Verdict.String(), Files: len(r.Files), Formats: []string{}}
	p.Scanner.Name, p.Scanner.Version, p.Scanner.Lists = r.Scanner.Name, r.Scanner.Version, r.Scanner.Lists
	for i := range r.Files {
		f := &r.Files[i]
		p.Bytes += f.Size
		p.Unhashed += f.Unhashed
		p.Formats = append(append(p.Formats, f.Formats...), f.Inner...)
		if f.Verdict == scan.Unknown && len(p.Unknown) < attestedItems {
			p.Unknown = append(p.Unknown, f.Path)
		}
		remote := false
		for j := range f.Findings {
			found := &f.Findings[j]
			remote = remote || isRemoteCode(found.Rule)
			if found.Severity > scan.Note && len(p.Findings) < attestedItems {
				p.Findings = append(p.Findings, fact.ModelFinding{Path: f.Path, Rule: found.Rule, Severity: found.Severity.String(), Where: found.Where.String(), Detail: found.Detail})
			}
		}
		if remote && len(p.RemoteCode) < attestedItems {
			p.RemoteCode = append(p.RemoteCode, f.Path)
		}
	}
	slices.Sort(p.Formats)
	p.Formats = slices.Compact(p.Formats)
	return p
}
