package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

func TestMessagesAreTheirTextsAndTensors(t *testing.T) {
	tensorOf := func(name, datatype string, contents []byte, shape ...uint64) []byte {
		return sub(5, str(1, name), str(2, datatype), packed(3, shape...), sub(5, contents))
	}
	bare := func(datatype string, shape ...uint64) []byte {
		return sub(5, str(1, "x"), str(2, datatype), packed(3, shape...))
	}
	for _, tc := range []struct {
		name    string
		message []byte
		code    verdict.Code
		parts   string
	}{
		{"nothing", nil, "", ""},
		{"a text in a tensor", said("a word"), "", "BYTES [1] 0"},
		{"a secret in a tensor", said("a", "hunter2"), secretFound, ""},
		{"numbers", tensorOf("x", "FP32", str(6, floats(1, 2, 3, 4)), 2, 2), "", "FP32 [2 2] 16"},
		{"numbers that are not packed", sub(5, str(1, "x"), str(2, "INT64"), num(3, 2), sub(5, num(3, 300), num(3, 1))), "", "INT64 [2] 16"},
		{"fewer numbers than the shape says", tensorOf("x", "FP32", str(6, floats(1, 2, 3)), 2, 2), verdict.TensorShape, ""},
		{"half a number", tensorOf("x", "FP32", str(6, floats(1)[:3]), 1), verdict.StreamInvalid, ""},
		{"numbers of another datatype", tensorOf("x", "INT32", str(6, floats(1)), 1), verdict.TensorShape, ""},
		{"numbers in two fields", tensorOf("x", "FP32", cat(str(6, floats(1)), packed(3, 1)), 2), verdict.TensorShape, ""},
		{"a datatype that nobody knows", tensorOf("x", "FP33", str(6, floats(1)), 1), verdict.TensorShape, ""},
		{"a shape that is negative", tensorOf("x", "FP32", nil, math.MaxUint64), verdict.TensorShape, ""},
		{"a shape without measure", tensorOf("x", "FP32", nil, 1<<40), verdict.TensorShape, ""},
		{"a shape of many dimensions", tensorOf("x", "FP32", nil, make([]uint64, maxDimensions+1)...), verdict.TensorShape, ""},
		{"raw numbers", cat(bare("FP32", 2), str(7, floats(1, 2))), "", "FP32 [2] 8"},
		{"fewer raw numbers than the shape says", cat(bare("FP32", 2), str(7, floats(1))), verdict.TensorShape, ""},
		{"raw texts", cat(bare("BYTES", 2), str(7, counted("a", "b"))), "", "BYTES [2] 10"},
		{"a secret in raw texts", cat(bare("BYTES", 2), str(7, counted("a", "hunter2"))), secretFound, ""},
		{"raw texts that end too early", cat(bare("BYTES", 2), str(7, counted("a", "b")[:7])), verdict.TensorShape, ""},
		{"a raw text that is longer than its tensor", cat(bare("BYTES", 1), str(7, "\xff\xff\xff\xffa")), verdict.TensorShape, ""},
		{"something after raw texts", cat(bare("BYTES", 1), str(7, counted("a", "b"))), verdict.TensorShape, ""},
		{"raw numbers without a tensor", str(7, "a"), verdict.TensorShape, ""},
		{"raw numbers beside others", cat(tensorOf("x", "FP32", str(6, floats(1)), 1), str(7, floats(1))), verdict.TensorShape, ""},
		{"content in a tensor", said("\x89PNG\xff"), "", "image/png BYTES [1] 0"},
		{"content that is not wanted", said("GIF\xff"), verdict.MediaKind, ""},
		{"a secret in a parameter", sub(4, str(1, "k"), sub(2, str(3, "hunter2"))), secretFound, ""},
		{"a parameter", sub(4, str(1, "k"), sub(2, str(3, "hunter3"), num(1, 1), num(2, 1), num(5, 1))), "", ""},
		{"a secret as the name of a parameter", sub(4, str(1, "hunter2")), secretFound, ""},
		{"a model that the route has", str(1, "captioner"), "", ""},
		{"a model that the route does not have", str(1, "other"), verdict.RequestModel, ""},
		{"two models", cat(str(1, "captioner"), str(1, "captioner")), verdict.StreamInvalid, ""},
		{"a string that is not UTF-8", str(3, "\xff"), verdict.StreamInvalid, ""},
		{"a field that nobody knows", str(8, "a"), verdict.StreamInvalid, ""},
		{"a field of a high number", str(1000, "a"), verdict.StreamInvalid, ""},
		{"a string that is written as a number", num(1, 1), verdict.StreamInvalid, ""},
		{"a group", protowire.AppendTag(nil, 1, protowire.StartGroupType), verdict.StreamInvalid, ""},
		{"a field that is longer than the message", str(1, "captioner")[:4], verdict.StreamInvalid, ""},
		{"no message", []byte{0xff}, verdict.StreamInvalid, ""},
		{"too many fields", bytes.Repeat(sub(6), maxFields+1), verdict.StreamLimit, ""},
		{"too many tensors", bytes.Repeat(bare("FP32", 0), media.Defaults().Parts+1), verdict.StreamLimit, ""},
		{"many tensors", bytes.Repeat(bare("FP32", 0), 3), "", "FP32 [0] 0, FP32 [0] 0, FP32 [0] 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var parts []string
			var j judge
			o := Options{
				EventBytes: 1 << 22, Guards: []Guard{noSecret("hunter2")}, Overlap: 16,
				Inspect: func(r io.Reader, where, declared string, l *media.Limits) (media.Part, error) {
					p, err := measured(r, where, declared, l)
					if p.Bytes == 4 {
						return p, media.Refuse(verdict.MediaKind, where, "no GIF")
					}
					p.Type = "image/png"
					return p, err
				},
				Part: func(p *media.Part) error {
					parts = append(parts, describe(p))
					return nil
				},
				Model: func(name string) error {
					if name != "captioner" {
						return media.Refuse(verdict.RequestModel, "", "no such model")
					}
					return nil
				},
			}
			j.begin(&o)
			f := fields{judge: &j}
			err := f.read(Inference()[infer].in, tc.message)
			c, _ := errors.AsType[*Cut](err)
			if tc.code == "" && (err != nil || strings.ReplaceAll(strings.Join(parts, ", "), "image/png, ", "image/png ") != tc.parts) || tc.code != "" && (c == nil || c.Code != tc.code) {
				t.Errorf("%v %q", err, parts)
			}
			if err != nil && strings.Contains(err.Error(), "hunter") {
				t.Error("the refusal quotes content")
			}
		})
	}
}

func describe(p *media.Part) string {
	if p.Kind != media.Tensor {
		return p.Type
	}
	var shape []string
	for _, n := range p.Shape {
		shape = append(shape, string(appendNumber(nil, n)))
	}
	return p.Datatype + " [" + strings.Join(shape, " ") + "] " + string(appendNumber(nil, p.Bytes))
}

func FuzzMessages(f *testing.F) {
	frame := func(flag byte, m []byte) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(m))), m...)
	}
	f.Add(frame(0, said("a", "b")))
	f.Add(frame(1, []byte(zipped(string(said("a"))))))
	f.Add(frame(0, cat(sub(5, str(2, "FP32"), packed(3, 1)), str(7, "abcd"), sub(4, str(1, "k"), sub(2, num(2, 7))))))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options{EventBytes: 1 << 16, Guards: []Guard{noSecret("\x00\x01never")}, Inspect: measured}
		o.defaults()
		m := newMessages(t.Context(), io.NopCloser(bytes.NewReader(data)), &o, Inference()[infer].in, http.Header{"Grpc-Encoding": {"gzip"}}, nil)
		defer m.Close()
		for at := 0; ; {
			got, err := m.next()
			if err != nil {
				return
			}
			if plain := data[at] == 0; plain && !bytes.Equal(got, data[at:at+len(got)]) || got[0] != 0 {
				t.Fatalf("%q became %q", data[at:], got)
			}
			at += messageHead + int(binary.BigEndian.Uint32(data[at+1:]))
		}
	})
}
