package integrity

import (
	"strings"
	"testing"
)

func TestRowsOfARecordProveOnlyWithDigestsThatDo(t *testing.T) {
	sha := strings.Repeat("A", 43)
	zero := "sha256:" + strings.Repeat("0", 64)
	for row, want := range map[string]string{
		"a.py,sha256=" + sha + ",1":        "a.py " + zero,
		"a.py,SHA256=" + sha + "=,1":       "a.py " + zero,
		"\"a,b.py\",sha256=" + sha + ",1":  "a,b.py " + zero,
		"a.py,,":                           "a.py ",
		"a.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,": "a.py ",
		"a.py,sha256=" + sha[:20] + ",1":   "a.py ",
		"a.py,sha256=***,1":                "a.py ",
		"a.py":                             "a.py ",
		",sha256=" + sha + ",1":            "",
		"a\x00.py,,":                       "",
	} {
		got := ""
		for path, digest := range Record([]byte(row + "\n")) {
			got += path + " " + digest
		}
		if got != want {
			t.Errorf("%q: %q; want %q", row, got, want)
		}
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("a.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n\"b,\"\"c\",,\r\n"))
	f.Add([]byte("\"\n,,\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for path, digest := range Record(data) {
			if path == "" || digest != "" && !strings.Contains(digest, ":") {
				t.Errorf("%q %q", path, digest)
			}
		}
	})
}
