package tensor_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/tensor"
)

// fuzz scans whatever it is given with one format. The scan must not break,
// must stay within limits that hold for small files, and say the same twice.
func fuzz(f *testing.F, format scan.Format, seeds ...[]byte) {
	for _, s := range seeds {
		f.Add(s)
	}
	limits := scan.DefaultLimits
	limits.Work, limits.Memory = 1e9, 64<<20
	formats := scan.NewFormats(limits, format)
	f.Fuzz(func(t *testing.T, content []byte) {
		first := formats.Scan(t.Context(), scan.Bytes(content), scan.Options{Tensors: true})
		again := formats.Scan(t.Context(), scan.Bytes(content), scan.Options{Tensors: true})
		for _, finding := range first.Findings {
			if finding.Rule == "scan.internal" {
				t.Fatal(finding.Detail)
			}
			if len(content) < 64<<10 && finding.Rule == "scan.budget" {
				t.Fatalf("%d bytes are over the budget", len(content))
			}
		}
		if a, b := fmt.Sprint(first), fmt.Sprint(again); a != b {
			t.Errorf("the second scan says something else:\n%s\n%s", a, b)
		}
		for _, x := range first.Tensors {
			if x.Size < 0 || x.Offset < 0 {
				t.Errorf("a tensor of %d bytes at %d", x.Size, x.Offset)
			}
		}
		if first.Verdict != scan.Clean {
			return
		}
		// Of a clean file every tensor stands in it.
		for _, x := range first.Tensors {
			if x.Offset > int64(len(content))-x.Size {
				t.Errorf("a clean file of %d bytes has a tensor of %d bytes at %d", len(content), x.Size, x.Offset)
			}
		}
	})
}

func FuzzSafetensors(f *testing.F) {
	fuzz(f, tensor.Safetensors(), safetensors(one, 8), safetensors(two, 16), safetensors(manyTensors(3), 48), safetensors(`{}`, 0),
		withMetadata("state", "cos\nsystem\n(S'id'\ntR."), withMetadata("t", "Y29zCnN5c3RlbQooUydpZCcKdFIu"),
		safetensors(`{"__metadata__":{"a":{"b":["c"]}},`+one[1:], 9), safetensors(`{"a":{"dtype":"F4","shape":[],"x":[1e9],"data_offsets":[0,2]}}`, 2))
}

func FuzzSafetensorsIndex(f *testing.F) {
	fuzz(f, tensor.SafetensorsIndex(), []byte(`{"metadata":{"total_size":16},"weight_map":{"a":"m-1.safetensors","b":"..\\m.bin"}}`),
		[]byte(`{"weight\u005fmap":{"a":["m"]}}`), []byte(`{"weight_map":{"a":"m1.bin"`))
}

func FuzzGGUF(f *testing.F) {
	fuzz(f, tensor.GGUF(), with(func(*ggufFile) {}), with(func(g *ggufFile) { g.version = 1 }), with(func(g *ggufFile) { g.big = true }),
		key("x", kindArray, array{kindArray, []any{array{kindU8, []any{uint8(1)}}}}), key("general.alignment", kindU32, uint32(8)),
		tensorOf(ggufTensor{"t", []uint64{1 << 32, 1 << 32, 4}, 0, 0}))
}

func FuzzNumPy(f *testing.F) {
	fuzz(f, tensor.NumPy(), npy(1, npyHeader("'<f4'", "(2,)"), "12341234"), npy(2, npyHeader("[('x', '<f4', (2, 3)), (('t', 'n'), '|u1', 4)]", "(1,)"), strings.Repeat("1", 28)),
		npy(1, npyHeader("'|O'", "(2,)"), hurt), npy(3, npyHeader(`[(u'\x41', b"<M8[ns]")]`, "(1L,)"), "12345678"))
}

func FuzzR(f *testing.F) {
	fuzz(f, tensor.R(), rds('X', 3, frame()), rds('A', 2, frame()), rds('B', 3, compiled), rds('X', 3, promise(unbound, system)),
		workspaceX(symbol("x"), reals(0, 1)), rds('X', 2, raw(238, pairsOf(symbol("mmap_integer"), symbol("base"), ints(0, 13)), strs("f"), null)))
}

func FuzzGGML(f *testing.F) {
	fuzz(f, tensor.GGML(), whisper(1, 0, 4), whisper(9, 0, 4))
}
