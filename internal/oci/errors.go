package oci

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

// Error is what every failing call returns. It never holds credentials,
// tokens, query strings or text that the registry chose freely.
type Error struct {
	Code verdict.Code
	// Op is what was being done, for example "resolve"; Ref what it was about.
	Op, Ref string
	// Status is the HTTP status that decided; 0 when there was none.
	Status int
	// RetryAfter is how long the registry asks to wait; 0 when it does not say.
	RetryAfter time.Duration
	Err        error
}

// Error returns "op ref: what is wrong".
func (e *Error) Error() string {
	return fmt.Sprintf("%s %s: %v", e.Op, e.Ref, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of an error of this package, [verdict.OK] for nil,
// and [verdict.Internal] for any other error.
func CodeOf(err error) verdict.Code {
	if err == nil {
		return verdict.OK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return verdict.Internal
}

// IsNotFound reports whether the registry said that the thing does not exist.
func IsNotFound(err error) bool { return CodeOf(err) == verdict.RegistryNotFound }

// fault is a cause that knows its code. It becomes an *Error at the edge of the package.
type fault struct {
	code   verdict.Code
	status int
	after  time.Duration
	err    error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

func faultf(code verdict.Code, format string, args ...any) error {
	return &fault{code: code, err: fmt.Errorf(format, args...)}
}

// wrap turns any error of the inside into an *Error of this call. A nil error stays nil.
func (c *call) wrap(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	e := &Error{Op: c.op, Ref: c.ref, Err: err}
	f, isFault := errors.AsType[*fault](err)
	switch {
	case isFault:
		e.Code, e.Status, e.RetryAfter = f.code, f.status, f.after
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		e.Code = verdict.DeadlineExceeded
	case errors.Is(err, bounded.ErrTooLarge):
		e.Code = verdict.RegistryTooLarge
	case errors.Is(err, errAddress):
		e.Code = verdict.RegistryAddress
	default:
		e.Code = verdict.RegistryUnreachable
	}
	return e
}

// transportError takes what net/http says and leaves out the URL: its query
// may hold a presigned signature. ctx is the exchange's own context, whose
// cause tells a limit of ours from the caller's deadline.
func transportError(ctx context.Context, host string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if _, ours := errors.AsType[*fault](cause); ours {
			return cause
		}
		return fmt.Errorf("ask %s: %w", host, cause)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, errAddress) {
		return faultf(verdict.RegistryAddress, "ask %s: %w", host, err)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" {
		return faultf(verdict.RegistryUnreachable, "ask %s: TLS: %w", host, err)
	}
	return faultf(verdict.RegistryUnreachable, "ask %s: %w", host, err)
}

// statusError explains an answer that is not a success. code is the registry's
// own error code from the body, already filtered; it may be empty.
func statusError(now time.Time, host string, status int, header http.Header, code string) error {
	said := fmt.Sprintf("%s answered %d", host, status)
	if code != "" {
		said += " " + code
	}
	f := &fault{status: status}
	switch {
	case status == http.StatusNotFound:
		f.code, f.err = verdict.RegistryNotFound, errors.New(said)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		f.code, f.err = verdict.RegistryUnauthorized, fmt.Errorf("%s; log in with %s, or give a pull secret that may read this repository", said, loginCommand(host))
	case status == http.StatusTooManyRequests:
		f.code, f.after = verdict.RegistryLimited, retryAfter(now, header)
		wait := "some time"
		if f.after > 0 {
			wait = f.after.String()
		}
		f.err = fmt.Errorf("%s; wait %s", said, wait)
	case status >= 500:
		f.code, f.after = verdict.RegistryUnreachable, retryAfter(now, header)
		f.err = fmt.Errorf("%s; ask again later", said)
	default:
		f.code, f.err = verdict.RegistryAnswer, errors.New(said)
	}
	return f
}

// maxRetryAfter caps what a registry can make a caller believe.
const maxRetryAfter = time.Hour

// retryAfter reads both forms of Retry-After (RFC 9110 section 10.2.3).
func retryAfter(now time.Time, header http.Header) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	var d time.Duration
	if s, err := time.ParseDuration(text + "s"); err == nil {
		d = s
	} else if t, err := http.ParseTime(text); err == nil {
		d = t.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
