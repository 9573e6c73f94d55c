package trace

import (
	"net/http"
	"strings"
	"testing"
)

const (
	theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent = "00f067aa0ba902b7"
	valid  = "00-" + theirs + "-" + parent + "-01"
)

func opened(t testing.TB, o Options) *Tracer {
	t.Helper()
	if o.Endpoint == "" {
		o.Endpoint = "http://127.0.0.1:1"
	}
	tracer, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

func TestATraceparentIsTakenToTheLetterOrNotAtAll(t *testing.T) {
	tracer := opened(t, Options{})
	for _, tc := range []struct {
		name, header string
		taken        bool
	}{
		{"as the specification has it", valid, true},
		{"not sampled", valid[:53] + "00", true},
		{"with flags to come", valid[:53] + "fb", true},
		{"of a version to come", "cc" + valid[2:], true},
		{"of a version to come, with more behind", "cc" + valid[2:] + "-what-comes", true},
		{"of this version, with more behind", valid + "-what-comes", false},
		{"of a version to come, with more that is not apart", "cc" + valid[2:] + "what", false},
		{"of the version that is none", "ff" + valid[2:], false},
		{"in upper case", strings.ToUpper(valid), false},
		{"with no trace", "00-" + strings.Repeat("0", 32) + valid[35:], false},
		{"with no parent", valid[:36] + strings.Repeat("0", 16) + "-01", false},
		{"with another digit", strings.Replace(valid, "4bf9", "4bg9", 1), false},
		{"with a line in it", strings.Replace(valid, "4bf9", "4b\r\n", 1), false},
		{"without its lines", strings.ReplaceAll(valid, "-", "_"), false},
		{"cut off", valid[:54], false},
		{"empty", "", false},
		{"too long", valid[:54] + strings.Repeat("0", 8000), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{Parent: {tc.header}, State: {"vendor=1"}}
			c := tracer.Begin(h)
			if (c.ID() == theirs) != tc.taken {
				t.Errorf("the trace is %s", c.ID())
			}
			if !c.In() || h[Parent] != nil || (h[State] != nil) != tc.taken {
				t.Errorf("what is left: %v", h)
			}
			again := tracer.Begin(http.Header{Parent: {c.Header(3)}})
			if again.ID() != c.ID() || again.parent != c.id(3) {
				t.Errorf("%s cannot be followed", c.Header(3))
			}
		})
	}
}

func TestWhoIsTracedIsDecidedHereUnlessCallersAreFollowed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		o       Options
		header  []string
		sampled bool
	}{
		{"nobody is, and a caller asks", Options{}, []string{valid}, false},
		{"everybody is, and a caller does not ask", Options{Sample: 1}, []string{valid[:53] + "00"}, true},
		{"a caller that is followed asks", Options{Follow: true}, []string{valid}, true},
		{"a caller that is followed does not ask", Options{Follow: true, Sample: 1}, []string{valid[:53] + "00"}, false},
		{"a caller that is followed says nothing", Options{Follow: true, Sample: 1}, nil, true},
		{"a caller that is followed says what is not valid", Options{Follow: true}, []string{"00" + valid}, false},
		{"a caller that is followed says it twice", Options{Follow: true}, []string{valid, valid}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := http.Header{}
			if tc.header != nil {
				h[Parent] = tc.header
			}
			if c := opened(t, tc.o).Begin(h); c.Sampled != tc.sampled {
				t.Error(c.Sampled)
			}
			if len(tc.header) > 1 && len(h[Parent]) != len(tc.header) {
				t.Error("the gateway does not see that there are two")
			}
		})
	}
	var off *Tracer
	h := http.Header{Parent: {valid}}
	if c := off.Begin(h); c.In() || c.Sampled || h[Parent] == nil {
		t.Error("without traces something is traced")
	}
}

func TestAShareOfRequestsIsTraced(t *testing.T) {
	tracer, n := opened(t, Options{Sample: 0.5}), 0
	for range 10_000 {
		if c := tracer.Begin(http.Header{}); c.Sampled {
			n++
		}
	}
	if n < 4000 || n > 6000 { // twenty standard deviations
		t.Errorf("%d of 10,000", n)
	}
}

func FuzzTraceparent(f *testing.F) {
	for _, s := range []string{valid, "", "cc" + valid[2:] + "-x", valid[:54], strings.ToUpper(valid)} {
		f.Add(s)
	}
	tracer := opened(f, Options{Follow: true})
	f.Fuzz(func(t *testing.T, header string) {
		c := tracer.Begin(http.Header{Parent: {header}})
		if !c.In() {
			t.Fatal("in no trace")
		}
		// What was taken is what was said, to the letter.
		if c.parent != [8]byte{} {
			if again := c.Header(0); again[3:35] != header[3:35] {
				t.Fatalf("%q became %q", header, again)
			}
		}
		if h := c.Header(1); len(h) != 55 || strings.Trim(h, "0123456789abcdef-") != "" {
			t.Fatalf("%q", h)
		}
	})
}
