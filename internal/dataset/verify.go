package dataset

import (
	"context"
	"os"
	"path/filepath"
)

// VerifyOptions say how a data set is compared with its manifest.
type VerifyOptions struct {
	// Index is the manifest's records file, by which records are named; nil: none.
	Index    *Index
	Progress func(done, total int64)
}

// Verify reads the data set at path and returns how it differs from the
// manifest: changed, missing (removed) and extra (added) files, and the records
// that differ where the manifest's records file is given. The data set is as it
// was signed when the difference is [Difference.Same].
func Verify(ctx context.Context, m *Manifest, path string, o VerifyOptions) (*Difference, error) {
	options := Options{Name: m.Name, Progress: o.Progress}
	if o.Index != nil {
		dir, err := os.MkdirTemp("", "apex-dataset-*")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		options.Records = filepath.Join(dir, "records")
	}
	now, err := Make(ctx, path, options)
	if err != nil {
		return nil, err
	}
	var index *Index
	if o.Index != nil {
		if index, err = OpenIndex(options.Records); err != nil {
			return nil, err
		}
		defer index.Close()
	}
	return Diff(m, now, o.Index, index)
}
