package model

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/source"
)

// What a whole model may cost where it is. The largest ones have some hundred
// files of weights, of each of which less than a megabyte is read.
var remoteBounds = bounds{files: 5000, bytes: 2 << 30, time: 30 * time.Minute}

type bounds struct {
	files int
	bytes int64
	time  time.Duration
}

var (
	ruleDigest = &scan.Rule{ID: "file.digest", Severity: scan.Unreadable,
		Why:  "What the place hands out is not what it says that the file is: others may get something else.",
		Mend: "Fetch the file, compare its digest with a signed one, and scan the copy."}
	ruleEmpty = &scan.Rule{ID: "file.empty", Severity: scan.Unreadable,
		Why:  "A file that is listed as empty and may not be was not read.",
		Mend: "Download the model and scan the copy."}
)

// Remote scans the files of a model where they are, and hands each to emit in
// the order of their paths. Of each file only headers and what can run are
// read; the rest is neither read nor hashed, and [File.Unhashed] counts it: who
// fetches the file later has to compare its digest. A model that would take too
// many requests as a whole is an error.
func (s *Scanner) Remote(ctx context.Context, src source.Source, o Options, emit func(*File) error) error {
	return s.remote(ctx, src, o, remoteBounds, emit)
}

func (s *Scanner) remote(ctx context.Context, src source.Source, o Options, most bounds, emit func(*File) error) error {
	late := fmt.Errorf("%s was not read within %v; download the model and scan the copy", src.Pinned(), most.time)
	ctx, cancel := context.WithTimeoutCause(ctx, most.time, late)
	defer cancel()
	entries, err := src.Files(ctx)
	if err != nil {
		return err
	}
	if len(entries) > most.files {
		return fmt.Errorf("%s has %d files, and at most %d are scanned from afar; name one file, or download the model and scan the copy", src.Pinned(), len(entries), most.files)
	}
	var bytes int64
	for i := range entries {
		e := &entries[i]
		f := s.afar(ctx, src, e, o.Scan)
		bytes += f.Size - f.Unhashed
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := emit(f); err != nil {
			return err
		}
		if o.Progress != nil {
			o.Progress(i+1, bytes)
		}
		if bytes > most.bytes && i+1 < len(entries) {
			return fmt.Errorf("after %d of %d files of %s more than %d MiB were read; download the model and scan the copy", i+1, len(entries), src.Pinned(), most.bytes>>20)
		}
	}
	return nil
}

func (s *Scanner) afar(ctx context.Context, src source.Source, e *source.Entry, o scan.Options) *File {
	started := time.Now()
	ranges := src.Open(ctx, e)
	f := &File{Path: e.Path, Size: e.Size, Digest: e.Digest, Result: s.File(ctx, scan.NewFile(ranges, e.Size).Dear(), o)}
	if err := ranges.Confirm(); err != nil && !errors.Is(err, context.Canceled) {
		f.add(ruleEmpty, err.Error())
	}
	if got, whole := ranges.Digest(); whole {
		if f.Digest == "" {
			f.Digest = got
		}
		if f.Digest != got {
			f.add(ruleDigest, fmt.Sprintf("it is said to be %s and is %s", f.Digest, got))
		}
	}
	requests, read := ranges.Cost()
	f.Requests, f.Unhashed, f.Took = requests, e.Size-read, time.Since(started)
	return f
}
