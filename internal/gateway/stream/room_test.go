package stream

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// purse is a Memory of so many bytes.
type purse struct{ most, taken, peak int64 }

func (c *purse) Take(_ context.Context, n int64) error {
	if c.taken+n > c.most {
		return media.Refuse(verdict.BodyMemory, "", "there is no memory")
	}
	c.taken += n
	c.peak = max(c.peak, c.taken)
	return nil
}

func (c *purse) Give(n int64) { c.taken -= n }

func TestAMessageOfACallTakesMemoryAsItComesAndGivesItBack(t *testing.T) {
	text := strings.Repeat("a word or two ", 100<<10/14)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, text)
	z.Close()
	framed := func(flag byte, b []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(b))), b...)
	}
	whole, small := framed(0, []byte(text)), framed(0, []byte("a word"))
	limits := media.Defaults()
	limits.Ratio = 1000
	for _, tc := range []struct {
		name    string
		message []byte
		most    int64
		code    verdict.Code
		least   int64 // that is taken for it
	}{
		{"there is enough", whole, 1 << 20, "", int64(len(text))},
		{"there is too little", whole, 64 << 10, verdict.BodyMemory, 0},
		{"there is enough to unfold it", framed(1, packed.Bytes()), 1 << 20, "", int64(len(text))},
		{"there is too little to unfold it", framed(1, packed.Bytes()), 64 << 10, verdict.BodyMemory, 0},
		{"a small one asks nobody", small, 0, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			memory := &purse{most: tc.most}
			o := Options{EventBytes: 1 << 20, Memory: memory, Media: &limits}
			o.defaults()
			m := newMessages(t.Context(), io.NopCloser(bytes.NewReader(append(bytes.Clone(tc.message), small...))), &o, nil, http.Header{"Grpc-Encoding": {"gzip"}}, nil)
			defer m.Close()
			_, err := m.next()
			if c, is := errors.AsType[*Cut](err); is && c.Code == tc.code {
				return
			}
			if err != nil || tc.code != "" {
				t.Fatal(err)
			}
			if memory.taken < tc.least || tc.least == 0 && memory.peak > 0 {
				t.Errorf("%d bytes are taken for %d, %d at most", memory.taken, len(text), memory.peak)
			}
			if _, err := m.next(); err != nil || memory.taken != 0 {
				t.Errorf("%d bytes are still taken once the next message is at hand, %v", memory.taken, err)
			}
		})
	}
}

func TestALengthThatIsOnlyClaimedTakesNoMemory(t *testing.T) {
	memory := &purse{most: 1 << 20}
	o := Options{EventBytes: 1 << 20, Memory: memory}
	o.defaults()
	claimed := append(binary.BigEndian.AppendUint32([]byte{0}, 1<<19), "a word"...)
	m := newMessages(t.Context(), io.NopCloser(bytes.NewReader(claimed)), &o, nil, http.Header{}, nil)
	defer m.Close()
	if _, err := m.next(); err == nil || memory.peak != 0 {
		t.Errorf("%d bytes were taken for six, %v", memory.peak, err)
	}
}

func TestWhoFindsNoMemoryIsToldToTryAgainLater(t *testing.T) {
	if code := closeCode(&Cut{Code: verdict.BodyMemory}); code != 1013 {
		t.Errorf("a WebSocket is closed with %d", code)
	}
}
