package kube

import (
	"errors"
	"io"
	"net/http"
)

// maxAnswer bounds what one request may answer: a page of a list of the largest
// objects that etcd holds would have 500 x 1.5 MiB; lists are asked for by
// metadata or by few names, and stay far below this.
const maxAnswer = 64 << 20

var errAnswerTooLarge = errors.New("the API server's answer is larger than 64 MiB")

// bound limits the bodies of all answers but those of watches, which have no end
// and whose frames client-go bounds.
func bound(next http.RoundTripper) http.RoundTripper { return bounding{next} }

type bounding struct{ next http.RoundTripper }

func (b bounding) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil || req.URL.Query().Get("watch") != "" {
		return resp, err
	}
	resp.Body = &boundedBody{resp.Body, maxAnswer}
	return resp, nil
}

// WrappedRoundTripper lets client-go look through, as its own wrappers do.
func (b bounding) WrappedRoundTripper() http.RoundTripper { return b.next }

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errAnswerTooLarge
	}
	return n, err
}
