package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the API server answered, for callers that tell cases apart.
var (
	// ErrNotFound: the object, or the namespace that it would be in, is not there.
	ErrNotFound = errors.New("not found")
	// ErrExists: an object of this name is there already.
	ErrExists = errors.New("exists already")
	// ErrConflict: a precondition (UID, resource version, test of a patch) does
	// not hold any more. Read again, then decide again.
	ErrConflict = errors.New("changed meanwhile")
	// ErrUnknownKind: the server does not serve the kind, or not yet.
	ErrUnknownKind = errors.New("the API server does not serve this kind")
	// ErrForbidden: the user lacks the right, or an admission plugin or webhook
	// said no.
	ErrForbidden = errors.New("forbidden")
	// ErrInvalid: the object or the request is refused as it is written.
	ErrInvalid = errors.New("invalid")
	// ErrUnauthorized: the server does not believe our credentials.
	ErrUnauthorized = errors.New("the API server does not accept these credentials")
	// ErrUnavailable: the server cannot be reached, is overloaded, or failed.
	// The same request may succeed later.
	ErrUnavailable = errors.New("the API server is not available")
)

// maxMessage bounds the server's words in an error: webhooks write them.
const maxMessage = 1024

// namespaceTerminating is k8s.io/api/core/v1.NamespaceTerminatingCause, whose
// package is not linked for one word.
const namespaceTerminating = metav1.CauseType("NamespaceTerminating")

// typedErrors begin the messages by which server-side apply refuses an object
// that does not fit its schema. The server answers them with 500 and no reason,
// as it does when etcd fails, and they would be tried again for ever.
var typedErrors = [...]string{"failed to create typed patch object", "failed to convert new object"}

// statusOf returns the Status that the server answered with.
func statusOf(err error) (metav1.Status, bool) {
	var status apierrors.APIStatus // an interface without Error
	if !errors.As(err, &status) {
		return metav1.Status{}, false
	}
	return status.Status(), true
}

// explain turns an error of a request into one of ours. What the server says of
// a Secret may quote its values, so only the fields that it names are repeated.
func explain(do string, id ID, err error) error {
	if err == nil {
		return nil
	}
	kind := reason(err)
	if errors.Is(err, context.DeadlineExceeded) && kind == ErrUnavailable {
		return fmt.Errorf("%s %s: %w: %w", do, id, kind, context.DeadlineExceeded)
	}
	if kind == nil { // the caller's context ended, or our own bug
		return fmt.Errorf("%s %s: %w", do, id, err)
	}
	message := saying(err)
	if id.Kind.Kind == "Secret" && id.Group == "" {
		message = fields(err)
	}
	message = strings.TrimPrefix(strings.TrimPrefix(message, kind.Error()), ": ") // ours, wrapped already
	if message == "" {
		return fmt.Errorf("%s %s: %w", do, id, kind)
	}
	return fmt.Errorf("%s %s: %w: %s", do, id, kind, message)
}

// reason returns which of our errors it is, nil when it is none.
func reason(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{ErrUnknownKind, ErrInvalid, ErrNotFound, ErrConflict, ErrUnavailable, ErrForbidden} {
		if errors.Is(err, known) {
			return known
		}
	}
	s, ok := statusOf(err)
	if !ok {
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return ErrUnavailable // no answer: the network, or the deadline of the request
	}
	switch s.Reason {
	case metav1.StatusReasonNotFound:
		return ErrNotFound
	case metav1.StatusReasonAlreadyExists:
		return ErrExists
	case metav1.StatusReasonConflict:
		return ErrConflict
	case metav1.StatusReasonUnauthorized:
		return ErrUnauthorized
	case metav1.StatusReasonForbidden:
		if apierrors.HasStatusCause(err, namespaceTerminating) {
			return ErrUnavailable // it can be made once the old namespace is gone
		}
		return ErrForbidden
	case metav1.StatusReasonGone, metav1.StatusReasonExpired:
		return ErrConflict
	}
	for _, words := range typedErrors {
		if strings.HasPrefix(s.Message, words) {
			return ErrInvalid
		}
	}
	switch code := int(s.Code); {
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return ErrUnavailable
	case code == http.StatusMethodNotAllowed, code == http.StatusNotAcceptable:
		return ErrUnknownKind
	}
	return ErrInvalid
}

// saying returns the server's words, cut to a bounded length and to one line.
func saying(err error) string {
	message := err.Error()
	if s, ok := statusOf(err); ok {
		message = s.Message
	}
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}

// fields returns the names of the fields that the server complains about, and
// its reason; never a value.
func fields(err error) string {
	s, ok := statusOf(err)
	if !ok {
		return saying(err)
	}
	words := []string{string(s.Reason)}
	if s.Details != nil {
		for _, cause := range s.Details.Causes {
			if cause.Field != "" && len(words) < 8 {
				words = append(words, cause.Field)
			}
		}
	}
	return strings.Join(words, " ")
}

// patchDoesNotApply says whether a patch was well-formed, but the object is not
// what it was made for: a test of RFC 6902 §5 failed, or a path is not there. The
// server does not say which, only that it is not the outcome that is invalid.
func patchDoesNotApply(err error) bool {
	s, ok := statusOf(err)
	return ok && s.Code == http.StatusUnprocessableEntity && (s.Details == nil || len(s.Details.Causes) == 0)
}

// isAbout says whether the server complains about the field.
func isAbout(err error, field string) bool {
	s, ok := statusOf(err)
	return ok && s.Details != nil && slices.ContainsFunc(s.Details.Causes, func(c metav1.StatusCause) bool { return c.Field == field })
}

// kindIsGone says whether a 404 is about the path and not about an object: the
// server does not serve the kind there any more.
func kindIsGone(err error) bool {
	s, ok := statusOf(err)
	if !ok || !apierrors.IsNotFound(err) {
		return false
	}
	d := s.Details
	if d == nil || d.Name == "" {
		return true
	}
	for _, cause := range d.Causes {
		if cause.Type == metav1.CauseTypeUnexpectedServerResponse {
			return true // not a Status of the API, but the "page not found" of its mux
		}
	}
	return false
}
