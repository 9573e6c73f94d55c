package tensor_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// sparse is a file of the size on disk that begins with head.
func sparse(t *testing.T, head []byte, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "model"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.Write(head); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Skipf("no file of %d bytes can be made here: %v", size, err)
	}
	return f
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func TestAFileOfAHundredGigabytesTakesLittleMemory(t *testing.T) {
	const numbers = 100 << 30
	header := fmt.Sprintf(`{"a":{"dtype":"F32","shape":[%d],"data_offsets":[0,%d]}}`, int64(numbers/4), int64(numbers))
	g := llama()
	g.tensors = []ggufTensor{{"t", []uint64{numbers / 4}, 0, 0}}
	g.data = 0
	for name, head := range map[string][]byte{
		"safetensors": safetensors(header, 0),
		"gguf":        g.bytes(),
		"numpy":       npy(1, npyHeader("'<f4'", fmt.Sprintf("(%d,)", int64(numbers/4))), ""),
	} {
		t.Run(name, func(t *testing.T) {
			size := int64(len(head)) + numbers
			f := sparse(t, head, size)
			before := allocated()
			r := formats().Scan(t.Context(), scan.NewFile(f, size), scan.Options{Tensors: true})
			if got, most := allocated()-before, uint64(4<<20); got > most {
				t.Errorf("it allocates %d bytes, more than %d", got, most)
			}
			if got, want := said(r), "clean "+name; got != want {
				t.Errorf("got %s, want %s: %v", got, want, r.Findings)
			}
			if len(r.Tensors) != 1 || r.Tensors[0].Size != numbers {
				t.Errorf("tensors: %v", r.Tensors)
			}
		})
	}
}

func TestTheLongestHeaderIsReadWithinTheLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads 200 MB")
	}
	const longest = 100_000_000
	entry := func(i int) string {
		return fmt.Sprintf(`"%0180d":{"dtype":"U8","shape":[1],"data_offsets":[%d,%d]},`, i, i, i+1)
	}
	var b strings.Builder
	b.Grow(longest)
	b.WriteString("{")
	n := 0
	for ; b.Len()+300 < longest; n++ {
		b.WriteString(entry(n))
	}
	many := strings.TrimSuffix(b.String(), ",") + "}"
	many += strings.Repeat(" ", longest-len(many))
	blank := "{" + strings.Repeat(" ", longest-2) + "}"
	for name, test := range map[string]struct{ content []byte }{
		"tensors": {safetensors(many, n)},
		"space":   {safetensors(blank, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			// In a file, and not in memory already.
			r := formats().Scan(t.Context(), scan.NewFile(bytes.NewReader(test.content), int64(len(test.content))), scan.Options{})
			if got, want := said(r), "clean safetensors"; got != want {
				t.Errorf("got %s, want %s: %v", got, want, r.Findings)
			}
			if got, most := allocated()-before, uint64(256<<20); got > most {
				t.Errorf("it allocates %d bytes, more than %d", got, most)
			}
		})
	}
}

func TestAnIndexThatIsTooLongIsNotTakenForOtherJSON(t *testing.T) {
	index := append([]byte("{"), bytes.Repeat([]byte(" "), 70<<20)...)
	other := append(bytes.Clone(index), `"a":1}`...)
	index = append(index, `"weight_map":{"a":"../m.bin"}}`...)
	for want, content := range map[string][]byte{"unscannable safetensors-index: safetensors.index.unreadable": index, "unknown ": other} {
		r := formats().Scan(t.Context(), scan.NewFile(bytes.NewReader(content), int64(len(content))), scan.Options{})
		if got := said(r); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// requests counts reads.
type requests struct {
	io.ReaderAt
	count, bytes int
}

func (r *requests) ReadAt(p []byte, off int64) (int, error) {
	r.count++
	r.bytes += len(p)
	return r.ReaderAt.ReadAt(p, off)
}

func TestARemoteModelTakesFewRequests(t *testing.T) {
	for name, content := range map[string][]byte{
		"safetensors": safetensors(manyTensors(20_000), 20_000*16),
		"gguf":        vocabulary(250_000),
	} {
		t.Run(name, func(t *testing.T) {
			r := &requests{ReaderAt: bytes.NewReader(content)}
			result := formats().Scan(t.Context(), scan.NewFile(r, int64(len(content))).Dear(), scan.Options{})
			if result.Verdict != scan.Clean {
				t.Errorf("it is %s: %v", result.Verdict, result.Findings)
			}
			if r.count > 12 || r.bytes > 16<<20 {
				t.Errorf("%d requests for %d bytes", r.count, r.bytes)
			}
		})
	}
}

func TestCountsThatLieReserveNoMemory(t *testing.T) {
	huge := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	filler := make([]byte, 1<<20)
	for name, content := range map[string][]byte{
		"tensors of GGUF": append(append([]byte("GGUF\x03\x00\x00\x00"), huge(40_000)...), append(huge(0), filler...)...),
		"keys of GGUF":    append(append([]byte("GGUF\x03\x00\x00\x00"), huge(0)...), append(huge(80_000), filler...)...),
		"elements of R":   rds('X', 2, func(o *rOut) { o.int(19); o.int(math.MaxInt32) }),
		"header of numpy": append([]byte("\x93NUMPY\x02\x00\xff\xff\xff\x7f"), filler...),
	} {
		t.Run(name, func(t *testing.T) {
			before := allocated()
			if r := formats().Scan(t.Context(), scan.Bytes(content), scan.Options{}); !r.Verdict.Blocked() {
				t.Errorf("it is %s", r.Verdict)
			}
			if got, most := allocated()-before, uint64(16<<20); got > most {
				t.Errorf("it allocates %d bytes, more than %d", got, most)
			}
		})
	}
}

func TestAFileThatEndsSoonerThanItWasSaidToIsNotClean(t *testing.T) {
	for name, content := range map[string][]byte{
		"safetensors": safetensors(manyTensors(500), 8000), "gguf": vocabulary(5000), "rds": rds('X', 3, vector(0, reals(0, make([]float64, 3000)...), null)),
	} {
		t.Run(name, func(t *testing.T) {
			short := scan.NewFile(bytes.NewReader(content[:8000]), int64(len(content)))
			r := formats().Scan(t.Context(), short, scan.Options{})
			if want := said(r); !strings.Contains(want, "unscannable") || !strings.Contains(want, "scan.read") {
				t.Errorf("it is %s: %v", want, r.Findings)
			}
		})
	}
}

// vocabulary is a model of GGUF with so many tokens, as those of today's
// language models.
func vocabulary(n int) []byte {
	tokens, merges, scores, kinds := array{kind: kindString}, array{kind: kindString}, array{kind: kindF32}, array{kind: 5}
	for i := range n {
		tokens.values = append(tokens.values, fmt.Sprintf("Ġtok%d", i))
		merges.values = append(merges.values, fmt.Sprintf("Ġto k%d", i))
		scores.values = append(scores.values, uint32(i))
		kinds.values = append(kinds.values, uint32(1))
	}
	return with(func(g *ggufFile) {
		g.keys = append(g.keys[:8:8], ggufKey{"tokenizer.ggml.tokens", kindArray, tokens}, ggufKey{"tokenizer.ggml.merges", kindArray, merges},
			ggufKey{"tokenizer.ggml.scores", kindArray, scores}, ggufKey{"tokenizer.ggml.token_type", kindArray, kinds})
	})
}
