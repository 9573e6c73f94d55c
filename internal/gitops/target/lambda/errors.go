package lambda

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aws/smithy-go"

	"github.com/apexlogic/apex/internal/gitops"
)

// code returns AWS's code of an error, or "".
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// is says whether AWS answered with one of the codes.
func is(err error, codes ...string) bool { return slices.Contains(codes, code(err)) }

func notThere(err error) bool {
	return is(err, "ResourceNotFoundException", "NoSuchEntity", "NoSuchEntityException")
}

// errOdd is the error of an object that AWS shows, and that cannot be compared:
// one such is no reason to look at no other.
var errOdd = errors.New("it cannot be compared")

// maxMessage of an error of AWS's is shown.
const maxMessage = 300

// failure says what was being done when AWS refused, with the error that callers
// tell apart. Open: AWS's own words may be shown. They repeat what was sent, so
// that those about an environment stay unsaid.
func failure(doing string, err error, open bool) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		if open {
			return fmt.Errorf("%s: %w", doing, err)
		}
		for _, known := range []error{gitops.ErrConflict, gitops.ErrInvalid, gitops.ErrForbidden, gitops.ErrNotFound} {
			if errors.Is(err, known) {
				return fmt.Errorf("%s: %w", doing, err)
			}
		}
		return fmt.Errorf("%s: AWS could not be asked: %w", doing, unspoken{err})
	}
	kind := kindOf(api.ErrorCode())
	text := api.ErrorCode()
	if open {
		text += ": " + api.ErrorMessage()[:min(len(api.ErrorMessage()), maxMessage)]
	}
	if kind == nil {
		return fmt.Errorf("%s: %.400s", doing, text)
	}
	return fmt.Errorf("%s: %.400s: %w", doing, text, kind)
}

// unspoken keeps an error's chain and not its words.
type unspoken struct{ err error }

func (unspoken) Error() string   { return "the request failed" }
func (u unspoken) Unwrap() error { return u.err }

func kindOf(code string) error {
	switch code {
	case "ResourceNotFoundException", "NoSuchEntity", "NoSuchEntityException", "NoSuchBucket", "NoSuchKey", "NoSuchVersion", "NotFound":
		return gitops.ErrNotFound
	case "PreconditionFailedException", "ResourceConflictException", "EntityAlreadyExists", "EntityAlreadyExistsException",
		"ConcurrentModification", "ConcurrentModificationException":
		return gitops.ErrConflict
	case "AccessDeniedException", "AccessDenied", "Forbidden", "UnauthorizedOperation", "UnmodifiableEntity":
		return gitops.ErrForbidden
	case "InvalidParameterValueException", "ValidationException", "ValidationError", "InvalidInput", "MalformedPolicyDocument",
		"InvalidRequestContentException", "LimitExceeded", "CodeStorageExceededException", "PolicyLengthExceededException",
		"PolicyNotAttachable", "RequestTooLargeException", "InvalidCodeSignatureException", "CodeVerificationFailedException":
		return gitops.ErrInvalid
	}
	return nil
}
