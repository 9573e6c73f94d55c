package native

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
)

func TestBuildInformationIsWhatTheGoCommandReads(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs := []string{self}
	for _, pattern := range []string{"bin/go*", "pkg/tool/*/*"} {
		found, _ := filepath.Glob(filepath.Join(runtime.GOROOT(), pattern))
		programs = append(programs, found...)
	}
	for _, name := range programs {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want, wantErr := buildinfo.Read(f)
		got, err := ReadBuildInfo(f)
		if (err == nil) != (wantErr == nil) {
			t.Errorf("%s: error is %v, that of debug/buildinfo %v", name, err, wantErr)
			continue
		}
		if err == nil && (got.String() != want.String() || got.GoVersion != want.GoVersion) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

var (
	_ = bytes.Equal
	_ = errors.Is
	_ = io.EOF
	_ = strings.Cut
	_ = bounded.ReadAll
)
