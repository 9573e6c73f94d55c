package corpus

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// squeeze writes s through a compressor. Writers into memory do not fail, so
// that an error here is a mistake in this package.
func squeeze(s string, open func(io.Writer) (io.WriteCloser, error)) string {
	var b bytes.Buffer
	w, err := open(&b)
	if err == nil {
		_, err = io.WriteString(w, s)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("corpus: compress: " + err.Error())
	}
	return b.String()
}

func gzipped(s string) string {
	return squeeze(s, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, gzip.BestCompression) })
}

func zlibbed(s string, level int) string {
	return squeeze(s, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriterLevel(w, level) })
}

func xzed(s string) string {
	return squeeze(s, func(w io.Writer) (io.WriteCloser, error) { return xz.WriterConfig{DictCap: 1 << 20}.NewWriter(w) })
}

// lzmaAlone is the old .lzma file that joblib's "lzma" writes.
func lzmaAlone(s string) string {
	return squeeze(s, func(w io.Writer) (io.WriteCloser, error) { return lzma.WriterConfig{DictCap: 1 << 20}.NewWriter(w) })
}

func zstded(s string) string {
	return squeeze(s, func(w io.Writer) (io.WriteCloser, error) {
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	})
}

func lz4ed(s string) string {
	return squeeze(s, func(w io.Writer) (io.WriteCloser, error) {
		z := lz4.NewWriter(w)
		return z, z.Apply(lz4.ConcurrencyOption(1))
	})
}

// pourZeros writes n zeros without holding them.
func pourZeros(z io.WriteCloser, n int, err error) (io.WriteCloser, error) {
	zeros := make([]byte, 1<<20)
	for ; n > 0 && err == nil; n -= len(zeros) {
		_, err = z.Write(zeros[:min(n, len(zeros))])
	}
	return z, err
}
