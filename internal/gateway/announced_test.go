package gateway

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gateway/bodies"
	"github.com/apexlogic/apex/verdict"
)

func TestMemoryIsTakenForWhatArrivesAndNotForWhatIsAnnounced(t *testing.T) {
	const announced, first = 32 << 20, bodies.First
	read := func(length int64, body io.Reader) (*Exchange, []byte, error) {
		x := &Exchange{Route: &Route{}, Writer: httptest.NewRecorder()}
		x.Route.Media.Bytes = announced
		data, err := x.read(&http.Request{ContentLength: length, Body: io.NopCloser(body)})
		return x, data, err
	}
	x, _, err := read(announced, strings.NewReader("{"))
	if d := denialOf(err); d.Code != verdict.BodyIncomplete || cap(x.buffer) > 2*first {
		t.Errorf("%d bytes were taken: %v", cap(x.buffer), err)
	}
	source := rand.NewChaCha8([32]byte{})
	for _, n := range []int{0, 1, first - 1, first, first + 1, 4 * first, 4*first + 1, 70*first + 7} {
		sent := make([]byte, n)
		source.Read(sent)
		for _, length := range []int64{int64(n), -1} {
			x, got, err := read(length, bytes.NewReader(sent))
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d bytes, said to be %d: got %d, %v", n, length, len(got), err)
			}
			if length > 0 && cap(x.buffer) > 2*n+3*bytes.MinRead+first {
				t.Errorf("%d bytes took %d", n, cap(x.buffer))
			}
		}
	}
	if _, _, err := read(-1, bytes.NewReader(make([]byte, announced+1))); err == nil || denialOf(err).Code != verdict.BodyLimit {
		t.Errorf("one byte too many: %v", err)
	}
}
