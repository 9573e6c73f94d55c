// Package encoding takes the Content-Encoding off a message, within bounds.
//
// Start with [Decode]. One encoding is taken off, never several: nobody needs
// two, and each one more multiplies what a small message unfolds into.
//
// Sources: RFC 9110 section 8.4, RFC 1952 (gzip), RFC 1950 (deflate, which is
// zlib), RFC 7932 (br), RFC 8878 (zstd).
package encoding

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// window bounds the memory that a decoder may ask for.
const window = 8 << 20

// decoders open each encoding.
var decoders = map[string]func(io.Reader) (io.Reader, error){
	"gzip":    openGzip,
	"x-gzip":  openGzip,
	"deflate": func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
	"br":      func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
	"zstd": func(r io.Reader) (io.Reader, error) {
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	},
}

func openGzip(r io.Reader) (io.Reader, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	z.Multistream(false) // what follows the first member is refused below
	return z, nil
}

// Decode returns the message without its encoding. Values are all of the header
// Content-Encoding; without one, or with identity, data itself is returned.
// What is returned is what has to be passed on, without the header: another
// decoder could read the encoded bytes otherwise. The error is a *media.Refusal.
func Decode(values []string, data []byte, l *media.Limits) ([]byte, error) {
	name := strings.ToLower(strings.TrimSpace(strings.Join(values, ",")))
	if name == "" || name == "identity" {
		return data, nil
	}
	open, known := decoders[name]
	if !known {
		return nil, refuse("the Content-Encoding is not one of gzip, deflate, br, zstd, alone")
	}
	source := bytes.NewReader(data)
	from, err := open(source)
	if err != nil {
		return nil, refuse("the body is not what its Content-Encoding says")
	}
	if c, ok := from.(io.Closer); ok {
		defer c.Close()
	}
	most := min(l.Bytes, int64(len(data))*l.Ratio)
	var out bytes.Buffer
	out.Grow(int(min(most, int64(len(data))*4)))
	n, err := io.Copy(&out, io.LimitReader(from, most+1))
	switch {
	case n > most && most == l.Bytes:
		return nil, media.Refuse(verdict.BodyLimit, "", "the body unfolds into more than %d bytes", l.Bytes)
	case n > most:
		return nil, media.Refuse(verdict.BodyLimit, "", "the body unfolds into more than %d times its size", l.Ratio)
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return nil, refuse("the body asks for a window of more than %d bytes", window)
	case err != nil:
		return nil, refuse("the body is not what its Content-Encoding says")
	case source.Len() > 0:
		return nil, refuse("something follows the end of what is encoded")
	}
	return out.Bytes(), nil
}

func refuse(format string, args ...any) error {
	return media.Refuse(verdict.BodyEncoding, "", format, args...)
}
