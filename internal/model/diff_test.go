package model_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model"
	"github.com/apexlogic/apex/internal/model/scan"
)

// safetensors writes tensors of one type, each with its bytes.
func safetensors(dtype string, size int, tensors ...string) string {
	var entries []string
	var data string
	for i := 0; i < len(tensors); i += 2 {
		entries = append(entries, fmt.Sprintf(`"%s":{"dtype":"%s","shape":[%d],"data_offsets":[%d,%d]}`, tensors[i], dtype, len(tensors[i+1])/size, len(data), len(data)+len(tensors[i+1])))
		data += tensors[i+1]
	}
	header := "{" + strings.Join(entries, ",") + "}"
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + data
}

func f32(v ...float32) string {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return string(b)
}

func u16(v ...uint16) string {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint16(b, x)
	}
	return string(b)
}

// gguf has a chat template and one F32 tensor.
func gguf(template, data string) string {
	le := binary.LittleEndian
	text := func(b []byte, s string) []byte { return append(le.AppendUint64(b, uint64(len(s))), s...) }
	b := le.AppendUint64(le.AppendUint64(le.AppendUint32([]byte("GGUF"), 3), 1), 2)
	b = text(le.AppendUint32(text(b, "general.architecture"), 8), "llama")
	b = text(le.AppendUint32(text(b, "tokenizer.chat_template"), 8), template)
	b = le.AppendUint64(le.AppendUint32(text(b, "blk.0.weight"), 1), uint64(len(data)/4))
	b = le.AppendUint64(le.AppendUint32(b, 0), 0)
	b = append(b, make([]byte, (32-len(b)%32)%32)...)
	data += strings.Repeat("\x00", (32-len(data)%32)%32)
	return string(b) + data
}

// npy has one little-endian float32 array.
func npy(data string) string {
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d,), }", len(data)/4)
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	return "\x93NUMPY\x01\x00" + u16(uint16(len(header))) + header + data
}

// torch is a torch zip with two float32 tensors, and what else the pickle does.
func torch(t testing.TB, name, a, b, more string) string {
	tensor := func(key string, n int) string {
		return "ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00" + key +
			"X\x03\x00\x00\x00cpuK" + string(rune(n)) + "tQK\x00K" + string(rune(n)) + "\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
	}
	pickle := "\x80\x02}(X\x06\x00\x00\x00lora.A" + tensor("0", len(a)/4) + "X\x06\x00\x00\x00lora.B" + tensor("1", len(b)/4) + "u" + more + "."
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, m := range [][2]string{{"data.pkl", pickle}, {"data/0", a}, {"data/1", b}, {"version", "3\n"}} {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name + "/" + m[0], Method: zip.Store})
		if err == nil {
			_, err = f.Write([]byte(m[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func npz(t testing.TB, method uint16, data string) string {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	f, err := w.CreateHeader(&zip.FileHeader{Name: "weight.npy", Method: method})
	if err == nil {
		_, err = f.Write([]byte(npy(data)))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func compare(t *testing.T, base, tuned map[string]string) *model.Diff {
	t.Helper()
	d, err := model.New(scan.Limits{}).Compare(t.Context(), folder(t, base), folder(t, tuned), model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// said is the diff in a line.
func said(d *model.Diff) string {
	out := fmt.Sprintf("%d same", d.Same)
	for _, c := range d.Changed {
		out += fmt.Sprintf("; %s %d elements %d bytes max %.4g mean %.4g relative %.4g", c.Name, c.Elements, c.Bytes, c.MaxAbs, c.MeanAbs, c.Relative)
		if c.NotFinite > 0 {
			out += fmt.Sprintf(" not finite %d", c.NotFinite)
		}
	}
	for what, list := range map[string][]string{"added": d.Added, "removed": d.Removed, "reshaped": d.Reshaped, "unread": d.Unread} {
		if len(list) > 0 {
			out += "; " + what + " " + strings.Join(list, ", ")
		}
	}
	for _, f := range d.Files {
		out += fmt.Sprintf("; %s %s", f.Path, f.What)
		if f.Code {
			out += " code"
		}
	}
	for _, f := range d.New {
		out += "; new " + f.Rule
	}
	return out
}

func TestTensorsAreMeasured(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, c := range map[string]struct{ base, tuned, want string }{
		// The norm of (1 2 2) is 3, that of the difference 1.5.
		"F32":            {safetensors("F32", 4, "w", f32(1, 2, 2)), safetensors("F32", 4, "w", f32(1, 2, 3.5)), "0 same; w 1 elements 1 bytes max 1.5 mean 0.5 relative 0.5"},
		"F32, the same":  {safetensors("F32", 4, "w", f32(1, 2, 2)), safetensors("F32", 4, "w", f32(1, 2, 2)), "1 same"},
		"F32, from zero": {safetensors("F32", 4, "w", f32(0, 0)), safetensors("F32", 4, "w", f32(0, 2)), "0 same; w 1 elements 1 bytes max 2 mean 1 relative 0"},
		// 0x3c00 is 1, 0x4000 is 2, 0x0001 is 2^-24.
		"F16": {safetensors("F16", 2, "w", u16(0x3c00, 0)), safetensors("F16", 2, "w", u16(0x4000, 1)), "0 same; w 2 elements 2 bytes max 1 mean 0.5 relative 1"},
		// 0x3f80 is 1, 0xbf80 is -1.
		"BF16":       {safetensors("BF16", 2, "w", u16(0x3f80)), safetensors("BF16", 2, "w", u16(0xbf80)), "0 same; w 1 elements 1 bytes max 2 mean 2 relative 2"},
		"I8":         {safetensors("I8", 1, "w", "\x01\xff"), safetensors("I8", 1, "w", "\x01\x01"), "0 same; w 1 elements 1 bytes max 2 mean 1 relative 1.414"},
		"NaN":        {safetensors("F32", 4, "w", f32(1, nan)), safetensors("F32", 4, "w", f32(1, inf)), "0 same; w 1 elements 1 bytes max 0 mean 0 relative 0 not finite 1"},
		"minus zero": {safetensors("F32", 4, "w", f32(0)), safetensors("F32", 4, "w", "\x00\x00\x00\x80"), "0 same; w 1 elements 1 bytes max 0 mean 0 relative 0"},
		"F8":         {safetensors("F8_E4M3", 1, "w", "\x01\x02"), safetensors("F8_E4M3", 1, "w", "\x01\x03"), "0 same; w 0 elements 1 bytes max 0 mean 0 relative 0"},
		"a LoRA": {safetensors("F32", 4, "w", f32(1)), safetensors("F32", 4, "w", f32(1), "lora.A", f32(2)),
			"1 same; added lora.A; x header changed"},
		"removed":        {safetensors("F32", 4, "w", f32(1), "v", f32(1)), safetensors("F32", 4, "w", f32(1)), "1 same; removed v; x header changed"},
		"reshaped":       {safetensors("F32", 4, "w", f32(1)), safetensors("F32", 4, "w", f32(1, 2)), "0 same; reshaped w: F32[1] became F32[2]; x header changed"},
		"another type":   {safetensors("F32", 4, "w", f32(1)), safetensors("I32", 4, "w", f32(1)), "0 same; reshaped w: F32[1] became I32[1]; x header changed"},
		"GGUF":           {gguf("{{ m }}", f32(1, 1, 1, 1)), gguf("{{ m }}", f32(1, 1, 1, 2)), "0 same; blk.0.weight 1 elements 2 bytes max 1 mean 0.25 relative 0.5"},
		"GGUF, template": {gguf("{{ m }}", f32(1)), gguf("{{ n }}", f32(1)), "1 same; x header changed code"},
		"npy":            {npy(f32(3, 4)), npy(f32(3, 9)), "0 same; x 1 elements 2 bytes max 5 mean 2.5 relative 1"},
		"npz":            {npz(t, zip.Store, f32(3, 4)), npz(t, zip.Store, f32(3, 9)), "0 same; weight.npy 1 elements 2 bytes max 5 mean 2.5 relative 1"},
		"npz, packed":    {npz(t, zip.Deflate, f32(3, 4)), npz(t, zip.Deflate, f32(3, 9)), "0 same; unread weight.npy; x changed code"},
		"torch":          {torch(t, "base", f32(1, 1), f32(2), ""), torch(t, "tuned", f32(1, 1), f32(3), ""), "1 same; lora.B 1 elements 1 bytes max 1 mean 1 relative 0.5"},
		"torch, the same": {torch(t, "base", f32(1, 1), f32(2), ""), torch(t, "tuned", f32(1, 1), f32(2), ""),
			"2 same"},
		"torch, another pickle": {torch(t, "a", f32(1), f32(2), ""), torch(t, "a", f32(1), f32(2), "cposix\nsystem\nX\x04\x00\x00\x00true\x85R0"),
			"2 same; x!data.pkl changed code; new pickle.harmful.import"},
	} {
		t.Run(name, func(t *testing.T) {
			d := compare(t, map[string]string{"x": c.base}, map[string]string{"x": c.tuned})
			got := said(d)
			if i := strings.Index(got, "; new "); i >= 0 && strings.Contains(c.want, "; new ") {
				c.want = c.want[:strings.Index(c.want, "; new ")] + got[i:] // which rules, the pickle's tests say
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if want := strings.Contains(c.want, " code") || strings.Contains(c.want, "; new "); d.Alarming() != want {
				t.Errorf("alarming %v", d.Alarming())
			}
		})
	}
}

func TestFilesAreCompared(t *testing.T) {
	weights := safetensors("F32", 4, "w", f32(1))
	for name, c := range map[string]struct {
		base, tuned map[string]string
		want        string
	}{
		"the same":        {map[string]string{"config.json": "{}", "w": weights}, map[string]string{"config.json": "{}", "w": weights}, "1 same"},
		"a text":          {map[string]string{"README.md": "a b", "w": weights}, map[string]string{"README.md": "a c", "w": weights}, "1 same; README.md changed"},
		"sharded anew":    {map[string]string{"w": weights}, map[string]string{"w-1-of-1": weights}, "1 same; w removed; w-1-of-1 added"},
		"auto_map added":  {map[string]string{"config.json": `{"a":1}`}, map[string]string{"config.json": `{"a":1,"auto_map":{"AutoModel":"evil.Model"}}`}, "0 same; config.json changed code; new config.remote-code"},
		"pickle replaced": {map[string]string{"p": harmless, "z.txt": "a b c"}, map[string]string{"p": system, "z.txt": "a b d"}, "0 same; p changed code; z.txt changed; new"},
		"an old finding":  {map[string]string{"p": system}, map[string]string{"q": system}, "0 same; p removed code; q added code"},
	} {
		t.Run(name, func(t *testing.T) {
			got := said(compare(t, c.base, c.tuned))
			if strings.HasSuffix(c.want, "; new") {
				if !strings.HasPrefix(got, c.want) {
					t.Errorf("got  %s\nwant %s…", got, c.want)
				}
				return
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTwoFilesAreComparedWhateverTheirNames(t *testing.T) {
	root := folder(t, map[string]string{"base.pt": torch(t, "base", f32(1), f32(2), ""), "tuned.bin": torch(t, "t", f32(1), f32(3), "")})
	d, err := model.New(scan.Limits{}).Compare(t.Context(), filepath.Join(root, "base.pt"), filepath.Join(root, "tuned.bin"), model.Options{})
	if err != nil || said(d) != "1 same; lora.B 1 elements 1 bytes max 1 mean 1 relative 0.5" {
		t.Errorf("%s %v", said(d), err)
	}
	if _, err := model.New(scan.Limits{}).Compare(t.Context(), filepath.Join(root, "none"), root, model.Options{}); err == nil || !strings.Contains(err.Error(), "the base: ") {
		t.Errorf("got %v", err)
	}
}
