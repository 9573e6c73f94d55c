package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// inRegistry is a model in a registry.
type inRegistry struct {
	client *oci.Client
	ref    verdict.Ref
	model  fact.Model
}

func openRegistry(ctx context.Context, uri string, _ *http.Client, o *Options) (Source, error) {
	if o.Registry == nil {
		return nil, errors.New("registries are not asked here")
	}
	named, err := reference.Parse(strings.TrimPrefix(uri, "oci://"))
	if err != nil {
		return nil, err
	}
	inspector := artifact.New(o.Registry, clock.System{})
	ref, err := inspector.Resolve(ctx, named)
	if err != nil {
		return nil, err
	}
	m := inspector.Model(ctx, ref)
	known, _, ok := m.All()
	if !ok {
		return nil, errors.New(m.Why())
	}
	return &inRegistry{o.Registry, ref, known}, nil
}

func (s *inRegistry) Pinned() string { return "oci://" + s.ref.String() }

func (s *inRegistry) Files(context.Context) ([]Entry, error) {
	var out []Entry
	packed := map[verdict.Digest]bool{}
	for i := range s.model.Files {
		f := &s.model.Files[i]
		name := f.Path
		if f.Packed {
			if packed[f.Digest] {
				continue // the same layer again
			}
			packed[f.Digest] = true
			name = string(f.Digest) // a layer that holds files
		}
		out = append(out, Entry{Path: name, Size: f.Size, Digest: f.Digest, where: f.MediaType})
	}
	return listed(out)
}

func (s *inRegistry) Open(ctx context.Context, e *Entry) *Ranges {
	d := oci.Descriptor{MediaType: e.where, Digest: e.Digest, Size: e.Size}
	return newRanges(ctx, e.Size, func(ctx context.Context, off, n int64) ([]byte, int, error) {
		if n == 0 {
			if empty := sha256.Sum256(nil); d.Digest.Hex() != hex.EncodeToString(empty[:]) {
				return nil, 0, errors.New("the artifact says that the file is empty, and its digest is that of something else")
			}
			return nil, 0, nil
		}
		data, err := s.client.BlobRange(ctx, s.ref.Repo, d, off, n)
		return data, 1, err
	})
}
