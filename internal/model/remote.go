package model

import (
	"context"
	"time"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/source"
)

// Remote scans the files of a model where they are, and hands each to emit in
// the order of the listing. Of each file only headers and what can run are
// read; the rest is neither read nor hashed, and [File.Unhashed] counts it: who
// fetches the file later has to compare its digest.
func (s *Scanner) Remote(ctx context.Context, src source.Source, o Options, emit func(*File) error) error {
	entries, err := src.Files(ctx)
	if err != nil {
		return err
	}
	var bytes int64
	for i := range entries {
		e := &entries[i]
		started := time.Now()
		ranges := src.Open(ctx, e)
		f := &File{Path: e.Path, Size: e.Size, Result: s.File(ctx, scan.NewFile(ranges, e.Size).Dear(), o.Scan)}
		requests, read := ranges.Cost()
		f.Requests, f.Unhashed, f.Took = requests, e.Size-read, time.Since(started)
		bytes += read
		if err := emit(f); err != nil {
			return err
		}
		if o.Progress != nil {
			o.Progress(i+1, bytes)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}
