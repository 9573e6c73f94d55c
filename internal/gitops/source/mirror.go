package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/apexlogic/apex/internal/repo"
)

// opened opens the mirror the first time.
func (s *Source) opened() (*repo.Mirror, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mirror != nil {
		return s.mirror, nil
	}
	m, err := repo.OpenMirror(s.mirrorDir(), s.remote, cmp.Or(s.spec.Branch, "main"))
	if errors.Is(err, repo.ErrLocked) {
		return nil, fmt.Errorf("another process follows the source %s: %w", s.name, err)
	}
	s.mirror = m
	return m, err
}

func (s *Source) mirrorDir() string { return filepath.Join(s.o.State, "mirror") }

// commits is the copy of the repository, to be read while somebody else may
// fetch into it. The second result closes it.
func (s *Source) commits() (*repo.Repo, func() error, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mirror != nil {
		return s.mirror.Repo(), func() error { return nil }, nil
	}
	r, err := repo.Open(s.mirrorDir())
	if err != nil {
		return nil, nil, err
	}
	return r, r.Close, nil
}

func (s *Source) fetch(ctx context.Context) (string, error) {
	mirror, err := s.opened()
	if err != nil {
		return "", err
	}
	fetched, err := mirror.Fetch(ctx)
	if err != nil {
		return "", err
	}
	return string(fetched.Head), nil
}
