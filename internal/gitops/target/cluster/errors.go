package cluster

import (
	"errors"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/kube"
)

// words are the errors of an API server and what targets call them.
var words = [...]struct{ kube, gitops error }{
	{kube.ErrNotFound, gitops.ErrNotFound},
	{kube.ErrConflict, gitops.ErrConflict},
	{kube.ErrExists, gitops.ErrConflict},
	{kube.ErrUnknownKind, gitops.ErrUnknownKind},
	{kube.ErrForbidden, gitops.ErrForbidden},
	{kube.ErrInvalid, gitops.ErrInvalid},
}

// mapped returns the error so that it is one of targets', too. Those that time
// mends ([kube.ErrUnavailable]) stay what they are.
func mapped(err error) error {
	for _, w := range words {
		if errors.Is(err, w.kube) {
			return as(w.gitops, err)
		}
	}
	return err
}

// as returns an error that says what err says and is both.
func as(kind, err error) error { return &both{kind, err} }

type both struct{ kind, err error }

func (b *both) Error() string   { return b.err.Error() }
func (b *both) Unwrap() []error { return []error{b.kind, b.err} }
