package footprint

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

func TestWhatRestsIsSmallerAndGoesOn(t *testing.T) {
	garbage := make([][]byte, 64)
	for i := range garbage {
		garbage[i] = make([]byte, 1<<20)
		for j := 0; j < 1<<20; j += os.Getpagesize() {
			garbage[i][j] = 1
		}
	}
	runtime.KeepAlive(garbage)
	garbage = nil
	runtime.GC()
	before, file := idle(), resident()
	if before < 32<<20 || file == 0 {
		t.Fatalf("nothing to give back: %d and %d bytes", before, file)
	}
	release()
	if after := idle(); after > before/2 {
		t.Errorf("%d of %d bytes lie idle still", after, before)
	}
	drop()
	if after := resident(); after >= file {
		t.Errorf("%d of %d bytes of the program are resident still", after, file)
	}
}

func TestOnlyWhatIsAsInTheFileIsDropped(t *testing.T) {
	const rest = "\nSize: 4 kB\nAnonymous:         0 kB\nVmFlags: rd ex mr\n"
	for text, want := range map[string]int{
		"00400000-034b9000 r-xp 00000000 fe:00 13387876                           /bin/apex" + rest:                                     1,
		"034b9000-06608000 r--p 030b9000 fe:00 13387876                           /bin/apex" + rest:                                     1,
		"034b9000-06608000 r--p 030b9000 fe:00 13387876                           /bin/apex\nAnonymous:         4 kB\n":                 0, // as a dynamic linker leaves it
		"034b9000-06608000 r--p 030b9000 fe:00 13387876                           /bin/apex\nRss: 4 kB\n":                               0,
		"06608000-06854000 rw-p 06208000 fe:00 13387876                           /bin/apex" + rest:                                     0,
		"06608000-06854000 r--s 06208000 fe:00 13387876                           /bin/apex" + rest:                                     0,
		"034b9000-06608000 r--p 030b9000 fe:00 13387876                           /bin/other" + rest:                                    0,
		"7f0000000000-7f0000001000 r--p 00000000 00:00 0" + rest:                                                                        0,
		"zz-06608000 r--p 030b9000 fe:00 13387876 /bin/apex" + rest:                                                                     0,
		"00400000-034b9000 r-xp 0 fe:00 1 /bin/apex" + rest + "034b9000-06608000 r--p 0 fe:00 1 /bin/apex" + rest + "Anonymous: 0 kB\n": 2,
		"": 0,
	} {
		if got := unchanged(strings.NewReader(text), "/bin/apex"); len(got) != want {
			t.Errorf("%q: %v, want %d", text, got, want)
		}
	}
}
