package hdf5

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model/scan"
)

// hostile are files that are made to cost as much as they can: each repeats, by
// many references to one place, the dearest that can be said in few bytes.
func hostile() map[string]func() []byte {
	return map[string]func() []byte{
		"elements of text": func() []byte {
			text := attribute3("names", fixedString(1), simple(mostElements), bytes.Repeat([]byte("a"), mostElements))
			return manyObjects(100, func(w *writer) uint64 { return w.header2(repeat(text, 20)...) })
		},
		"elements of text far down": func() []byte {
			w := &writer{}
			text := attribute3("names", fixedString(1), simple(mostElements), bytes.Repeat([]byte("a"), mostElements))
			at := w.header2(repeat(text, 200)...)
			for range 20 {
				at = w.header2(hardLink(strings.Repeat("n", 90), at))
			}
			return w.superblock2(at)
		},
		"shuffles of shuffles": func() []byte {
			return manyObjects(1000, shared(func(w *writer) []msg {
				data := w.put(make([]byte, mostData))
				tree := w.chunkTree(1, mostData, data)
				return []msg{typ(fixedString(1)), space(simple(mostData)), chunkedAt(tree, mostData), shuffles(255)}
			}))
		},
		"chunks that deflate to nothing": func() []byte {
			return manyObjects(100, shared(func(w *writer) []msg {
				data := deflated(nil)
				tree := w.chunkTree(60_000, len(data), w.put(data))
				return []msg{typ(fixedString(1)), space(simple(mostData)), chunkedAt(tree, 16), filters2(filterDeflate)}
			}))
		},
		"deflated within deflated": func() []byte {
			return manyObjects(1000, shared(func(w *writer) []msg {
				data := make([]byte, mostData)
				for range 3 {
					data = deflated(data)
				}
				tree := w.chunkTree(1, len(data), w.put(data))
				return []msg{typ(fixedString(1)), space(simple(mostData)), chunkedAt(tree, mostData), filters2(filterDeflate, filterDeflate, filterDeflate)}
			}))
		},
		"arrays that were never written": func() []byte {
			return manyObjects(60_000, shared(func(w *writer) []msg {
				tree := w.chunkTree(0, 0, 0)
				return []msg{typ(fixedString(1)), space(simple(mostData)), chunkedAt(tree, mostData)}
			}))
		},
		"arrays of one late chunk": func() []byte {
			return manyObjects(60_000, shared(func(w *writer) []msg {
				b := cat("TREE", 1, 0, le(2, 1), le(8, undefined), le(8, undefined), le(4, 16), le(4, 0), le(8, mostData-16), le(8, 0), le(8, w.put(make([]byte, 16))))
				return []msg{typ(fixedString(mostData)), space(simple(1)), chunkedAt(w.put(cat(b, make([]byte, 24))), 16)}
			}))
		},
		"one group's links in all groups": func() []byte {
			return manyObjects(20_000, shared(func(w *writer) []msg { return []msg{w.denseLinks(10_000)} }))
		},
		"one table of symbols in all groups": func() []byte {
			return manyObjects(30_000, shared(func(w *writer) []msg { return []msg{w.softSymbols(2_000)} }))
		},
		"links to other files": func() []byte {
			return manyObjects(2_000, func(w *writer) uint64 { return w.header2(repeat(externalLink("x", "../../etc/passwd"), 100)...) })
		},
		"heaps that take turns": func() []byte {
			w := &writer{}
			var heaps []uint64
			for range mostCollections + 1 {
				heaps = append(heaps, w.manyGlobal(30_000))
			}
			var refs []byte
			for i := range 3_000 {
				refs = append(refs, cat(le(4, 1), le(8, heaps[i%len(heaps)]), le(4, 1))...)
			}
			return w.superblock2(w.header2(repeat(attribute3("names", vlenString, simple(3_000), refs), 20)...))
		},
		"types of one header": func() []byte {
			return manyObjects(50_000, shared(func(w *writer) []msg {
				at := w.header2(append(repeat(msg{kind: kindDriver}, 10_000), typ(fixedString(1)))...)
				return []msg{{kind: kindAttribute, data: cat(3, 1, le(2, 2), le(2, 10), le(2, 4), 0, "a", 0, 3, 2, le(8, at), scalar(), "a")}}
			}))
		},
		"filters without end": func() []byte {
			return manyObjects(5_000, func(w *writer) uint64 { return w.header2(filters2(unknownFilters(255)...)) })
		},
		"sources of a virtual dataset": func() []byte {
			return manyObjects(5_000, shared(func(w *writer) []msg {
				var names []string
				for i := range 5_000 {
					names = append(names, fmt.Sprint(i))
				}
				return []msg{typ(float32Type), space(simple(4)), virtualLayout(w.globalHeap(sources(names...)))}
			}))
		},
	}
}

// manyObjects is a file of a group with links to n objects.
func manyObjects(n int, object func(w *writer) uint64) []byte {
	w := &writer{}
	var links []msg
	for i := range n {
		links = append(links, hardLink(fmt.Sprint(i), object(w)))
	}
	return w.superblock2(w.header2(links...))
}

// shared makes objects whose messages name one and the same place.
func shared(make func(w *writer) []msg) func(w *writer) uint64 {
	var messages []msg
	return func(w *writer) uint64 {
		if messages == nil {
			messages = make(w)
		}
		return w.header2(messages...)
	}
}

func repeat(m msg, n int) []msg {
	out := make([]msg, n)
	for i := range out {
		out[i] = m
	}
	return out
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	_, _ = z.Write(b) // a buffer never fails
	_ = z.Close()
	return out.Bytes()
}

func shuffles(n int) msg {
	b := cat(2, n)
	for range n {
		b = cat(b, le(2, filterShuffle), le(2, 0), le(2, 1), le(4, 2))
	}
	return msg{kind: kindFilters, data: b}
}

func unknownFilters(n int) (ids []int) {
	for i := range n {
		ids = append(ids, 40_000+i)
	}
	return ids
}

// chunkTree is a B-tree of n chunks, all of them at one address.
func (w *writer) chunkTree(n, size int, at uint64) uint64 {
	b := cat("TREE", 1, 0, le(2, uint64(n)), le(8, undefined), le(8, undefined))
	for range n {
		b = append(b, cat(le(4, uint64(size)), le(4, 0), le(8, 0), le(8, 0), le(8, at))...)
	}
	return w.put(cat(b, le(4, 0), le(4, 0), le(8, 0), le(8, 0)))
}

// chunkedAt is a layout of chunks of n bytes.
func chunkedAt(tree uint64, n int) msg {
	return msg{kind: kindLayout, data: cat(3, layoutChunked, 2, le(8, tree), le(4, uint64(n)), le(4, 1))}
}

// denseLinks is a link info message of soft links that stand in their identifiers.
func (w *writer) denseLinks(n int) msg {
	link := softLink("", "")
	const idLen = 16
	var records []byte
	for i := range n {
		id := cat(2<<4|byte(len(link.data)-1), link.data)
		id = append(id, make([]byte, idLen-len(id))...)
		copy(id[len(id)-4:], le(4, uint64(i))) // so that each is another
		records = append(records, cat(le(4, uint64(i)), id)...)
	}
	record := 4 + idLen
	size := 10 + len(records)
	leaf := w.put(cat("BTLF", 0, treeLinkNames, records, le(4, 0)))
	tree := w.put(cat("BTHD", 0, treeLinkNames, le(4, uint64(size)), le(2, uint64(record)), le(2, 0), 100, 40, le(8, leaf), le(2, uint64(n)), le(8, uint64(n)), le(4, 0)))
	heap := w.put(cat("FRHP", 0, le(2, idLen), le(2, 0), 0, le(4, 4096), le(8, 0), le(8, undefined), le(8, 0), le(8, undefined), make([]byte, 8*8),
		le(2, 4), le(8, 512), le(8, 4096), le(2, 32), le(2, 0), le(8, undefined), le(2, 0), le(4, 0)))
	return msg{kind: kindLinkInfo, data: cat(0, 0, le(8, heap), le(8, tree))}
}

// softSymbols is a symbol table message of soft links.
func (w *writer) softSymbols(n int) msg {
	heap, _ := w.localHeap("", "x")
	entry := cat(le(8, 0), le(8, 0), le(4, 2), le(4, 0), make([]byte, 16))
	node := w.put(cat("SNOD", 1, 0, le(2, uint64(n)), bytes.Repeat(entry, n)))
	tree := w.put(cat("TREE", 0, 0, le(2, 1), le(8, undefined), le(8, undefined), le(8, 0), le(8, node), le(8, 0)))
	return msg{kind: kindGroup, data: cat(le(8, tree), le(8, heap))}
}

// manyGlobal is a global heap collection of n empty objects.
func (w *writer) manyGlobal(n int) uint64 {
	b := cat("GCOL", 1, 0, 0, 0, le(8, uint64(16+16*n)))
	for i := range n {
		b = append(b, cat(le(2, uint64(i+1)), le(2, 1), le(4, 0), le(8, 0))...)
	}
	return w.put(b)
}

// TestHostileFilesAreReadOnlySoFar holds that work is counted where it is done:
// an eighth of the budget ends each of them.
func TestHostileFilesAreReadOnlySoFar(t *testing.T) {
	limits := scan.DefaultLimits
	limits.Work /= 8
	for name, make := range hostile() {
		t.Run(name, func(t *testing.T) {
			res := scan.NewFormats(limits, Format()).Scan(t.Context(), scan.Bytes(make()), scan.Options{Tensors: true})
			// Worse findings can leave no room for the one that says so.
			over := strings.Contains(said(res), "scan.budget") || len(res.Findings) == limits.Findings
			if !over || !res.Verdict.Blocked() {
				t.Errorf("%s; it was read to its end: %s", res.Verdict, said(res))
			}
		})
	}
}

// BenchmarkHostile reports what the worst files cost.
func BenchmarkHostile(b *testing.B) {
	for name, make := range hostile() {
		b.Run(strings.ReplaceAll(name, " ", "-"), func(b *testing.B) {
			content := make()
			formats := scan.NewFormats(scan.Limits{}, Format())
			runtime.GC()
			began := processTime(b)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				formats.Scan(b.Context(), scan.Bytes(content), scan.Options{Tensors: true})
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric((processTime(b)-began).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric((float64(after.HeapSys)-float64(before.HeapSys))/(1<<20), "grown-MiB")
		})
	}
}

func processTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
