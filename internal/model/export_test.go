package model

import (
	"context"
	"time"

	"github.com/apexlogic/apex/internal/model/source"
)

// RemoteWithin is Remote with other bounds.
func (s *Scanner) RemoteWithin(ctx context.Context, src source.Source, files int, bytes int64, most time.Duration, emit func(*File) error) error {
	return s.remote(ctx, src, Options{}, bounds{files, bytes, most}, emit)
}
