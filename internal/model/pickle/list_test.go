package pickle

import (
	"regexp"
	"testing"
)

func TestTheEmbeddedListsCanBeRead(t *testing.T) {
	l, err := readList()
	if err != nil {
		t.Fatal(err)
	}
	if len(l.allow) < 1500 || len(l.deny) < 400 || len(l.stdlib) < 250 || len(l.names) < 80 {
		t.Errorf("%d allowed, %d denied, %d of the standard library, %d of Python 2", len(l.allow), len(l.deny), len(l.stdlib), len(l.names))
	}
	if !regexp.MustCompile(`^20\d\d-\d\d-\d\d\.\d+\+[0-9a-f]{12}$`).MatchString(ListVersion()) {
		t.Errorf("version %q", ListVersion())
	}
}

func BenchmarkReadList(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readList(); err != nil {
			b.Fatal(err)
		}
	}
}
