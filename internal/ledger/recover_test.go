package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// unsealed returns the directory of a closed ledger with five records in its
// only segment, and the offset at which each begins.
func unsealed(t *testing.T) (dir string, offsets []int64) {
	dir = t.TempDir()
	l := open(t, dir, Options{})
	for i := range 5 {
		_, _, size, _ := l.w.readable()
		if i == 0 {
			size = segmentHead
		}
		offsets = append(offsets, size)
		mustAppend(t, l, Durable, fmt.Sprintf("payload %d", i))
	}
	closeLedger(t, l)
	return dir, offsets
}

// markAt makes the tail file say that only so much was synced.
func markAt(t *testing.T, dir string, synced int64) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, tailName), tail{0, synced}.encode(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyATornUnacknowledgedEndIsCutOff(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		change func(t *testing.T, dir string, at []int64)
		want   int    // records that are there after opening, or
		damage string // the file that the error names
		offset func(at []int64) int64
	}{
		{name: "nothing is wrong", change: func(*testing.T, string, []int64) {}, want: 5},
		{name: "an incomplete frame lies behind the mark", want: 5, change: func(t *testing.T, dir string, at []int64) {
			must(t, appendFile(segmentPath(dir, 0), []byte{1, 2, 3}))
		}},
		{name: "garbage lies behind the mark", want: 5, change: func(t *testing.T, dir string, at []int64) {
			must(t, appendFile(segmentPath(dir, 0), slices.Repeat([]byte{7}, 5000)))
		}},
		{name: "zeros lie behind the mark", want: 5, change: func(t *testing.T, dir string, at []int64) {
			must(t, appendFile(segmentPath(dir, 0), make([]byte, 5000)))
		}},
		{name: "the last two were not synced, and one is damaged", want: 3, change: func(t *testing.T, dir string, at []int64) {
			markAt(t, dir, at[3])
			flip(t, segmentPath(dir, 0), (at[3]+20)*8)
		}},
		{name: "the last two were not synced, and are whole", want: 5, change: func(t *testing.T, dir string, at []int64) {
			markAt(t, dir, at[3])
		}},
		{name: "the last record is damaged", damage: segmentPath("", 0), offset: func(at []int64) int64 { return at[4] },
			change: func(t *testing.T, dir string, at []int64) { flip(t, segmentPath(dir, 0), (at[4]+20)*8) }},
		{name: "a record in the middle is damaged", damage: segmentPath("", 0), offset: func(at []int64) int64 { return at[2] },
			change: func(t *testing.T, dir string, at []int64) { flip(t, segmentPath(dir, 0), (at[2]+20)*8) }},
		{name: "a length in the middle points beyond the end", damage: segmentPath("", 0), offset: func(at []int64) int64 { return at[2] },
			change: func(t *testing.T, dir string, at []int64) { flip(t, segmentPath(dir, 0), (at[2]+5)*8) }},
		{name: "the file is shorter than what was synced", damage: segmentPath("", 0), offset: func(at []int64) int64 { return at[4] },
			change: func(t *testing.T, dir string, at []int64) { must(t, os.Truncate(segmentPath(dir, 0), at[4])) }},
		{name: "the header is damaged", damage: segmentPath("", 0), change: func(t *testing.T, dir string, at []int64) { flip(t, segmentPath(dir, 0), 99) }},
		{name: "the segment is gone", damage: segmentPath("", 0), change: func(t *testing.T, dir string, at []int64) { must(t, os.Remove(segmentPath(dir, 0))) }},
		{name: "the mark is damaged", damage: tailName, change: func(t *testing.T, dir string, at []int64) { flip(t, filepath.Join(dir, tailName), 100) }},
		{name: "without a mark, an incomplete frame at the end", want: 5, change: func(t *testing.T, dir string, at []int64) {
			must(t, os.Remove(filepath.Join(dir, tailName)))
			must(t, appendFile(segmentPath(dir, 0), []byte{1, 2, 3}))
		}},
		{name: "without a mark, a damaged record", damage: segmentPath("", 0), offset: func(at []int64) int64 { return at[4] },
			change: func(t *testing.T, dir string, at []int64) {
				must(t, os.Remove(filepath.Join(dir, tailName)))
				flip(t, segmentPath(dir, 0), (at[4]+20)*8)
			}},
		{name: "a next segment was begun and not written", want: 5, change: func(t *testing.T, dir string, at []int64) {
			must(t, os.WriteFile(segmentPath(dir, 1), make([]byte, 30), 0o600))
		}},
		{name: "a next segment has a damaged header", damage: segmentPath("", 1), change: func(t *testing.T, dir string, at []int64) {
			must(t, os.WriteFile(segmentPath(dir, 1), slices.Repeat([]byte{1}, segmentHead), 0o600))
		}},
		{name: "the segment is that of another ledger", damage: segmentPath("", 0), change: func(t *testing.T, dir string, at []int64) {
			head := encodeHeader(0, time.Unix(1, 0), "other")
			data, err := os.ReadFile(segmentPath(dir, 0))
			must(t, err)
			must(t, os.WriteFile(segmentPath(dir, 0), append(head, data[segmentHead:]...), 0o600))
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, at := unsealed(t)
			tc.change(t, dir, at)
			before, _ := os.ReadFile(segmentPath(dir, 0))
			l, err := Open(t.Context(), dir, Options{})
			if tc.damage != "" {
				var d *DamageError
				if !errors.As(err, &d) || d.File != filepath.Join(dir, tc.damage) || (tc.offset != nil && d.Offset != tc.offset(at)) {
					t.Fatalf("opening: %v", err)
				}
				if after, _ := os.ReadFile(segmentPath(dir, 0)); string(after) != string(before) {
					t.Fatal("opening has changed a damaged segment")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			mustAppend(t, l, Durable, "and on")
			if got := payloads(t, l); len(got) != tc.want+1 || got[tc.want] != "and on" {
				t.Fatalf("records: %q", got)
			}
			mustSeal(t, l)
			closeLedger(t, l)
			wantClean(t, dir, l.VerifierKey())
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSealingIsFinishedOnceWhereverItStopped(t *testing.T) {
	cases := []struct {
		name string
		// stop changes a ledger with two sealed segments, and a third that is
		// not, to what a crash may leave.
		stop func(t *testing.T, dir, older string)
		want string // of the error; empty: it goes on
	}{
		{"after the segment was closed", func(*testing.T, string, string) {}, ""},
		{"before the seal got its name", func(t *testing.T, dir, _ string) {
			must(t, os.WriteFile(filepath.Join(dir, tmpDir, filepath.Base(sealPath("", 2))), []byte("half"), 0o600))
		}, ""},
		{"after the seal was written", func(t *testing.T, dir, _ string) {
			l := &Ledger{dir: dir, files: OSFiles{}, origin: testOrigin}
			must(t, l.writeSeal(t.Context(), 2))
		}, ""},
		{"before the leaf reached the log", func(t *testing.T, dir, older string) {
			must(t, os.RemoveAll(filepath.Join(dir, logName)))
			must(t, os.CopyFS(filepath.Join(dir, logName), os.DirFS(older)))
		}, ""},
		{"before anything reached the log", func(t *testing.T, dir, _ string) {
			must(t, os.RemoveAll(filepath.Join(dir, logName)))
		}, ""},
		{"before the state of the log was written", func(t *testing.T, dir, older string) {
			state, err := os.ReadFile(filepath.Join(older, ".state/treeState"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, treeStateFile), state, 0o600))
			checkpoint, err := os.ReadFile(filepath.Join(older, "checkpoint"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, checkpointFile), checkpoint, 0o600))
		}, ""},
		{"before the checkpoint was published", func(t *testing.T, dir, older string) {
			data, err := os.ReadFile(filepath.Join(older, "checkpoint"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, checkpointFile), data, 0o600))
		}, ""},
		{"but the log has leaves that nobody sealed", func(t *testing.T, dir, _ string) {
			must(t, os.RemoveAll(filepath.Join(dir, segmentsName)))
			must(t, os.Remove(filepath.Join(dir, tailName)))
		}, "the log has 2 leaves, but 1 segments are sealed"},
		{"but another segment took the place of one in the log", func(t *testing.T, dir, _ string) {
			must(t, os.Remove(sealPath(dir, 1)))
			must(t, os.Remove(segmentPath(dir, 1)))
			must(t, os.Remove(segmentPath(dir, 2)))
			must(t, os.Remove(filepath.Join(dir, tailName)))
		}, "is not the seal"},
		{"but the log's newest leaf is another one", func(t *testing.T, dir, _ string) {
			flip(t, filepath.Join(dir, logName, "tile/entries/000.p/2"), 8*120)
		}, "is not the seal"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, older := t.TempDir(), filepath.Join(t.TempDir(), "older")
			l := open(t, dir, Options{})
			mustAppend(t, l, Durable, "0")
			mustSeal(t, l)
			must(t, os.CopyFS(older, os.DirFS(filepath.Join(dir, logName))))
			mustAppend(t, l, Durable, "1")
			mustSeal(t, l)
			mustAppend(t, l, Durable, "2")
			closeLedger(t, l)
			tc.stop(t, dir, older)
			l = open(t, dir, Options{})
			if tc.want != "" {
				mustAppend(t, l, Durable, "3")
				if err := l.Seal(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("seal: %v", err)
				}
				if err := l.Healthy(); err == nil {
					t.Error("healthy after a failed sealing")
				}
				return
			}
			mustSeal(t, l)
			mustSeal(t, l)
			closeLedger(t, l)
			if r := wantClean(t, dir, l.VerifierKey()); r.LogSize != 3 || r.Records != 3 {
				t.Fatalf("%+v", r)
			}
		})
	}
}
