package tensor_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/tensor"
)

var (
	ruleTemplate = &scan.Rule{ID: "test.template", Severity: scan.Harmful}
	rulePickle   = &scan.Rule{ID: "test.pickle", Severity: scan.Harmful}
)

// standIns stand in for the packages that read templates and pickles. Each
// takes what looks like its own, and condemns what reaches for the system.
func standIns() []scan.Format {
	find := func(rule *scan.Rule, bad ...string) func(*scan.Place, *scan.File) error {
		return func(p *scan.Place, f *scan.File) error {
			b, err := f.Read(0, min(f.Size(), 1<<20))
			if err != nil {
				return err
			}
			for _, what := range bad {
				if bytes.Contains(b, []byte(what)) {
					p.Report(rule, scan.At(0), what)
				}
			}
			return nil
		}
	}
	return []scan.Format{{
		Name:  "template",
		Rules: []*scan.Rule{ruleTemplate},
		Claim: func(f *scan.File) bool {
			head, err := f.Head()
			return err == nil && (bytes.HasPrefix(head, []byte("{%")) || bytes.HasPrefix(head, []byte("{{")))
		},
		Scan: find(ruleTemplate, "__class__", "__globals__"),
	}, {
		Name: "pickle", Rules: []*scan.Rule{rulePickle},
		Claim: func(f *scan.File) bool {
			return f.HasPrefix("\x80\x02") || f.HasPrefix("\x80\x04") || f.HasPrefix("cos\n") || f.HasPrefix("c__builtin__")
		},
		Scan: find(rulePickle, "os\nsystem", "posix"),
	}}
}

func formats() *scan.Formats {
	return scan.NewFormats(scan.Limits{}, append(tensor.Formats(), standIns()...)...)
}

func examine(tb testing.TB, content []byte) scan.Result {
	tb.Helper()
	return formats().Scan(tb.Context(), scan.Bytes(content), scan.Options{Tensors: true})
}

// said is a result in one line: the verdict, the formats and the rules.
func said(r scan.Result) string {
	s := r.Verdict.String() + " " + strings.Join(r.Formats, "+")
	var rules []string
	for _, f := range r.Findings {
		if !slices.Contains(rules, f.Rule) {
			rules = append(rules, f.Rule)
		}
	}
	if len(rules) > 0 {
		s += ": " + strings.Join(rules, " ")
	}
	return s
}

// rulesOf are the rules that a format says it reports by.
func rulesOf(format string) []string {
	var rules []string
	for _, f := range formats().All() {
		if f.Name == format || strings.HasPrefix(format, f.Name+"-") {
			for _, r := range f.Rules {
				rules = append(rules, r.ID)
			}
		}
	}
	return rules
}

func TestEachRuleHasOneIDAndAReason(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range tensor.Formats() {
		for _, r := range f.Rules {
			if seen[r.ID] {
				t.Errorf("%s is there twice", r.ID)
			}
			seen[r.ID] = true
			if r.Why == "" || r.Mend == "" && r.Severity != scan.Note {
				t.Errorf("%s does not say why, or how to mend it", r.ID)
			}
		}
	}
}

// file is content and what is to be said of it.
type file struct {
	name    string
	content []byte
	want    string
}

func check(t *testing.T, files []file) {
	t.Helper()
	for _, f := range files {
		t.Run(f.name, func(t *testing.T) {
			r := examine(t, f.content)
			for _, finding := range r.Findings {
				if !slices.Contains(rulesOf(finding.Format), finding.Rule) {
					t.Errorf("%s reports by %s, which is not in its table", finding.Format, finding.Rule)
				}
			}
			if got := said(r); got != f.want {
				t.Errorf("got  %s\nwant %s", got, f.want)
				for _, f := range r.Findings {
					t.Logf("%s %s: %s", f.Rule, f.Where, f.Detail)
				}
			}
		})
	}
}

// safetensors returns a file with the header and so many bytes of numbers.
func safetensors(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	return append(b, make([]byte, data)...)
}

// manyTensors is the header of n tensors of 16 bytes, as the library writes it.
func manyTensors(n int) string {
	var b strings.Builder
	b.WriteString(`{"__metadata__":{"format":"pt"}`)
	for i := range n {
		fmt.Fprintf(&b, `,"model.layers.%d.mlp.experts.%d.down_proj.weight":{"dtype":"BF16","shape":[2,4],"data_offsets":[%d,%d]}`,
			i/64, i%64, 16*i, 16*i+16)
	}
	b.WriteString("}")
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	return b.String()
}

// ggufFile writes GGUF. The zero value is of version 3 and little-endian.
type ggufFile struct {
	version uint32
	big     bool
	keys    []ggufKey
	tensors []ggufTensor
	align   int // of what it writes, 32 where it is 0
	data    int // bytes of numbers; -1: as the tensors say
}

type ggufKey struct {
	name string
	kind uint32
	// value is what follows the type: a number of any width, a string, or
	// bytes as they are.
	value any
}

type ggufTensor struct {
	name   string
	shape  []uint64
	kind   uint32
	offset uint64
}

// array is the value of a key.
type array struct {
	kind   uint32
	values []any
}

func (g *ggufFile) order() binary.AppendByteOrder {
	if g.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (g *ggufFile) wide(b []byte, n uint64) []byte {
	if g.version == 1 {
		return g.order().AppendUint32(b, uint32(n))
	}
	return g.order().AppendUint64(b, n)
}

func (g *ggufFile) value(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(g.wide(b, uint64(len(v))), v...)
	case []byte:
		return append(b, v...)
	case bool, uint8, int8:
		return append(b, 1)
	case uint16:
		return g.order().AppendUint16(b, v)
	case uint32:
		return g.order().AppendUint32(b, v)
	case uint64:
		return g.order().AppendUint64(b, v)
	case array:
		b = g.order().AppendUint32(b, v.kind)
		b = g.wide(b, uint64(len(v.values)))
		for _, e := range v.values {
			b = g.value(b, e)
		}
		return b
	}
	panic(fmt.Sprintf("no value of GGUF: %T", v))
}

func (g ggufFile) bytes() []byte {
	if g.version == 0 {
		g.version = 3
	}
	b := g.order().AppendUint32([]byte("GGUF"), g.version)
	b = g.wide(g.wide(b, uint64(len(g.tensors))), uint64(len(g.keys)))
	for _, k := range g.keys {
		b = g.value(g.order().AppendUint32(g.value(b, k.name), k.kind), k.value)
	}
	for _, t := range g.tensors {
		b = g.order().AppendUint32(g.value(b, t.name), uint32(len(t.shape)))
		for _, n := range t.shape {
			b = g.wide(b, n)
		}
		b = g.order().AppendUint64(g.order().AppendUint32(b, t.kind), t.offset)
	}
	align := max(g.align, 32)
	if g.align > 0 {
		align = g.align
	}
	for len(g.tensors) > 0 && len(b)%align != 0 {
		b = append(b, 0)
	}
	return append(b, make([]byte, g.data)...)
}

// npy returns an array with the header and what follows it.
func npy(version byte, header, rest string) []byte {
	b := append([]byte("\x93NUMPY"), version, 0)
	wide := 2
	if version > 1 {
		wide = 4
	}
	for (len(b)+wide+len(header)+1)%64 != 0 {
		header += " "
	}
	header += "\n"
	if wide == 2 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	}
	return append(append(b, header...), rest...)
}

func npyHeader(descr, shape string) string {
	return "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }"
}

// noise is bytes of weights.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}
