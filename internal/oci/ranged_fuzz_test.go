package oci

import "testing"

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 10-13/10000", "bytes 10-13/*", "bytes 010-13/10000", "bytes 10-13/+10000", "bytes */10000", "", "bytes 10-13/10000, bytes 0-1/2", "Bytes 10-13/10000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ok := header == "bytes 10-13/10000" || header == "bytes 10-13/*"
		if err := checkRange(header, 10, 4, 10000); (err == nil) != ok {
			t.Fatalf("%q: %v", header, err)
		}
	})
}
