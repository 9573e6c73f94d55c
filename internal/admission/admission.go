// Package admission is the door of a Kubernetes cluster: the webhook that an API
// server asks before it stores anything that runs an image or serves a model.
//
// Start with [New], which makes a [Handler] from a [Verifier] and callbacks,
// [Handler.Run], which serves it over TLS until its context ends, and
// [Configuration], which writes the objects that make an API server ask it.
//
// Two passes look at an object. /mutate pins each tag to the digest that it
// names now, so that what is verified is what is pulled. /validate verifies
// every image and model that the object adds. Workloads (Deployments, Knative
// Services, KServe InferenceServices, …) are denied early, for the sake of the
// person who applies them; each Pod is judged again when it is made, whoever
// made it and whatever other webhooks put into it, and that is the gate. No
// verdict is ever kept on the object, and no annotation of it is believed.
//
// Nothing is allowed because something broke: what cannot be read is denied,
// and so is what is not verified within the handler's own deadline. That one is
// shorter than the API server's, so that the denial says why; it carries the
// status 429 and a time to wait, after which clients of Kubernetes ask again by
// themselves, and meanwhile the verification goes on.
//
// Sources: Kubernetes, "Dynamic Admission Control"; the types of
// admission.k8s.io/v1; RFC 6902 (JSON Patch).
package admission

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

// Verifier answers questions, all of one call under one generation. It gives an
// answer to each question, in their order.
type Verifier interface {
	Verify(ctx context.Context, questions []verdict.Question) verdict.Report
}

// EnforceLabel marks a namespace, with the value "true", in which everything has
// to be selected by a policy. Elsewhere what no policy selects is let in with a
// warning.
const EnforceLabel = "apexlogic.com/enforce"

// Options configure a Handler. Verifier, Generation and Namespace are needed.
type Options struct {
	Verifier Verifier

	// Generation names the generation in force, "" when there is none. An
	// answer that was reached under another one is not given: it is asked anew.
	Generation func() string

	// Namespace returns the labels of a namespace. One that is not known is
	// taken for one that is marked with [EnforceLabel].
	Namespace func(name string) (labels map[string]string, known bool)

	// Resolve returns the digest that an image's tag names now, or "" when no
	// policy asks for the image to be pinned. nil: /mutate changes nothing.
	Resolve func(ctx context.Context, q verdict.Question) (verdict.Digest, error)

	// Guard says why a write to an object that somebody watches over is denied,
	// or "" to allow it. It answers /guard; nil: everything is allowed there.
	Guard func(ctx context.Context, r *Review) (deny string)

	// Ready says why the handler cannot answer yet; nil: it can.
	Ready func() error

	Clock  clock.Clock
	Logger *slog.Logger

	// Deadline of one answer; 0: 8 s. It has to be shorter than the webhook's
	// timeoutSeconds.
	Deadline time.Duration
	// Background is how long a verification may go on in all, also after its
	// answer was due; 0: 60 s.
	Background time.Duration
	// Concurrent is how many verifications run at once, those in the background
	// included, and Queue how many wait for their turn; 0: 1,024 and 4,096. They
	// mostly wait for registries.
	Concurrent, Queue int
}

// Handler answers the reviews of API servers. It is an [http.Handler], safe for
// concurrent use.
type Handler struct {
	o         Options
	bodies    *gate // bytes of the requests that are being read or answered
	work      *gate // verifications
	pending   pending
	resolving resolving
	state     lifecycle
}

// The limits that do not depend on the machine.
const (
	defaultDeadline   = 8 * time.Second
	defaultBackground = 60 * time.Second
	defaultConcurrent = 1024
	defaultQueue      = 4096
	// maxBodies bounds the memory of all requests at once. It holds 32 of the
	// largest, or some ten thousand of the usual 4 to 20 KiB.
	maxBodies = 256 << 20
)

// New returns a handler.
func New(o Options) (*Handler, error) {
	if o.Verifier == nil || o.Generation == nil || o.Namespace == nil {
		return nil, errors.New("admission: a verifier, the generation and the namespaces are needed")
	}
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Deadline <= 0 {
		o.Deadline = defaultDeadline
	}
	if o.Background <= 0 {
		o.Background = defaultBackground
	}
	if o.Concurrent <= 0 {
		o.Concurrent = defaultConcurrent
	}
	if o.Queue <= 0 {
		o.Queue = defaultQueue
	}
	return &Handler{
		o:      o,
		bodies: newGate(maxBodies, defaultQueue),
		work:   newGate(int64(o.Concurrent), o.Queue),
	}, nil
}

type dryRunKey struct{}

// DryRun says whether the verification is for a request that will store
// nothing. A [Verifier] whose context says so writes nothing down.
func DryRun(ctx context.Context) bool {
	dry, _ := ctx.Value(dryRunKey{}).(bool)
	return dry
}
