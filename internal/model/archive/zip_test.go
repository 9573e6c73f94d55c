package archive_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

const tame = "weights, and nothing that runs\n"

func with(parts []part, change func([]part) []part) []byte { return zipOf(change(parts)...) }

// first changes the first member in some way.
func first(change func(*part)) func([]part) []part {
	return func(parts []part) []part {
		change(&parts[0])
		return parts
	}
}

func extraField(id uint16, data []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, id)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

func unicodePath(header, name string) []byte {
	return extraField(0x7075, append(binary.LittleEndian.AppendUint32([]byte{1}, crc32.ChecksumIEEE([]byte(header))), name...))
}

// Each trick is played with content that is harmless, so that the trick itself
// must be found; and with content that is not, which must be found as well.
func TestZipTricksAreFoundAndWhatTheyHideIsRead(t *testing.T) {
	type trick struct {
		name string
		rule string
		file func(content string) []byte
	}
	change := func(do func(*part)) func(string) []byte {
		return func(content string) []byte { return with(torch(content), first(do)) }
	}
	add := func(more ...part) func(string) []byte {
		return func(content string) []byte {
			parts := torch(tame)
			for _, m := range more {
				m.content = content
				parts = append(parts, m)
			}
			return zipOf(parts...)
		}
	}
	for _, trick := range []trick{
		{"another name in the local header", "zip.mismatch", change(func(m *part) { m.lname = "archive/xata.pkl" })},
		{"another method in the local header", "zip.mismatch", change(func(m *part) { m.lmethod = ptr(uint16(8)) })},
		{"another size in the local header", "zip.mismatch", change(func(m *part) { m.flags, m.lsize = 0x800, ptr(uint32(3)) })},
		{"another checksum in the local header", "zip.mismatch", change(func(m *part) { m.flags, m.lcrc = 0x800, ptr(uint32(3)) })},
		{"other flags in the local header", "zip.mismatch", change(func(m *part) { m.flags, m.lflags = 0, ptr(uint16(8)) })},
		{"no local header at all", "zip.local", change(func(m *part) { m.lost = true })},
		{"the encrypted bit in both headers", "zip.encrypted", change(func(m *part) { m.flags |= 1 })},
		{"the encrypted bit in the local header", "zip.encrypted", change(func(m *part) { m.lflags = ptr(m.flags | 1) })},
		{"the encrypted bit of a deflated member", "zip.encrypted", change(func(m *part) { m.flags |= 1; m.method = 8 })},
		{"the strong encryption bit", "zip.flags", change(func(m *part) { m.flags |= 0x40 })},
		{"the patched data bit", "zip.flags", change(func(m *part) { m.flags |= 0x20 })},
		{"a reserved bit in the local header", "zip.flags", change(func(m *part) { m.lflags = ptr(m.flags | 0x4000) })},
		{"version 9.9 needed", "zip.version", change(func(m *part) { m.version = 99 })},
		{"version 25.5 needed", "zip.version", change(func(m *part) { m.version = 255 })},
		{"a wrong checksum", "zip.crc", change(func(m *part) { m.crc = ptr(uint32(1)) })},
		{"a wrong checksum of a deflated member", "zip.crc", change(func(m *part) { m.crc, m.method = ptr(uint32(1)), 8 })},
		{"a checksum of zero in one member", "zip.crc", change(func(m *part) { m.crc = ptr(uint32(0)) })},
		{"a size that is too small", "zip.size", change(func(m *part) { m.size = ptr(uint32(3)) })},
		{"a size that is too small of a deflated member", "zip.size", change(func(m *part) { m.size, m.method = ptr(uint32(3)), 8 })},
		{"a NUL in the name", "archive.name.hidden", change(func(m *part) { m.name = "archive/data.pkl\x00.txt" })},
		{"a control character in the name", "archive.name.hidden", change(func(m *part) { m.name = "archive/data.pkl\r" })},
		{"a bidi override in the name", "archive.name.hidden", change(func(m *part) { m.name = "archive/\u202elkp.data" })},
		{"a backslash in one name", "archive.name.backslash", change(func(m *part) { m.name = `archive\data.pkl` })},
		{"a drive in a name", "archive.name.absolute", change(func(m *part) { m.name = `C:\archive\data.pkl` })},
		{"an absolute name", "archive.name.absolute", change(func(m *part) { m.name = "/archive/data.pkl" })},
		{"dots in the middle of a name", "archive.name.dots", change(func(m *part) { m.name = "archive/x/../data.pkl" })},
		{"a Unicode path that is another name", "zip.name.unicode", change(func(m *part) {
			m.name = "archive/notes.txt"
			m.extra = unicodePath(m.name, "archive/data.pkl")
		})},
		{"a name that comes twice", "archive.name.twice", add(part{name: "archive/data.pkl"})},
		{"a name that comes twice, the first bad", "archive.name.twice", func(content string) []byte {
			return zipOf(append(torch(content), part{name: "archive/data.pkl", content: tame})...)
		}},
		{"a name that differs in case", "archive.name.twice", add(part{name: "archive/DATA.pkl"})},
		{"a member that is not listed", "zip.unlisted", add(part{name: "archive/other.pkl", unlisted: true})},
		{"a deflated member that is not listed", "zip.unlisted", add(part{name: "archive/other.pkl", unlisted: true, method: 8})},
		{"a streamed member that is not listed", "zip.unlisted", add(part{name: "archive/other.pkl", unlisted: true, method: 8, flags: 8})},
		{"bytes between members", "zip.gap", func(content string) []byte { return zipOf(append(torch(tame), part{gap: content, name: "last"})...) }},
		{"bytes before the archive", "zip.prefix", func(content string) []byte { return zipWith(zipTail{prefix: content}, torch(tame)...) }},
		{"bytes before the archive that offsets do not count", "zip.prefix", func(content string) []byte {
			return zipWith(zipTail{prefix: content, relative: true}, torch(tame)...)
		}},
		{"bytes behind the archive", "zip.trailing", func(content string) []byte { return zipWith(zipTail{trailing: content}, torch(tame)...) }},
		{"two archives, the first bad", "zip.ends", func(content string) []byte {
			return slices.Concat(zipOf(torch(content)...), zipOf(torch(tame)...))
		}},
		{"two archives, the last bad", "zip.ends", func(content string) []byte {
			return slices.Concat(zipOf(torch(tame)...), zipOf(torch(content)...))
		}},
		{"an end record in the comment that points nowhere", "zip.end.fake", func(content string) []byte {
			return zipWith(zipTail{comment: "PK\x05\x06" + strings.Repeat("\x01", 18)}, torch(content)...)
		}},
		{"an end record in the comment that points at another directory", "zip.ends", func(content string) []byte {
			inner := zipOf(torch(content)...)
			return zipWith(zipTail{comment: string(inner)}, torch(tame)...)
		}},
		{"an end record behind the archive", "zip.end.fake", func(content string) []byte {
			return zipWith(zipTail{trailing: "PK\x05\x06" + strings.Repeat("\x02", 18)}, torch(content)...)
		}},
		{"a count that leaves members out", "zip.count", func(content string) []byte {
			return zipWith(zipTail{count: ptr(uint16(2))}, append(torch(tame), part{name: "archive/more.pkl", content: content})...)
		}},
		{"zip64 records that say something else", "zip.ends", func(content string) []byte {
			a := zipOf(torch(content)...)
			// the 32-bit record points at the first directory, the 64-bit ones at the second
			b := zipWith(zipTail{prefix: string(a), zip64: true}, torch(tame)...)
			copy(b[len(b)-10:], a[len(a)-10:])
			return b
		}},
		{"members that overlap", "zip.overlap", func(content string) []byte {
			b := zipOf(part{name: "a", content: content + strings.Repeat("x", 100)}, part{name: "b", content: tame})
			at := bytes.LastIndex(b, []byte("PK\x01\x02"))
			binary.LittleEndian.PutUint32(b[at+42:], 0)
			return b
		}},
	} {
		t.Run(trick.name, func(t *testing.T) {
			wantRules(t, examine(t, trick.file(tame)), scan.Suspicious, trick.rule)
			if trick.name == "an end record behind the archive" {
				return
			}
			wantRules(t, examine(t, trick.file(payload)), scan.Malicious, trick.rule, "test.evil")
		})
	}
}

func TestANameThatLeavesTheArchiveIsMalicious(t *testing.T) {
	for _, name := range []string{"../evil", "a/../../evil", `..\evil`, `a\..\..\evil`, "/../evil", "..", "a/.. /../evil", "../\x00x"} {
		wantRules(t, examine(t, zipOf(part{name: name, content: tame})), scan.Malicious, "archive.name.escape")
	}
	for _, name := range []string{"evil", "a/b", "...", "a/..b", "a..b/c", "./a"} {
		wantRules(t, examine(t, zipOf(part{name: name, content: tame})), scan.Clean)
	}
}

func written(t testing.TB, write func(*zip.Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	write(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func create(t testing.TB, w *zip.Writer, header *zip.FileHeader, content string) {
	t.Helper()
	m, err := w.CreateHeader(header)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
}

func TestHonestZipFilesAreClean(t *testing.T) {
	inner := zipOf(torch(tame)...)
	script := append(torch(tame), part{name: "archive/constants.pkl", content: "x"},
		part{name: "archive/code/__torch__/net.py", content: "class Net(Module):\n"}, part{name: "archive/code/__torch__/net.py.debug_pkl", content: "x"})
	unchecked := torch(tame)
	for i := range unchecked {
		unchecked[i].crc = ptr(uint32(0))
	}
	windows := []part{{name: `model\`, host: 0}, {name: `model\weights.bin`, content: tame, host: 10, method: 8}}
	for name, one := range map[string]struct {
		file []byte
		as   string
	}{
		"torch.save":                           {zipOf(torch(tame)...), "torch-zip"},
		"torch.save beyond 4 GiB":              {zipWith(zipTail{zip64: true}, torch(tame)...), "torch-zip"},
		"torch.save without checksums":         {zipOf(unchecked...), "torch-zip"},
		"TorchScript":                          {zipOf(script...), "torchscript"},
		"numpy.savez":                          {zipOf(part{name: "a.npy", content: tame}, part{name: "b.npy", content: tame}), "npz"},
		"numpy.savez_compressed":               {zipOf(part{name: "a.npy", content: tame, method: 8}), "npz"},
		"Keras":                                {zipOf(part{name: "metadata.json", content: "{}"}, part{name: "config.json", content: "{}"}, part{name: "model.weights.h5", content: tame}), "keras"},
		"an archive in an archive":             {zipOf(part{name: "in.zip", content: string(inner)}), "zip"},
		"an archive as the last stored member": {zipOf(part{name: "a", content: tame}, part{name: "in.zip", content: string(inner), flags: 8}), "zip"},
		"old Windows tools":                    {zipOf(windows...), "zip"},
		"a comment":                            {zipWith(zipTail{comment: "made by hand"}, torch(tame)...), "torch-zip"},
		"padding of zeros behind it":           {zipWith(zipTail{trailing: strings.Repeat("\x00", 900)}, torch(tame)...), "torch-zip"},
		"nothing in it":                        {zipOf(), "zip"},
		"the mark of a split archive":          {zipWith(zipTail{prefix: "PK00"}, torch(tame)...), "torch-zip"},
		"Info-ZIP with a Unicode path":         {zipOf(part{name: "gr#U00fc.txt", content: tame, extra: unicodePath("gr#U00fc.txt", "grü.txt"), lextra: unicodePath("gr#U00fc.txt", "grü.txt")}), "zip"},
		"a name in UTF-8":                      {zipOf(part{name: "grü/ß.txt", content: tame, flags: 0x800}), "zip"},
		"Go's writer": {written(t, func(w *zip.Writer) {
			create(t, w, &zip.FileHeader{Name: "folder/"}, "")
			create(t, w, &zip.FileHeader{Name: "folder/a.txt", Method: zip.Deflate}, strings.Repeat(tame, 90))
			create(t, w, &zip.FileHeader{Name: "empty"}, "")
		}), "zip"},
	} {
		t.Run(name, func(t *testing.T) {
			res := examine(t, one.file)
			wantRules(t, res, scan.Clean)
			if !slices.Contains(res.Formats, one.as) {
				t.Errorf("want %s, got %s", one.as, said(res))
			}
		})
	}
}

func TestBytesThatLookLikeAnEndRecordAreNoArchive(t *testing.T) {
	tensors := strings.Repeat("\x3f\x80\x12\x99", 5000)
	for _, record := range []string{"PK\x05\x06", "PK\x05\x06" + strings.Repeat("\x11", 18), "PK\x05\x06" + strings.Repeat("\x00", 18),
		"PK\x01\x02PK\x05\x06" + strings.Repeat("\x00", 18), "PK\x06\x07" + strings.Repeat("\x05", 16) + "PK\x05\x06" + strings.Repeat("\xff", 18)} {
		res := examine(t, []byte(tensors+record+tensors))
		if res.Verdict != scan.Unknown {
			t.Errorf("%q: %s", record, said(res))
		}
	}
	wantRules(t, examine(t, append([]byte(tensors), zipOf(torch(payload)...)...)), scan.Malicious, "zip.prefix", "test.evil")
}

func TestAZipFileWithoutADirectoryIsReadFromTheFront(t *testing.T) {
	b := zipOf(torch(payload)...)
	cut := b[:bytes.Index(b, []byte("PK\x01\x02"))]
	wantRules(t, examine(t, cut), scan.Malicious, "zip.broken", "test.evil")
	b = zipOf(torch(tame)...)
	wantRules(t, examine(t, b[:bytes.Index(b, []byte("PK\x01\x02"))]), scan.Unscannable, "zip.broken")
}

func TestMembersThatCannotBeUnpackedAreUnscannable(t *testing.T) {
	broken := zipOf(part{name: "a", content: strings.Repeat(tame, 50), method: 8, flags: 8})
	copy(broken[31+20:], "\xff\xff\xff\xff\xff\xff\xff\xff")
	for _, b := range [][]byte{zipOf(part{name: "a", content: tame, method: 9}), zipOf(part{name: "a", content: tame, method: 97}), broken} {
		wantRules(t, examine(t, b), scan.Unscannable, "zip.member")
	}
}

func TestProgramsInModelsAreSuspicious(t *testing.T) {
	for _, one := range []struct {
		rule  string
		parts []part
	}{
		{"torch.member", append(torch(tame), part{name: "archive/setup.py", content: tame})},
		{"torch.member", append(torch(tame), part{name: "archive/data/lib.so", content: tame})},
		{"torch.member", append(torch(tame), part{name: "archive/x.pyc", content: tame})},
		{"torch.member", []part{{name: "config.json", content: "{}"}, {name: "metadata.json", content: "{}"}, {name: "model.weights.h5", content: tame}, {name: "layer.py", content: tame}}},
		{"torch.package.source", []part{{name: "pkg/.data/extern_modules", content: "os"}, {name: "pkg/.data/version", content: "6"}, {name: "pkg/mod.py", content: "import os"}}},
		{"torch.package.source", []part{{name: "p/a/b.py", content: "x"}, {name: "p/.data/extern_modules", content: "os"}, {name: "p/model.pkl", content: tame}}},
	} {
		wantRules(t, examine(t, zipOf(one.parts...)), scan.Suspicious, one.rule)
	}
}

func mar(manifest string, more ...part) []byte {
	return zipOf(append([]part{{name: "MAR-INF/MANIFEST.json", content: manifest, method: 8}, {name: "model.pt", content: tame}}, more...)...)
}

func TestAModelArchiveThatBringsItsHandlerIsSuspicious(t *testing.T) {
	wantRules(t, examine(t, mar(`{"model":{"handler":"image_classifier","modelName":"x","serializedFile":"model.pt"}}`)), scan.Clean)
	for manifest, rule := range map[string]string{
		`{"model":{"handler":"handler.py"}}`:                                         "mar.handler",
		`{"model":{"handler":"my_handler:entry"}}`:                                   "mar.handler",
		`{"model":{"handler":"evil.py","handler":"image_classifier"}}`:               "mar.handler",
		`{"model":{"handler":"image_classifier","requirementsFile":"requirements"}}`: "mar.requirements",
		`{"model":{"HANDLER":"handler.py"}}`:                                         "mar.handler",
	} {
		wantRules(t, examine(t, mar(manifest)), scan.Suspicious, rule)
	}
	wantRules(t, examine(t, mar(`{"model":{"handler":"image_classifier"}}`, part{name: "model.py", content: "x"})), scan.Suspicious, "mar.handler")
	wantRules(t, examine(t, mar(`{"model":`)), scan.Unscannable, "mar.manifest")
}

func TestABombIsSeenInTheDirectory(t *testing.T) {
	parts := make([]part, 40)
	for i := range parts {
		parts[i] = part{name: fmt.Sprint(i), content: strings.Repeat("\x00", 1<<20), method: 8}
	}
	wantRules(t, examine(t, zipOf(parts...)), scan.Suspicious, "zip.bomb")
	wantRules(t, examine(t, zipOf(parts[:3]...)), scan.Clean)
	one := zipOf(part{name: "a", content: strings.Repeat("\x00", 40<<20), method: 8})
	wantRules(t, examine(t, one), scan.Suspicious, "zip.bomb", "archive.bomb")
}

func TestArchivesInArchivesEndSomewhere(t *testing.T) {
	b := zipOf(torch(payload)...)
	for range 4 {
		b = zipOf(part{name: "in.zip", content: string(b)})
	}
	wantRules(t, examine(t, b), scan.Malicious, "test.evil")
	for range 8 {
		b = zipOf(part{name: "in.zip", content: string(b), method: 8})
	}
	wantRules(t, examine(t, b), scan.Suspicious, "scan.depth")
}

// Every entry of the directory names one member, which swells by a thousand:
// the way in which 42 KB unpack to gigabytes without nesting.
func TestEntriesThatShareABodyAreReadOnce(t *testing.T) {
	body := strings.Repeat("\x00", 1<<20)
	parts := []part{{name: "0", content: body, method: 8}}
	one := zipOf(parts...)
	record := one[bytes.Index(one, []byte("PK\x01\x02")) : len(one)-22]
	start := len(one) - 22 - len(record)
	const count = 3000
	b := append(bytes.Clone(one[:start]), bytes.Repeat(record, count)...)
	for i := range count {
		b[start+i*len(record)+46] = byte('0' + i%50)
	}
	tail := bytes.Clone(one[len(one)-22:])
	for _, at := range []int{8, 10} {
		binary.LittleEndian.PutUint16(tail[at:], count)
	}
	binary.LittleEndian.PutUint32(tail[12:], uint32(count*len(record)))
	limits := scan.DefaultLimits
	limits.Work = scan.Cost(50_000_000) // enough for one body, not for ten
	res := formats(limits).Scan(t.Context(), scan.Bytes(append(b, tail...)), scan.Options{})
	wantRules(t, res, scan.Suspicious, "zip.overlap", "zip.bomb", "archive.name.twice")
	if has(res, "scan.budget") {
		t.Errorf("%s", said(res))
	}
}

func TestABombInBombsStopsAtTheBudget(t *testing.T) {
	b := []byte(strings.Repeat("\x00", 8<<20))
	for range 3 {
		parts := make([]part, 16)
		for i := range parts {
			parts[i] = part{name: fmt.Sprint(i), content: string(b), method: 8}
		}
		b = zipOf(parts...)
	}
	res := examine(t, b)
	if res.Verdict < scan.Unscannable {
		t.Errorf("%s", said(res))
	}
}

func TestAnEncryptedMemberThatIsNotIsStillRead(t *testing.T) {
	b := zipOf(part{name: "a", content: noise(3000), method: 8, flags: 1})
	copy(b[31:], noise(3000)) // as if it were truly encrypted
	wantRules(t, examine(t, b), scan.Suspicious, "zip.encrypted")
	wantRules(t, examine(t, zipOf(part{name: "a", content: payload + noise(3000), method: 8, flags: 1})), scan.Malicious, "zip.encrypted", "test.evil")
}

func TestLabelsBehindATFLiteModelAreNoted(t *testing.T) {
	model := "\x10\x00\x00\x00TFL3" + strings.Repeat("\x01\x02\x03\x04", 100)
	labels := part{name: "labels.txt", content: "cat\ndog\n"}
	for _, relative := range []bool{false, true} {
		res := examine(t, zipWith(zipTail{prefix: model, relative: relative}, labels))
		wantRules(t, res, scan.Clean, "zip.prefix.tflite")
	}
	for name, prefix := range map[string]string{
		"a root that is outside": "\xff\xff\x00\x00TFL3" + strings.Repeat("\x01", 100),
		"another identifier":     "\x10\x00\x00\x00TFL9" + strings.Repeat("\x01", 100),
		"the identifier alone":   "\x00\x00\x00\x00TFL3",
	} {
		t.Run(name, func(t *testing.T) {
			wantRules(t, examine(t, zipWith(zipTail{prefix: prefix}, labels)), scan.Suspicious, "zip.prefix")
		})
	}
	wantRules(t, examine(t, zipWith(zipTail{prefix: model}, torch(payload)...)), scan.Malicious, "test.evil")
	for name, prefix := range map[string]string{"TFLite": model, "other": "\x00" + model} {
		res := formats(scan.Limits{}).Scan(t.Context(), scan.Bytes(zipWith(zipTail{prefix: prefix}, labels)).Dear(), scan.Options{})
		if has(res, "zip.prefix.tflite") != (name == "TFLite") || has(res, "zip.prefix") == (name == "TFLite") {
			t.Errorf("%s, from another machine: %s", name, said(res))
		}
	}
}

func TestAnArchiveThatAPickleCarriesIsNoted(t *testing.T) {
	carried := func(opcode string, archive []byte, behind string) []byte {
		return slices.Concat([]byte("\x80\x04}X\x01\x00\x00\x00w"+opcode), archive, []byte(behind))
	}
	length := func(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	tensors := zipOf(torch(tame)...)
	n := length(len(tensors))
	for name, content := range map[string][]byte{
		"BINBYTES":   carried("B"+n, tensors, "s."),
		"BINBYTES8":  carried("\x8e"+n+"\x00\x00\x00\x00", tensors, "s."),
		"BYTEARRAY8": carried("\x96"+n+"\x00\x00\x00\x00", tensors, "s."),
	} {
		if res := examine(t, content); !has(res, "zip.carried") || has(res, "zip.prefix") || has(res, "zip.trailing") || res.Verdict != scan.Clean {
			t.Errorf("%s: %s", name, said(res))
		}
	}
	wantRules(t, examine(t, carried("B"+length(len(zipOf(torch(payload)...))), zipOf(torch(payload)...), "s.")), scan.Malicious, "zip.carried", "test.evil")
	for name, content := range map[string][]byte{
		"another length":     carried("B"+length(len(tensors)+1), tensors, "s."),
		"another opcode":     carried("X"+n, tensors, "s."),
		"no pickle":          append([]byte("\x00"), carried("B"+n, tensors, "s.")...),
		"nothing but a head": append([]byte("\x80\x04"), tensors...),
	} {
		t.Run(name, func(t *testing.T) { wantRules(t, examine(t, content), scan.Suspicious, "zip.prefix") })
	}
}
