package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"syscall"
)

// The specification's error codes, and two of distribution's for 5xx answers.
const (
	codeBlobUnknown         = "BLOB_UNKNOWN"
	codeUploadInvalid       = "BLOB_UPLOAD_INVALID"
	codeUploadUnknown       = "BLOB_UPLOAD_UNKNOWN"
	codeDigestInvalid       = "DIGEST_INVALID"
	codeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     = "MANIFEST_INVALID"
	codeManifestUnknown     = "MANIFEST_UNKNOWN"
	codeNameInvalid         = "NAME_INVALID"
	codeNameUnknown         = "NAME_UNKNOWN"
	codeSizeInvalid         = "SIZE_INVALID"
	codeUnauthorized        = "UNAUTHORIZED"
	codeDenied              = "DENIED"
	codeUnsupported         = "UNSUPPORTED"
	codeTooManyRequests     = "TOOMANYREQUESTS"
	codeUnknown             = "UNKNOWN"
	codeUnavailable         = "UNAVAILABLE"
)

// problem is an answer that is not a success. Its message goes to the client,
// so it never holds a path, a secret or another tenant's name.
type problem struct {
	status  int
	code    string
	message string
	header  http.Header
}

func (p *problem) Error() string { return p.code + ": " + p.message }

func refuse(status int, code, format string, args ...any) *problem {
	return &problem{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// with adds a header to the answer.
func (p *problem) with(key, value string) *problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(key, value)
	return p
}

// bodyError is a failure to read what the client sends, as opposed to a
// failure of the disk.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "read the request's body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// asProblem turns any error into an answer. What is not a problem already is
// the registry's own failure: the client learns its kind, the log the details.
func asProblem(err error) *problem {
	var p *problem
	var body *bodyError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &body):
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return refuse(http.StatusRequestTimeout, codeUploadInvalid, "the body came too slowly; resume from the upload's status")
		}
		return refuse(http.StatusBadRequest, codeUploadInvalid, "the body broke off; resume from the upload's status")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return refuse(http.StatusInsufficientStorage, codeUnavailable, "the registry's disk is full; nothing was stored, push again once there is room")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return refuse(http.StatusServiceUnavailable, codeUnavailable, "the request was given up before it was finished; send it again")
	}
	return refuse(http.StatusInternalServerError, codeUnknown, "the registry failed; its log says why")
}

func (p *problem) write(w http.ResponseWriter) {
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, err := json.Marshal(struct {
		Errors []entry `json:"errors"`
	}{[]entry{{p.code, p.message}}})
	if err != nil { // two strings always marshal
		body = nil
	}
	h := w.Header()
	for _, success := range []string{"Content-Length", "Docker-Content-Digest", "ETag", "Link"} {
		h.Del(success)
	}
	for key, values := range p.header {
		h[key] = values
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	_, _ = w.Write(body) // the client may be gone; there is nobody else to tell
}
