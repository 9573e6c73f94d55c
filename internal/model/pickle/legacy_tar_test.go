package pickle_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/pickle"
	"github.com/apexlogic/apex/internal/model/scan"
)

// record writes the pickle before a record's numbers in torch's oldest layout.
func record(module, class string, key int) string {
	return string(proto(2).int(key).text("cpu").global(module, class).raw("\x87").stop())
}

// view writes the numbers of a tensor.
func view(sizes ...int) string {
	s := le32(len(sizes)) + le32(0)
	for range 2 {
		for _, n := range sizes {
			s += le64(n)
		}
	}
	return s + le64(0)
}

func TestTheOldestLayoutOfTorchIsReadToItsEnd(t *testing.T) {
	count := func(n int) string { return string(proto(2).raw("K", string(rune(n))).stop()) }
	views := string(proto(2).raw("]").stop())
	bad := string(proto(2).call("os", "system", inert).stop())
	innards := "c" + "os\nsystem\n(S'true'\ntR."
	pad := func(s string, n int) string { return s + strings.Repeat("\x00", n-len(s)) }
	hidden := "(" + strings.Repeat("\x00", 7) // 40 elements of one byte: a mark, if it were a pickle
	for _, s := range []struct {
		name, content string
		want          scan.Verdict
	}{
		{"storages", count(2) + record("torch", "FloatStorage", 1) + storage(12, 4) + record("torch.cuda", "HalfStorage", 2) + storage(5, 2) + views, clean},
		{"an empty storage", count(1) + record("torch", "FloatStorage", 1) + storage(0, 4) + views, clean},
		{"storages of 40 bytes", count(1) + record("torch", "ByteStorage", 1) + hidden + strings.Repeat("\x07", 40) + views, clean},
		{"no storages", count(0) + views, clean},
		{"tensors", count(3) + record("torch", "FloatTensor", 1) + view(2, 3) + record("torch.cuda", "LongTensor", 2) + view(7) + record("torch", "ByteTensor", 3) + view(), clean},
		{"no tensors", count(0), clean},
		{"a call before the storages", bad + count(1) + record("torch", "FloatStorage", 1) + storage(2, 4), malicious},
		{"a call among the storages", count(2) + record("torch", "FloatStorage", 1) + storage(2, 4) + bad, malicious},
		{"a call behind the storages", count(1) + record("torch", "FloatStorage", 1) + storage(2, 4) + bad, malicious},
		{"a call instead of a tensor", count(2) + record("torch", "FloatTensor", 1) + view(2) + bad, malicious},
		{"a record whose class is a function", count(1) + record("os", "system", 1) + storage(2, 4) + views, malicious},
		{"a record that calls", count(1) + string(proto(2).int(1).text("cpu").call("os", "system", inert).raw("\x87").stop()) + storage(2, 4), malicious},
		{"numbers that are a pickle", count(1) + record("torch", "ByteStorage", 1) + innards + strings.Repeat("\x00", 40), malicious},
		{"numbers that are a float and a call", count(1) + record("torch", "ByteStorage", 1) + le64('G') + pad("\x000"+innards, 'G') + views, malicious},
		{"numbers that are bytes and a call", count(1) + record("torch", "ByteStorage", 1) + le64(0x8e) + pad("\x000"+innards, 0x8e) + views, malicious},
		{"a storage that is cut", count(1) + record("torch", "FloatStorage", 1) + storage(12, 4)[:30], unscannable},
		{"a storage of a huge count", count(1) + record("torch", "FloatStorage", 1) + le64(-1) + "\x01noise\x02", unscannable},
		{"a tensor of a thousand dimensions", count(1) + record("torch", "FloatTensor", 1) + le32(1000) + le32(0) + "\x01noise\x02", unscannable},
		{"more storages than are counted", count(1) + record("torch", "FloatStorage", 1) + storage(2, 4) + record("torch", "FloatStorage", 2) + storage(2, 4), unscannable},
		{"numbers behind another class", count(1) + record("collections", "OrderedDict", 1) + storage(12, 4), unscannable},
	} {
		t.Run(s.name, func(t *testing.T) {
			if res := examine(t, []byte(s.content)); res.Verdict != s.want {
				t.Errorf("%v, want %v: %v", res.Verdict, s.want, res.Findings)
			}
			inside := scan.NewFormats(scan.Limits{}, holder(nil)...).Scan(t.Context(), scan.Bytes([]byte("{holder}"+s.content)), scan.Options{})
			if inside.Verdict != s.want {
				t.Errorf("as a member %v, want %v: %v", inside.Verdict, s.want, inside.Findings)
			}
		})
	}
}

func TestTheLengthOfASafetensorsHeaderIsNoPickle(t *testing.T) {
	for _, length := range []int{0x80, 0x180, 0x280, 0x380, 0x480, 0x580, 0x4b0580, 0x182, 0x283, 0x384, 0x28284, 0x4a, 0x63, 0x50, 0x49} {
		header := `{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`
		content := binary.LittleEndian.AppendUint64(nil, uint64(length))
		content = append(content, header...)
		content = append(content, bytes.Repeat([]byte(" "), max(0, min(length, 1<<16)-len(header)))...)
		if res := examine(t, content); len(res.Findings) > 0 || len(res.Formats) > 0 {
			t.Errorf("%#x: %v %v", length, res.Formats, res.Findings)
		}
	}
	for name, content := range map[string][]byte{
		"a frame that is too long": proto(4).raw("\x95\x05\x00\x00\x00\x00{\x00\x00").call("os", "system", inert).stop(),
		"a text with a brace":      proto(2).raw("X\x02\x00\x00\x00\x00{0").call("os", "system", inert).stop(),
		"a mark of zeros":          proto(2).raw("J\x00\x00\x00\x00({\"").bytes(),
	} {
		if res := examine(t, content); !res.Verdict.Blocked() {
			t.Errorf("%s: %v %v", name, res.Verdict, res.Findings)
		}
	}
}

func TestALineOfAFileBehindANetworkEnds(t *testing.T) {
	zeros := strings.Repeat("\x00", 40<<20)
	letters := strings.Repeat("a.", 20<<20)
	call := string(proto(0).call("os", "system", inert).stop()[2:])
	for _, s := range []struct {
		name, content string
		want          []scan.Verdict
	}{
		{"a zip of zeros", "PK\x03\x04" + zeros, []scan.Verdict{clean}},
		{"raw numbers like GLOBAL", "c\x00\x00\x40" + zeros, []scan.Verdict{clean}},
		{"raw numbers like INT", "I\x00\x00\x40" + zeros, []scan.Verdict{clean}},
		{"a header and numbers", "\x80\x02c\x00\x00\x40" + zeros, []scan.Verdict{unscannable}},
		{"a name of 40 MiB", "cos\n" + letters, []scan.Verdict{unscannable, suspicious, malicious}},
		{"a number of 40 MiB, and a call", "I1" + zeros + "\n0" + call, []scan.Verdict{unscannable, malicious}},
		{"a text of 40 MiB, and a call", "V" + zeros + "\n0" + call, []scan.Verdict{unscannable, malicious}},
		{"a text in quotes of 40 MiB, and a call", "S'" + letters + "'\n0" + call, []scan.Verdict{unscannable, malicious}},
		{"a text of 100 KiB, and a call", "V" + letters[:100<<10] + "\n0" + call + strings.Repeat("\n", 8<<20), []scan.Verdict{malicious}},
		{"a number of 100 KiB, and a call", "I1" + zeros[:100<<10] + "\n0" + call + strings.Repeat("\n", 8<<20), []scan.Verdict{malicious}},
	} {
		t.Run(s.name, func(t *testing.T) {
			r := &remote{content: []byte(s.content)}
			res := scan.NewFormats(scan.Limits{}, pickle.Formats()...).Scan(t.Context(), scan.NewFile(r, int64(len(r.content))).Dear(), scan.Options{})
			fits := false
			for _, v := range s.want {
				fits = fits || res.Verdict == v || v == clean && len(res.Findings) == 0
			}
			if !fits || r.requests > 12 {
				t.Errorf("%v in %d requests, want %v: %v", res.Verdict, r.requests, s.want, res.Findings)
			}
		})
	}
}
