package archive_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

type item struct {
	name, content, link string
	kind                byte
	pax                 map[string]string
}

func tarOf(t testing.TB, format tar.Format, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, one := range items {
		h := &tar.Header{Name: one.name, Linkname: one.link, Typeflag: one.kind, Mode: 0o644, Size: int64(len(one.content)), Format: format, PAXRecords: one.pax}
		if one.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatalf("%+v: %v", one, err)
		}
		if _, err := io.WriteString(w, one.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sum corrects the checksum of the header at an offset.
func sum(b []byte, at int) {
	h := b[at : at+512]
	copy(h[148:], "        ")
	n := 0
	for _, c := range h {
		n += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", n))
}

func TestEveryMemberOfATarIsRead(t *testing.T) {
	long := strings.Repeat("folder/", 30) + "data.pkl"
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		name := long
		if format == tar.FormatUSTAR {
			name = "folder/data.pkl"
		}
		items := []item{{name: "a", content: tame}, {name: "folder/", kind: tar.TypeDir}, {name: "l", link: "a", kind: tar.TypeSymlink},
			{name: name, content: payload}, {name: "z", content: strings.Repeat(tame, 100)}}
		res := examine(t, tarOf(t, format, items...))
		wantRules(t, res, scan.Malicious, "test.evil")
		if !strings.Contains(said(res), "data.pkl@0") {
			t.Errorf("%v: the member has no name: %s", format, said(res))
		}
		items[3].content, items[3].name = tame, name+".txt"
		wantRules(t, examine(t, tarOf(t, format, items...)), scan.Clean)
	}
}

func TestTarTricks(t *testing.T) {
	plain := func(items ...item) []byte { return tarOf(t, tar.FormatPAX, items...) }
	a := item{name: "a", content: tame}
	for name, one := range map[string]struct {
		file    []byte
		verdict scan.Verdict
		rule    string
	}{
		"a name that leaves":                {plain(item{name: "../evil", content: tame}), scan.Malicious, "archive.name.escape"},
		"a name that leaves by a detour":    {plain(item{name: "a/../../evil", content: tame}), scan.Malicious, "archive.name.escape"},
		"an absolute name":                  {plain(item{name: "/etc/cron.d/x", content: tame}), scan.Suspicious, "archive.name.absolute"},
		"a symbolic link that leaves":       {plain(item{name: "l", link: "../x", kind: tar.TypeSymlink}, a), scan.Malicious, "tar.link"},
		"a symbolic link that is absolute":  {plain(item{name: "l", link: "/etc/passwd", kind: tar.TypeSymlink}, a), scan.Malicious, "tar.link"},
		"a hard link that leaves":           {plain(item{name: "l", link: "../../x", kind: tar.TypeLink}, a), scan.Malicious, "tar.link"},
		"a deep symbolic link that leaves":  {plain(item{name: "b/l", link: "../../x", kind: tar.TypeSymlink}, a), scan.Malicious, "tar.link"},
		"a member through a link":           {plain(item{name: "l", link: ".", kind: tar.TypeSymlink}, item{name: "l/x", content: tame}), scan.Suspicious, "tar.link.through"},
		"a device":                          {plain(item{name: "d", kind: tar.TypeChar}, a), scan.Suspicious, "tar.device"},
		"a pipe":                            {plain(item{name: "d", kind: tar.TypeFifo}, a), scan.Suspicious, "tar.device"},
		"a name that comes twice":           {plain(a, a), scan.Suspicious, "archive.name.twice"},
		"the same name in another spelling": {plain(a, item{name: "./a", content: tame}), scan.Suspicious, "archive.name.twice"},
		"content behind the end":            {append(plain(a), (tame + strings.Repeat("x", 600))...), scan.Suspicious, "tar.trailing"},
		"an archive behind the end":         {append(plain(a), plain(item{name: "b", content: payload})...), scan.Malicious, "tar.trailing"},
		"a name with a bidi override":       {plain(item{name: "\u202ea", content: tame}), scan.Suspicious, "archive.name.hidden"},
		"a member that breaks off":          {plain(item{name: "b", content: strings.Repeat(payload, 100)})[:1200], scan.Malicious, "tar.broken"},
	} {
		t.Run(name, func(t *testing.T) { wantRules(t, examine(t, one.file), one.verdict, one.rule) })
	}
	for name, file := range map[string][]byte{
		"links within":          plain(a, item{name: "d/l", link: "../a", kind: tar.TypeSymlink}, item{name: "h", link: "a", kind: tar.TypeLink}),
		"no end block":          bytes.TrimRight(plain(item{name: "b", content: strings.Repeat("x", 512)}), "\x00"),
		"long padding":          append(plain(a), make([]byte, 20_000)...),
		"a folder that returns": plain(item{name: "d/", kind: tar.TypeDir}, item{name: "d/", kind: tar.TypeDir}, a),
	} {
		t.Run(name, func(t *testing.T) { wantRules(t, examine(t, file), scan.Clean) })
	}
}

// Two headers, two sizes: the member is skipped by the one reader, and is the
// next header to the other.
func TestAMemberWithTwoSizesIsReadInBothWays(t *testing.T) {
	hidden := tarOf(t, tar.FormatUSTAR, item{name: "hidden.pkl", content: payload})
	b := tarOf(t, tar.FormatPAX, item{name: "a", content: string(hidden), pax: map[string]string{"comment": "size"}})
	// the member's own header says one byte less than the extended one
	at := bytes.Index(b, []byte("comment=size\n"))
	record := fmt.Sprintf("size=%d", len(hidden))
	length := len(record) + 4
	copy(b[at-3:], fmt.Sprintf("%d %s\n", length, record))
	for i := at - 3 + length; b[i] != 0; i++ {
		b[i] = 0
	}
	copy(b[1024+124:], fmt.Sprintf("%011o\x00", 1))
	sum(b, 1024)
	wantRules(t, examine(t, b), scan.Malicious, "tar.size", "test.evil")
}

func TestWhatWroteATarIsTold(t *testing.T) {
	for as, items := range map[string][]item{
		"nemo":       {{name: "./model_config.yaml", content: "a: b\n"}, {name: "./model_weights.ckpt", content: tame}},
		"torch-tar":  {{name: "sys_info", content: tame}, {name: "pickle", content: tame}, {name: "storages", content: tame}, {name: "tensors", content: tame}},
		"webdataset": {{name: "0/1.jpg", content: tame}, {name: "0/1.cls", content: "1"}, {name: "0/2.jpg", content: tame}, {name: "0/2.cls", content: "2"}},
		"tar":        {{name: "README", content: tame}, {name: "a.txt", content: tame}},
	} {
		res := examine(t, tarOf(t, tar.FormatUSTAR, items...))
		wantRules(t, res, scan.Clean)
		if !slices.Contains(res.Formats, as) {
			t.Errorf("want %s: %s", as, said(res))
		}
		for i := range items { // and each member is read, whatever its name
			bad := slices.Clone(items)
			bad[i].content = payload
			wantRules(t, examine(t, tarOf(t, tar.FormatUSTAR, bad...)), scan.Malicious, "test.evil")
		}
	}
	wantRules(t, examine(t, tarOf(t, tar.FormatUSTAR, item{name: "1.jpg", content: tame}, item{name: "1.pyd", content: payload})), scan.Malicious, "test.evil")
	wantRules(t, examine(t, tarOf(t, tar.FormatUSTAR, item{name: "1.jpg", content: tame}, item{name: "1.pickle", content: tame})), scan.Unscannable, "tar.pickle")
}

func TestOldTarsAreClaimedAndOtherDataIsNot(t *testing.T) {
	b := tarOf(t, tar.FormatUSTAR, item{name: "data.pkl", content: payload})
	for i := 257; i < 265; i++ {
		b[i] = 0
	}
	sum(b, 0)
	wantRules(t, examine(t, b), scan.Malicious, "test.evil")
	b[0] = 'x' // the checksum is wrong now
	if res := examine(t, b); res.Verdict != scan.Unknown {
		t.Error(said(res))
	}
	if res := examine(t, make([]byte, 4096)); res.Verdict != scan.Unknown {
		t.Error(said(res))
	}
}
