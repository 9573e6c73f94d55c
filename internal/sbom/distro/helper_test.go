package distro

import (
	"io/fs"
	"os"
	"testing"
)

var errAbsent = fs.ErrNotExist

func readFixture(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile(rpmdb)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
