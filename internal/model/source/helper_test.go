package source_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/source"
)

// sparse is a file that is zero but for a few spots.
type sparse struct {
	spots []spot
	size  int64
}

type spot struct {
	off   int64
	bytes []byte
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	n := int(max(0, min(int64(len(p)), s.size-off)))
	clear(p[:n])
	for _, spot := range s.spots {
		if from := spot.off - off; from >= 0 && from < int64(n) {
			copy(p[from:n], spot.bytes)
		} else if from < 0 && -from < int64(len(spot.bytes)) {
			copy(p[:n], spot.bytes[-from:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *sparse) seeker() io.ReadSeeker { return io.NewSectionReader(s, 0, s.size) }

const tenGB = 10 << 30

// weights are the first bytes of a tensor, such as training leaves them.
var weights = func() []byte {
	b := make([]byte, 64<<10)
	rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}()

// bigSafetensors has four tensors of 2.5 GiB.
func bigSafetensors() *sparse {
	const each = tenGB / 4
	var entries []string
	for i := range int64(4) {
		entries = append(entries, fmt.Sprintf(`"layer.%d":{"dtype":"F32","shape":[%d],"data_offsets":[%d,%d]}`, i, each/4, i*each, (i+1)*each))
	}
	header := "{" + strings.Join(entries, ",") + "}"
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	head := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
	return &sparse{[]spot{{0, slices.Concat(head, weights)}}, int64(len(head)) + tenGB}
}

// bigGGUF has a vocabulary, a chat template and four tensors of 2.5 GiB.
func bigGGUF(template string) *sparse {
	le := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	b := []byte("GGUF")
	b = le.AppendUint32(b, 3)
	b = le.AppendUint64(b, 4) // tensors
	b = le.AppendUint64(b, 3) // keys
	b = text(le.AppendUint32(text(b, "general.architecture"), 8), "llama")
	b = text(le.AppendUint32(text(b, "tokenizer.chat_template"), 8), template)
	b = le.AppendUint32(text(b, "tokenizer.ggml.tokens"), 9)
	b = le.AppendUint64(le.AppendUint32(b, 8), 32_000)
	for i := range 32_000 {
		b = text(b, fmt.Sprintf("token%d", i))
	}
	const each = tenGB / 4
	for i := range uint64(4) {
		b = le.AppendUint32(text(b, fmt.Sprintf("blk.%d.weight", i)), 1)
		b = le.AppendUint64(b, each/4)
		b = le.AppendUint64(le.AppendUint32(b, 0), i*each)
	}
	b = append(b, make([]byte, (32-len(b)%32)%32)...)
	return &sparse{[]spot{{0, slices.Concat(b, weights)}}, int64(len(b)) + tenGB}
}

// bigTorch is a zip64 with a pickle in front and two storages of 5 GiB behind.
func bigTorch(pickle string) *sparse {
	le := binary.LittleEndian
	type member struct {
		name string
		size int64
		off  int64
	}
	const each = tenGB / 2
	members := []member{{"archive/data.pkl", int64(len(pickle)), 0}, {"archive/data/0", each, 0}, {"archive/data/1", each, 0}, {"archive/version", 2, 0}}
	local := func(m member) []byte {
		b := append([]byte("PK\x03\x04"), 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		b = append(b, 0, 0, 0, 0) // the checksum of a remote member is not compared
		b = le.AppendUint32(le.AppendUint32(b, math.MaxUint32), math.MaxUint32)
		b = le.AppendUint16(le.AppendUint16(b, uint16(len(m.name))), 20)
		b = append(b, m.name...)
		b = le.AppendUint16(le.AppendUint16(b, 1), 16)
		return le.AppendUint64(le.AppendUint64(b, uint64(m.size)), uint64(m.size))
	}
	s := &sparse{}
	for i := range members {
		m := &members[i]
		m.off = s.size
		header := local(*m)
		switch i {
		case 0:
			header = append(header, pickle...)
		case 3:
			header = append(header, "3\n"...)
		default:
			s.spots = append(s.spots, spot{s.size + int64(len(header)), weights})
		}
		s.spots = append(s.spots, spot{s.size, header})
		s.size += int64(len(header))
		if m.size == each {
			s.size += each
		}
	}
	directory := s.size
	var tail []byte
	for _, m := range members {
		b := append([]byte("PK\x01\x02"), 45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		b = append(b, 0, 0, 0, 0)
		b = le.AppendUint32(le.AppendUint32(b, math.MaxUint32), math.MaxUint32)
		b = le.AppendUint16(le.AppendUint16(b, uint16(len(m.name))), 28)
		b = append(b, make([]byte, 2+2+2+4)...)
		b = le.AppendUint32(b, math.MaxUint32)
		b = append(b, m.name...)
		b = le.AppendUint16(le.AppendUint16(b, 1), 24)
		b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, uint64(m.size)), uint64(m.size)), uint64(m.off))
		tail = append(tail, b...)
	}
	length := int64(len(tail))
	end64 := directory + length
	b := le.AppendUint64([]byte("PK\x06\x06"), 44)
	b = append(b, 45, 0, 45, 0)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint64(le.AppendUint64(b, uint64(len(members))), uint64(len(members)))
	b = le.AppendUint64(le.AppendUint64(b, uint64(length)), uint64(directory))
	b = append(b, "PK\x06\x07\x00\x00\x00\x00"...)
	b = le.AppendUint32(le.AppendUint64(b, uint64(end64)), 1)
	b = append(b, "PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff"...)
	b = le.AppendUint16(le.AppendUint32(le.AppendUint32(b, math.MaxUint32), math.MaxUint32), 0)
	tail = append(tail, b...)
	s.spots = append(s.spots, spot{directory, tail})
	s.size = directory + int64(len(tail))
	return s
}

const (
	harmless = "\x80\x02}q\x00."
	system   = "\x80\x02cposix\nsystem\nX\x04\x00\x00\x00trueq\x00\x85R."
)

// scanned scans what is at the URI and returns the files by path.
func scanned(t *testing.T, uri string, o source.Options) (map[string]*model.File, error) {
	t.Helper()
	src, err := source.Open(t.Context(), uri, o)
	if err != nil {
		return nil, err
	}
	files := map[string]*model.File{}
	err = model.New(scan.Limits{}).Remote(t.Context(), src, model.Options{}, func(f *model.File) error {
		files[f.Path] = f
		return nil
	})
	return files, err
}

// counter counts requests and the bytes that are sent.
type counter struct {
	mu       sync.Mutex
	requests int
	bytes    int64
}

func (c *counter) around(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.requests++
		c.mu.Unlock()
		h.ServeHTTP(&counting{w, c}, r)
	})
}

func (c *counter) cost() (requests int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests, c.bytes
}

type counting struct {
	http.ResponseWriter
	c *counter
}

func (w *counting) Write(p []byte) (int, error) {
	w.c.mu.Lock()
	w.c.bytes += int64(len(p))
	w.c.mu.Unlock()
	return w.ResponseWriter.Write(p)
}

// serve starts a server that answers every path with the handler.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func content(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
}

// env makes a Getenv of pairs.
func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}
