package scan_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

var bad = &scan.Rule{ID: "test.bad", Severity: scan.Harmful}

// letter is a format of files that begin with a letter. Its scan does what the
// rest of the file says.
func letter(name string) scan.Format {
	return scan.Format{Name: name, Rules: []*scan.Rule{bad},
		Claim: func(f *scan.File) bool { return f.HasPrefix(name) },
		Scan: func(p *scan.Place, f *scan.File) error {
			head, err := f.Head()
			if err != nil {
				return err
			}
			switch does := string(head[1:]); {
			case does == "bad":
				p.Report(bad, scan.At(1), "bad is at byte 1")
			case does == "other":
				p.Report(bad, scan.At(1), "forgotten")
				return scan.ErrOther
			case does == "panic":
				panic("on purpose")
			case does == "error":
				return errors.New("the disk is gone")
			case does == "spend":
				for {
					if err := p.Spend(1000); err != nil {
						return err
					}
				}
			case does == "hold":
				_, err := p.Hold(1 << 40)
				return err
			case strings.HasPrefix(does, ">"):
				p.Inside("in", 2, f.Section(2, f.Size()-2))
			case strings.HasPrefix(does, "="):
				p.Inside("", 2, f.Section(2, f.Size()-2))
			}
			return nil
		}}
}

func examine(t *testing.T, content string) scan.Result {
	t.Helper()
	formats := scan.NewFormats(scan.Limits{}, letter("a"), letter("b"))
	return formats.Scan(t.Context(), scan.Bytes([]byte(content)), scan.Options{})
}

func TestAVerdictIsTheWorstThatWasFound(t *testing.T) {
	for content, want := range map[string]string{
		"afine":                           "clean",
		"abad":                            "malicious test.bad @1",
		"cfine":                           "unknown",
		"aother":                          "unknown",
		"apanic":                          "unscannable scan.internal ",
		"aerror":                          "unscannable scan.read ",
		"aspend":                          "unscannable scan.budget ",
		"ahold":                           "unscannable scan.budget ",
		"a>bbad":                          "malicious test.bad in@1",
		"a>b>abad":                        "malicious test.bad in!in@1",
		"a=b=abad":                        "malicious test.bad @5",
		"a>cfine":                         "clean",
		"a>bother":                        "clean",
		strings.Repeat("a>", 9) + "abad":  "suspicious scan.depth in!in!in!in!in!in!in!in",
		strings.Repeat("a>", 8) + "abad":  "malicious test.bad in!in!in!in!in!in!in!in@1",
		strings.Repeat("a>", 8) + "afine": "clean",
		"":                                "clean",
	} {
		res := examine(t, content)
		got := res.Verdict.String()
		for _, f := range res.Findings {
			got += " " + f.Rule + " " + f.Where.String()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", content, got, want)
		}
	}
}

func TestAScanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	formats := scan.NewFormats(scan.Limits{}, letter("a"))
	res := formats.Scan(ctx, scan.Bytes([]byte("aspend")), scan.Options{})
	if res.Verdict != scan.Unscannable || res.Findings[0].Rule != "scan.stopped" {
		t.Errorf("got %v %v", res.Verdict, res.Findings)
	}
}

func TestFindingsAreLimitedFromBelow(t *testing.T) {
	note := &scan.Rule{ID: "test.note"}
	format := scan.Format{Name: "many", Claim: func(*scan.File) bool { return true },
		Scan: func(p *scan.Place, _ *scan.File) error {
			for i := range 2000 {
				p.Report(note, scan.At(int64(i)), "")
			}
			p.Report(bad, scan.At(9999), "last")
			return nil
		}}
	res := scan.NewFormats(scan.Limits{}, format).Scan(t.Context(), scan.Bytes([]byte("x")), scan.Options{})
	if len(res.Findings) != 1000 || res.Dropped != 1001 || res.Findings[0].Rule != "test.bad" {
		t.Errorf("%d findings, %d dropped, first %v", len(res.Findings), res.Dropped, res.Findings[0])
	}
}

func TestForeignTextIsMadePrintable(t *testing.T) {
	format := scan.Format{Name: "x", Claim: func(*scan.File) bool { return true },
		Scan: func(p *scan.Place, _ *scan.File) error {
			p.Report(bad, scan.Nowhere, "a\x1b[31m\u202eb\xff"+strings.Repeat("é", 1000))
			return nil
		}}
	res := scan.NewFormats(scan.Limits{}, format).Scan(t.Context(), scan.Bytes([]byte("x")), scan.Options{})
	if got := res.Findings[0].Detail; !strings.HasPrefix(got, `a\u001b[31m\u202eb\ufffdéé`) || len(got) > 320 {
		t.Errorf("got %q", got)
	}
}

func packed(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// noise does not compress well.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x) & 0x0f
	}
	return b
}

func TestUnpackedStreamsReadLikeFiles(t *testing.T) {
	for _, size := range []int{0, 1, 70_000, 31 << 20, 40 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			content := noise(size)
			gz := packed(t, content)
			format := scan.Format{Name: "gz", Claim: func(*scan.File) bool { return true },
				Scan: func(p *scan.Place, f *scan.File) error {
					file, err := p.Unpack(func() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(gz)) }, int64(len(gz)), scan.CostInflate)
					if err != nil {
						return err
					}
					if file.Size() != int64(size) {
						t.Errorf("size %d", file.Size())
					}
					for _, at := range []int{0, 5, size / 2, size/2 - 3, size - 9, 17, size - 100_000, size - 700_000} {
						if at < 0 || at+9 > size {
							continue
						}
						got, err := file.Read(int64(at), 9)
						if err != nil || !bytes.Equal(got, content[at:at+9]) {
							t.Errorf("at %d: %v %v", at, got, err)
						}
					}
					return nil
				}}
			res := scan.NewFormats(scan.Limits{}, format).Scan(t.Context(), scan.Bytes([]byte("x")), scan.Options{})
			if res.Verdict != scan.Clean {
				t.Errorf("%v", res.Findings)
			}
		})
	}
}

func TestABombIsFoundBeforeItIsUnpacked(t *testing.T) {
	gz := packed(t, make([]byte, 64<<20))
	format := scan.Format{Name: "gz", Claim: func(*scan.File) bool { return true },
		Scan: func(p *scan.Place, f *scan.File) error {
			_, err := p.Unpack(func() (io.Reader, error) { return gzip.NewReader(bytes.NewReader(gz)) }, int64(len(gz)), scan.CostInflate)
			if !errors.Is(err, scan.ErrBomb) {
				t.Errorf("got %v", err)
			}
			return nil
		}}
	res := scan.NewFormats(scan.Limits{}, format).Scan(t.Context(), scan.Bytes([]byte("x")), scan.Options{})
	if res.Verdict != scan.Suspicious || res.Findings[0].Rule != "archive.bomb" {
		t.Errorf("%v", res)
	}
}
