package scan_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// does is a format of files that begin with its name, and that a test scans.
func does(name string, do func(*scan.Place, *scan.File) error) scan.Format {
	return scan.Format{Name: name, Claim: func(f *scan.File) bool { return f.HasPrefix(name) }, Scan: do}
}

func examineAs(t *testing.T, content string, formats ...scan.Format) scan.Result {
	t.Helper()
	return scan.NewFormats(scan.Limits{}, formats...).Scan(t.Context(), scan.Bytes([]byte(content)), scan.Options{})
}

func TestBytesThatAreHandedOnTwiceAreReadOnce(t *testing.T) {
	count := 0
	twice := func(p *scan.Place, f *scan.File) error {
		p.Inside("", 1, f.Section(1, f.Size()-1))
		p.Inside("", 1, f.Section(1, f.Size()-1))
		return nil
	}
	counted := does("b", func(*scan.Place, *scan.File) error { count++; return nil })
	examineAs(t, "ab", does("a", twice), counted)
	if count != 1 {
		t.Errorf("read %d times", count)
	}
	count = 0
	named := func(p *scan.Place, f *scan.File) error {
		p.Inside("x", 1, f.Section(1, 1))
		p.Inside("y", 1, f.Section(1, 1)) // a member of its own
		return nil
	}
	examineAs(t, "ab", does("a", named), counted)
	if count != 2 {
		t.Errorf("two members were read %d times", count)
	}
	count = 0
	other := func(p *scan.Place, f *scan.File) error {
		p.Inside("", 1, f.Section(1, 1))
		return scan.ErrOther // so nothing was said of them
	}
	examineAs(t, "ab", does("a", other), does("a", twice), counted)
	if count != 2 {
		t.Errorf("after a scan that took it back: read %d times", count)
	}
}

func TestTheBeginningOfAFileIsLeftToWhoReadsTheWhole(t *testing.T) {
	var sizes []int64
	whole := does("a", func(_ *scan.Place, f *scan.File) error { sizes = append(sizes, f.Size()); return nil })
	front := scan.Format{Name: "zip", Claim: func(f *scan.File) bool { return f.Size() == 4 }, Scan: func(p *scan.Place, f *scan.File) error {
		p.Inside("", 0, f.Section(0, 2))
		return nil
	}}
	examineAs(t, "abcd", front, whole)
	if !slices.Equal(sizes, []int64{4}) {
		t.Errorf("read with %v bytes", sizes)
	}
	short := scan.Format{Name: "b", Claim: func(f *scan.File) bool { return f.Size() == 2 },
		Scan: func(_ *scan.Place, f *scan.File) error { sizes = append(sizes, f.Size()); return nil }}
	sizes = nil
	examineAs(t, "abcd", front, short)
	if !slices.Equal(sizes, []int64{2}) {
		t.Errorf("what only the beginning is was read with %v bytes", sizes)
	}
}

func TestFormatsInsideThatWereTakenBackAreForgotten(t *testing.T) {
	inside := func(err error) func(*scan.Place, *scan.File) error {
		return func(p *scan.Place, f *scan.File) error {
			if got := p.InsideAs("x", 1, f.Section(1, 1)); !slices.Equal(got, []string{"b"}) {
				t.Errorf("taken by %v", got)
			}
			return err
		}
	}
	b := does("b", func(p *scan.Place, _ *scan.File) error {
		if got := p.Within(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("within %v", got)
		}
		return nil
	})
	if res := examineAs(t, "ab", does("a", inside(scan.ErrOther)), b); len(res.Inner) != 0 {
		t.Errorf("%v", res.Inner)
	}
	if res := examineAs(t, "ab", does("a", inside(nil)), b); !slices.Equal(res.Inner, []string{"b"}) {
		t.Errorf("%v", res.Inner)
	}
	nameless := scan.Format{Claim: func(*scan.File) bool { return true }, Scan: func(*scan.Place, *scan.File) error { return nil }}
	if res := examineAs(t, "ab", does("a", func(p *scan.Place, f *scan.File) error { p.With(&nameless, "x", 0, f); return nil })); len(res.Inner) != 0 {
		t.Errorf("%v", res.Inner)
	}
}

func TestMembersThatAreUnpackedOneAfterTheOtherShareTheirMemory(t *testing.T) {
	const each, members = 30 << 20, 20
	unpack := func(p *scan.Place) error {
		f, err := p.Unpack(func() (io.Reader, error) { return io.LimitReader(ones{}, each), nil }, each, 1)
		if err == nil && f.Size() != each {
			err = errors.New("too short")
		}
		return err
	}
	res := examineAs(t, "a", does("a", func(p *scan.Place, _ *scan.File) error {
		for range members {
			if err := p.Scoped(func() error { return unpack(p) }); err != nil {
				return err
			}
		}
		return nil
	}))
	if res.Verdict != scan.Clean {
		t.Errorf("%v", res.Findings)
	}
	if res = examineAs(t, "a", does("a", func(p *scan.Place, _ *scan.File) error {
		for range members {
			if err := unpack(p); err != nil {
				return err
			}
		}
		return nil
	})); res.Verdict != scan.Unscannable {
		t.Errorf("without: %v", res.Findings)
	}
}

type ones struct{}

func (ones) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 1
	}
	return len(b), nil
}

func TestEveryFileInsideIsCharged(t *testing.T) {
	res := examineAs(t, "a"+strings.Repeat("b", 10), does("a", func(p *scan.Place, f *scan.File) error {
		for range 10_000_000 { // a scan that pays for nothing
			p.Inside("x", 1, f.Section(1, 1))
		}
		return nil
	}))
	if res.Verdict != scan.Unscannable || res.Findings[0].Rule != "scan.budget" {
		t.Errorf("%v %v", res.Verdict, res.Findings)
	}
}

func TestReadingWithoutPayingEnds(t *testing.T) {
	const size = 1 << 40
	endless := scan.Format{Name: "a", Claim: func(*scan.File) bool { return true }, Scan: func(p *scan.Place, f *scan.File) error {
		for at := int64(0); at < size; at += 1 << 30 {
			if _, err := f.ReadAt(make([]byte, 1), at); err != nil {
				return err
			}
			if err := p.Spend(1); err != nil {
				return err
			}
		}
		return nil
	}}
	f := scan.NewFile(free{}, size)
	if res := scan.NewFormats(scan.Limits{}, endless).Scan(t.Context(), f, scan.Options{}); res.Verdict != scan.Clean {
		t.Errorf("a thousand bytes: %v", res.Findings)
	}
	endless.Scan = func(p *scan.Place, f *scan.File) error {
		b := make([]byte, 64<<20) // never filled: free costs nothing
		for at := int64(0); at < size; at += int64(len(b)) {
			if _, err := f.ReadAt(b, at); err != nil {
				return err
			}
			if err := p.Spend(1); err != nil {
				return err
			}
		}
		return nil
	}
	if res := scan.NewFormats(scan.Limits{}, endless).Scan(t.Context(), f, scan.Options{}); res.Verdict != scan.Unscannable {
		t.Errorf("a tebibyte: %v", res.Verdict)
	}
}

// free reads without doing anything.
type free struct{}

func (free) ReadAt(b []byte, _ int64) (int, error) { return len(b), nil }

func TestABombThatSomethingHarmlessFollowsIsOne(t *testing.T) {
	// 64 KiB of packed bytes that unpack without end, and 100 MiB behind them.
	packed := scan.NewFile(free{}, 100<<20)
	format := scan.Format{Name: "a", Claim: func(*scan.File) bool { return true }, Scan: func(p *scan.Place, f *scan.File) error {
		_, err := p.UnpackFile(f, func(f *scan.File) (io.Reader, error) {
			_, err := f.Read(0, 64<<10)
			return ones{}, err
		}, scan.CostSlow)
		return err
	}}
	res := scan.NewFormats(scan.Limits{}, format).Scan(t.Context(), packed, scan.Options{})
	if res.Verdict != scan.Suspicious || res.Findings[0].Rule != "archive.bomb" {
		t.Errorf("%v %v", res.Verdict, res.Findings)
	}
}
