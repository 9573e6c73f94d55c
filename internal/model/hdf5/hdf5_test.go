package hdf5

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// dataset writes a file with one dataset, of either kind.
func dataset(build func(w *writer) []msg) []byte {
	w := &writer{}
	set := w.header1(build(w)...)
	return w.superblock0(w.header1(w.symbols([]string{"kernel"}, []uint64{set})))
}

func matrix(rest ...msg) func(*writer) []msg {
	return func(*writer) []msg { return append([]msg{typ(float32Type), space(simple(4, 4))}, rest...) }
}

// links writes a file whose root has the links, new style.
func links(m ...msg) []byte {
	w := &writer{}
	return w.superblock2(w.header2(m...))
}

// oldLinks has them in a header of version 1, as h5py's default writes them.
func oldLinks(m ...msg) []byte {
	w := &writer{}
	return w.superblock0(w.header1(m...))
}

func virtualOf(files ...string) []byte {
	return dataset(func(w *writer) []msg {
		return []msg{typ(float32Type), space(simple(4, 4)), virtualLayout(w.globalHeap(sources(files...)))}
	})
}

func externalOf(files ...string) []byte {
	return dataset(func(w *writer) []msg {
		return []msg{typ(float32Type), space(simple(4, 4)), w.externalList(files...), contiguous(undefined, 64)}
	})
}

// cases are files of our own writer, with what must be said of them.
func cases() map[string]struct {
	file []byte
	want string
} {
	broken := func(b []byte, old, new string) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	deep := func() []byte {
		w := &writer{}
		at := w.header2(externalLink("x", "/etc/passwd"))
		for range 3000 {
			at = w.header2(hardLink("deeper", at))
		}
		return w.superblock2(at)
	}
	cycle := func() []byte {
		w := &writer{}
		at := w.put(make([]byte, 256))
		w.header2(hardLink("self", at), softLink("soft", "/self"))
		copy(w.b[at:], w.b[at+256:]) // the same header, where it says that it is
		return w.superblock2(at)
	}
	inFront := func(n int, b []byte) []byte { return append(make([]byte, n), b...) }
	good := dataset(matrix(contiguous(128, 64)))
	return map[string]struct {
		file []byte
		want string
	}{
		"an external link to an absolute path":      {links(externalLink("w", "/etc/passwd")), "malicious hdf5.link.outside"},
		"an external link upwards":                  {oldLinks(externalLink("w", "a/../../x.h5")), "malicious hdf5.link.outside"},
		"an external link to a share":               {links(externalLink("w", `\\host\share\x.h5`)), "malicious hdf5.link.outside"},
		"an external link to a Windows disk":        {oldLinks(externalLink("w", "C:/x.h5")), "malicious hdf5.link.outside"},
		"an external link to an address":            {links(externalLink("w", "s3://bucket/x.h5")), "malicious hdf5.link.outside"},
		"an external link to a file beside it":      {links(externalLink("w", "weights.h5")), "suspicious hdf5.link.external"},
		"an external link that is broken":           {links(otherLink("w", linkExternal, cat(0, "/etc/passwd"))), "malicious hdf5.link.outside"},
		"an external link in a group in a group":    {deep(), "malicious hdf5.link.outside"},
		"a link of the user's":                      {links(otherLink("w", 200, cat("x"))), "suspicious hdf5.link.user"},
		"a soft link":                               {links(softLink("w", "/etc/passwd")), "clean "},
		"a group that holds itself":                 {cycle(), "clean "},
		"an external file, absolute":                {externalOf("/etc/passwd"), "malicious hdf5.data.outside"},
		"external files, one of them upwards":       {externalOf("a.bin", "../b.bin"), "malicious hdf5.data.external hdf5.data.outside"},
		"an external file on Windows":               {externalOf(`..\b.bin`), "malicious hdf5.data.outside"},
		"an external file beside it":                {externalOf("a.bin"), "suspicious hdf5.data.external"},
		"an external file list that is broken":      {broken(externalOf("/etc/passwd"), "HEAP", "HAEP"), "suspicious hdf5.broken hdf5.data.external"},
		"a virtual dataset, absolute":               {virtualOf("/home/x.h5"), "malicious hdf5.virtual.outside"},
		"a virtual dataset of several":              {virtualOf(".", ".", "../x.h5"), "malicious hdf5.virtual.outside"},
		"a virtual dataset by a pattern":            {virtualOf("/tmp/%b.h5"), "malicious hdf5.virtual.outside"},
		"a virtual dataset of a file beside it":     {virtualOf("x.h5"), "suspicious hdf5.virtual.external"},
		"a virtual dataset of the file itself":      {virtualOf(".", "."), "clean "},
		"a virtual dataset whose list is broken":    {broken(virtualOf("x.h5"), "GCOL", "GOCL"), "suspicious hdf5.broken hdf5.virtual.external"},
		"a dataset":                                 {good, "clean "},
		"a dataset in chunks":                       {dataset(matrix(chunked3(2, 2), filters2(filterDeflate))), "clean "},
		"a filter that many have":                   {dataset(matrix(chunked3(2, 2), filters2(32001))), "clean hdf5.filter.plugin"},
		"a filter that nobody knows":                {dataset(matrix(chunked3(2, 2), filters2(filterShuffle, 4711))), "suspicious hdf5.filter"},
		"a private filter":                          {dataset(matrix(chunked3(2, 2), filters2(60000))), "suspicious hdf5.filter"},
		"a shape that is a bomb":                    {dataset(func(*writer) []msg { return []msg{typ(float32Type), space(simple(1<<20, 1<<20)), chunked3(1, 1)} }), "suspicious hdf5.bomb"},
		"a shape that overflows":                    {dataset(func(*writer) []msg { return []msg{typ(float32Type), space(simple(1<<40, 1<<40)), chunked3(1, 1)} }), "suspicious hdf5.bomb"},
		"data behind the end":                       {dataset(matrix(contiguous(1<<20, 64))), "unscannable hdf5.bounds"},
		"data that is shorter than its shape":       {dataset(matrix(contiguous(128, 16))), "unscannable hdf5.bounds"},
		"a user block":                              {inFront(2048, good), "clean hdf5.userblock"},
		"a user block that is large":                {inFront(1<<20, good), "clean hdf5.userblock"},
		"bytes behind the end":                      {append(bytes.Clone(good), "more"...), "clean hdf5.trailing"},
		"a file that is cut short":                  {good[:len(good)-8], "unscannable hdf5.broken"},
		"a superblock of the future":                {broken(good, signature+"\x00", signature+"\x09"), "unscannable hdf5.broken"},
		"a B-tree that is none":                     {broken(good, "TREE", "TERE"), "unscannable hdf5.broken"},
		"a symbol table node that is none":          {broken(good, "SNOD", "SNDO"), "unscannable hdf5.broken"},
		"a heap that is none":                       {broken(good, "HEAP", "HAEP"), "unscannable hdf5.broken"},
		"one link that is broken beside a bad one":  {links(msg{kind: kindLink, data: cat(9)}, externalLink("w", "/x")), "malicious hdf5.broken hdf5.link.outside"},
		"an object that is broken beside a bad one": {links(hardLink("x", 1<<30), externalLink("w", "/x")), "malicious hdf5.broken hdf5.link.outside"},
		"a signature where none is looked for":      {inFront(100, good), "unknown "},
		"a set of files":                            {familyOf(good), "unscannable hdf5.broken"},
	}
}

// familyOf makes a file name a driver.
func familyOf(b []byte) []byte {
	b = bytes.Clone(b)
	at := uint64(len(b))
	b = append(b, cat(0, 0, 0, 0, le(4, 8), "NCSAfami", le(8, 4096))...)
	copy(b[8+16+16:], le(8, uint64(len(b))))
	copy(b[8+16+24:], le(8, at))
	return b
}

func TestWhatAFileReachesForIsFound(t *testing.T) {
	for name, tc := range cases() {
		t.Run(name, func(t *testing.T) {
			res, _ := examineBytes(t, tc.file)
			if got := res.Verdict.String() + " " + said(res); got != tc.want {
				t.Errorf("want %s, got %s", tc.want, describe(res))
			}
		})
	}
}

const config = `{"class_name":"Sequential","config":{}}`

func TestTextIsHandedOn(t *testing.T) {
	pickle := "\x80\x04]\x94(K\x01K\x02e."
	bytesType := cat(1<<4|classInteger, 0, 0, 0, le(4, 1), le(2, 0), le(2, 8))
	inHeap := func(w *writer, text string) []byte {
		return cat(le(4, uint64(len(text))), le(8, w.globalHeap([]byte(text))), le(4, 1))
	}
	for name, tc := range map[string]struct {
		root func(w *writer) []msg
		want map[string]string
	}{
		"a fixed string": {func(w *writer) []msg {
			return []msg{attribute3("model_config", fixedString(len(config)+9), scalar(), cat(config, make([]byte, 9)))}
		}, map[string]string{"@model_config": config}},
		"a variable one": {func(w *writer) []msg {
			return []msg{attribute1("model_config", vlenString, scalar(), inHeap(w, config))}
		}, map[string]string{"@model_config": config}},
		"both sides of a NUL": {func(w *writer) []msg {
			return []msg{attribute3("model_config", vlenString, scalar(), inHeap(w, config+"\x00 hidden"))}
		}, map[string]string{"@model_config": config + "\x00 hidden"}},
		"an array": {func(w *writer) []msg {
			return []msg{attribute3("a", fixedString(8), simple(3), cat("dense_1\x00", "{\"a\":1}\x00", "[1, 2]\x00\x00"))}
		}, map[string]string{"@a[1]": `{"a":1}`, "@a[2]": "[1, 2]"}},
		"names are not": {func(w *writer) []msg {
			return []msg{attribute3("a", fixedString(8), simple(2), cat("dense/k:", "conv2d-1"))}
		}, map[string]string{}},
		"opaque bytes": {func(w *writer) []msg {
			return []msg{attribute3("a", cat(1<<4|classOpaque, 0, 0, 0, le(4, uint64(len(pickle)))), scalar(), []byte(pickle))}
		}, map[string]string{"@a": pickle}},
		"numbers that are a pickle": {func(w *writer) []msg {
			return []msg{attribute3("a", bytesType, simple(uint64(len(pickle))), []byte(pickle))}
		}, map[string]string{"@a": pickle}},
		"numbers are not": {func(w *writer) []msg {
			return []msg{attribute3("a", bytesType, simple(12), []byte("{\"json\": 12}"))}
		}, map[string]string{}},
		"a dataset of text": {func(w *writer) []msg {
			at := w.put([]byte(config))
			return []msg{hardLink("s", w.header2(typ(fixedString(len(config))), space(scalar()), contiguous(at, uint64(len(config)))))}
		}, map[string]string{"/s": config}},
		"a compact dataset of text": {func(w *writer) []msg {
			return []msg{hardLink("s", w.header2(typ(vlenString), space(simple(1)), msg{kind: kindLayout, data: cat(3, layoutCompact, le(2, 16), inHeap(w, config))}))}
		}, map[string]string{"/s": config}},
		"a committed type": {func(w *writer) []msg {
			named := w.header2(typ(fixedString(len(config))))
			shared := cat(3, 2, le(8, named))
			m := attribute3("model_config", shared, scalar(), []byte(config))
			m.data[1] = 1
			return []msg{m}
		}, map[string]string{"@model_config": config}},
		"an attribute in a continuation": {func(w *writer) []msg {
			m := attribute3("model_config", fixedString(len(config)), scalar(), []byte(config))
			chunk := cat("OCHK", m.kind, le(2, uint64(len(m.data))), 0, m.data, le(4, 0))
			return []msg{{kind: kindContinuation, data: cat(le(8, w.put(chunk)), le(8, uint64(len(chunk))))}}
		}, map[string]string{"@model_config": config}},
		"what only a reference leads to": {func(w *writer) []msg {
			inner := w.header2(attribute3("a", fixedString(len(config)), scalar(), []byte(config)))
			return []msg{attribute3("r", cat(1<<4|classReference, 0, 0, 0, le(4, 8)), simple(2), cat(le(8, inner), le(8, 1<<40)))}
		}, map[string]string{"/#refs#@a": config}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &writer{}
			res, h := examineBytes(t, w.superblock2(w.header2(tc.root(w)...)))
			if res.Verdict != scan.Clean {
				t.Errorf("%s", describe(res))
			}
			if fmt.Sprint(map[string]string(h)) != fmt.Sprint(tc.want) {
				t.Errorf("handed on: %q", h)
			}
		})
	}
}

func TestBrokenPartsAreNotClean(t *testing.T) {
	loop := func() []byte {
		w := &writer{}
		at := w.put(nil)
		w.header2(msg{kind: kindContinuation, data: cat(le(8, at+10), le(8, 20))})
		return w.superblock2(at)
	}
	tree := func() []byte {
		w := &writer{}
		heap, _ := w.localHeap("")
		at := w.put(nil)
		w.put(cat("TREE", 0, 1, le(2, 1), le(8, undefined), le(8, undefined), le(8, 0), le(8, at), le(8, 0)))
		return w.superblock0(w.header1(msg{kind: kindGroup, data: cat(le(8, at), le(8, heap))}))
	}
	attribute := func(m msg) []byte {
		w := &writer{}
		return w.superblock2(w.header2(m))
	}
	nested := fixedString(8)
	for range 40 {
		nested = cat(1<<4|classVariable, 0, 0, 0, le(4, 16), nested)
	}
	for name, file := range map[string][]byte{
		"a header that continues itself":    loop(),
		"a tree that is its own child":      tree(),
		"an attribute that is cut short":    attribute(msg{kind: kindAttribute, data: cat(3, 0, le(2, 900), le(2, 900), le(2, 900), 0, "x")}),
		"more elements than there are":      attribute(attribute3("a", fixedString(8), simple(1<<60), []byte("12345678"))),
		"a string that is nowhere":          attribute(attribute3("a", vlenString, scalar(), cat(le(4, 9), le(8, 1<<40), le(4, 1)))),
		"a type in a type in a type":        attribute(attribute3("a", nested, scalar(), nil)),
		"a heap of links that is nowhere":   attribute(msg{kind: kindLinkInfo, data: cat(0, 0, le(8, 1<<30), le(8, 1<<30))}),
		"a heap of attributes that is none": attribute(msg{kind: kindAttributes, data: cat(0, 0, le(8, 128), le(8, 128))}),
	} {
		t.Run(name, func(t *testing.T) {
			if res, _ := examineBytes(t, file); res.Verdict != scan.Unscannable || !strings.HasPrefix(said(res), "hdf5.") {
				t.Errorf("%s", describe(res))
			}
		})
	}
}

// distant counts the reads of a file that is far away.
type distant struct {
	*bytes.Reader
	reads, bytes int
}

func (d *distant) ReadAt(p []byte, off int64) (int, error) {
	d.reads++
	d.bytes += len(p)
	return d.Reader.ReadAt(p, off)
}

func TestFewReadsAreMadeOverTheNetwork(t *testing.T) {
	spread := func(gap, groups int) []byte {
		w := &writer{}
		var all []msg
		for i := range groups {
			all = append(all, hardLink(fmt.Sprint("g", i), w.header2(attribute3("a", fixedString(2), scalar(), []byte("{}")))))
			w.put(make([]byte, gap))
		}
		return w.superblock2(w.header2(all...))
	}
	for _, tc := range []struct {
		name   string
		file   []byte
		want   string
		reads  int
		pieces int
	}{
		{"objects that are close", spread(100, 100), "clean ", 5, 100},
		{"objects that are far apart", spread(1<<20, 40), "unscannable hdf5.remote", 20, 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			far := &distant{Reader: bytes.NewReader(tc.file)}
			res, h := examineFile(t, scan.NewFile(far, int64(len(tc.file))).Dear())
			if got := res.Verdict.String() + " " + said(res); got != tc.want || len(h) < tc.pieces {
				t.Errorf("%d pieces of text, %s", len(h), describe(res))
			}
			if far.reads > tc.reads || far.bytes > 16<<20 {
				t.Errorf("%d reads of %d bytes", far.reads, far.bytes)
			}
		})
	}
}

func TestEveryRuleIsListedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, rule := range Format().Rules {
		if seen[rule.ID] || rule.Why == "" || rule.Mend == "" || !strings.HasPrefix(rule.ID, "hdf5.") {
			t.Errorf("%+v", rule)
		}
		seen[rule.ID] = true
	}
}
