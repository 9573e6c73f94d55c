package model

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/verdict"
)

// File is what was found in one file.
type File struct {
	Path string `json:"path"` // as it was given, or below what was given
	Size int64  `json:"size"`
	scan.Result
	// Unhashed counts the bytes that no digest covers: those of a remote file
	// of which only headers and what can run were read.
	Unhashed int64 `json:"unhashed,omitempty"`
	// Requests that a remote file took.
	Requests int `json:"requests,omitempty"`
	// Digest of a remote file: as its place states it, or where that states
	// none, as it was when all of it was read. Nothing proves the first.
	Digest verdict.Digest `json:"digest,omitempty"`
	// Took is how long it took; not part of the report, which is the same for
	// the same bytes.
	Took time.Duration `json:"-"`
}

// Format names what the file was read as: "torch-zip", or "pickle+zip" for a
// file that two loaders read; "" when nothing took it.
func (f *File) Format() string { return strings.Join(f.Formats, "+") }

var (
	ruleLink = &scan.Rule{ID: "file.link", Severity: scan.Note,
		Why:        "What a link leads to can be changed without the model. It was scanned as it is now.",
		Mend:       "Replace the link by the file that it leads to; signing and packing refuse links.",
		References: []string{"CWE-59"}}
	ruleSpecial = &scan.Rule{ID: "file.special", Severity: scan.Unreadable,
		Why: "A device, pipe or socket is not a file of a model.", Mend: "Remove it."}
	rulePointer = &scan.Rule{ID: "file.pointer", Severity: scan.Unreadable,
		Why:  "It only points to a file that Git LFS keeps, and that file was not scanned.",
		Mend: "Fetch the files (git lfs pull), or scan the repository of a Hub with hf://."}
	ruleOpen = &scan.Rule{ID: "file.open", Severity: scan.Unreadable,
		Why: "What was not read may hold anything.", Mend: "Make the file readable and scan it again."}
)

// fileRules are the rules about files as such, whatever their format.
var fileRules = []*scan.Rule{ruleLink, ruleSpecial, rulePointer, ruleOpen, ruleDigest, ruleEmpty}

// Options say how to scan.
type Options struct {
	Workers int // files at a time; 0: as many as there are processors
	Scan    scan.Options
	// Progress is told after each file; it is called by one goroutine at a time.
	Progress func(files int, bytes int64)
}

// Tree scans the file at path, or all files of the folder at path, and hands
// each to emit in the order of their names. An error is emit's, the context's,
// or says that the folder cannot be listed; what is wrong with one file is in
// what is said of that file.
func (s *Scanner) Tree(ctx context.Context, path string, o Options, emit func(*File) error) error {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Each file is a future in the order of the walk. The channel's room is the
	// number of workers: the walk waits for the slowest of them.
	queue := make(chan chan *File, workers)
	slots := make(chan struct{}, workers)
	walked := make(chan error, 1)
	go func() {
		defer close(queue)
		walked <- walk(path, func(name string, d fs.DirEntry) error {
			future := make(chan *File, 1)
			select {
			case queue <- future:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				future <- s.one(ctx, name, d, o.Scan)
			}()
			return nil
		})
	}()
	var files int
	var bytes int64
	var failed error
	for future := range queue {
		file := <-future
		if failed == nil && ctx.Err() != nil { // what is said of the file may be that the scan was ended
			failed = context.Cause(ctx)
		}
		if failed != nil {
			continue
		}
		files, bytes = files+1, bytes+file.Size
		if failed = emit(file); failed != nil {
			cancel()
			continue
		}
		if o.Progress != nil {
			o.Progress(files, bytes)
		}
	}
	if err := <-walked; failed == nil {
		failed = err
	}
	return failed
}

// walk calls each for all that is not a folder, by name.
func walk(path string, each func(name string, d fs.DirEntry) error) error {
	info, err := os.Stat(path) // a link that a person names is followed
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return each(path, fs.FileInfoToDirEntry(info))
	}
	return filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("list the files of the model: %w", err)
		}
		if d.IsDir() {
			return nil
		}
		return each(name, d)
	})
}

func (s *Scanner) one(ctx context.Context, name string, d fs.DirEntry, o scan.Options) *File {
	started := time.Now()
	file := &File{Path: name}
	defer func() { file.Took = time.Since(started) }()
	link := d.Type()&fs.ModeSymlink != 0
	if !link && !d.Type().IsRegular() {
		file.add(ruleSpecial, d.Type().String())
		return file
	}
	// Without blocking: a pipe may have taken the file's place.
	opened, err := os.OpenFile(name, os.O_RDONLY|openWithoutWaiting, 0)
	if err != nil {
		file.add(ruleOpen, reason(err))
		return file
	}
	defer opened.Close()
	info, err := opened.Stat()
	switch {
	case err != nil:
		file.add(ruleOpen, reason(err))
		return file
	case !info.Mode().IsRegular():
		file.add(ruleSpecial, info.Mode().Type().String())
		return file
	}
	file.Size = info.Size()
	file.Result = s.File(ctx, scan.NewFile(opened, info.Size()), o)
	after, err := opened.Stat()
	if err != nil || after.Size() != info.Size() || !after.ModTime().Equal(info.ModTime()) {
		scan.ReportChanged(&file.Result, "somebody wrote to it")
	}
	if link {
		target, _ := os.Readlink(name) // an unreadable link is reported without its target
		file.add(ruleLink, "leads to "+target)
	}
	return file
}

// add adds a finding about the file as such.
func (f *File) add(rule *scan.Rule, detail string) {
	one := single(rule, detail)
	f.Findings = append(f.Findings, one.Findings...)
	if one.Verdict.Blocked() {
		f.Verdict = max(f.Verdict, one.Verdict)
	}
}

// reason is the error without the path, which stands beside it.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// single is the result with one finding.
func single(rule *scan.Rule, detail string) scan.Result {
	only := scan.Format{Name: "file", Claim: func(*scan.File) bool { return true },
		Scan: func(p *scan.Place, _ *scan.File) error {
			p.Report(rule, scan.Nowhere, detail)
			return nil
		}}
	res := scan.NewFormats(scan.Limits{}, only).Scan(context.Background(), scan.Bytes([]byte{0}), scan.Options{})
	res.Formats = nil
	return res
}
