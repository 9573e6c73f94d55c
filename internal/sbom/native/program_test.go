package native

import (
	"bytes"
	"debug/buildinfo"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestBuildInformationIsWhatTheGoCommandReads(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs := []string{self}
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"bin/go*", "pkg/tool/*/*"} {
		found, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), pattern))
		programs = append(programs, found...)
	}
	for _, name := range programs {
		compare(t, name)
	}
}

func compare(t *testing.T, name string) *debug.BuildInfo {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, wantErr := buildinfo.Read(f)
	got, err := ReadBuildInfo(f)
	if (err == nil) != (wantErr == nil) {
		t.Errorf("%s: error is %v, that of debug/buildinfo %v", name, err, wantErr)
		return nil
	}
	if err == nil && (got.String() != want.String() || got.GoVersion != want.GoVersion) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
	return got
}

// TestProgramsOfOtherSystems builds one program for the formats and widths.
func TestProgramsOfOtherSystems(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds programs")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Without imports nothing but the runtime is compiled for each system.
	write("go.mod", "module example.com/tool\n\ngo 1.26\n")
	write("main.go", "package main\n\nvar version string\n\nfunc main() { println(version) }\n")
	for _, target := range []string{"linux/amd64", "windows/amd64", "darwin/arm64"} {
		t.Run(target, func(t *testing.T) {
			goos, goarch, _ := strings.Cut(target, "/")
			out := filepath.Join(dir, goos+goarch)
			cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags", "-s -w -X main.version=v1.2.3-rc.1", "-o", out, ".")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
			if text, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			info := compare(t, out)
			if info == nil {
				t.Fatal("no build information")
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			got, err := find(t, files("usr/local/bin/tool", data))
			want := "pkg:golang/stdlib@" + stdlibVersion(info.GoVersion) + " linked\npkg:golang/example.com/tool@v1.2.3-rc.1 linked main,devel\n"
			if err != nil || say(got) != want {
				t.Errorf("got %v\n%swant\n%s", err, say(got), want)
			}
		})
	}
}

func TestModulesOfAProgram(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.22.3",
		Main:      debug.Module{Path: "example.com/app", Version: "v0.0.0-20240101000000-abcdefabcdef+dirty", Sum: "h1:AAAA="},
		Deps: []*debug.Module{
			{Path: "golang.org/x/net", Version: "v0.17.0", Sum: "h1:BBBB="},
			{Path: "example.com/Forked", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.0.1", Sum: "h1:CCCC="}},
			{Path: "example.com/here", Version: "v1.0.0", Replace: &debug.Module{Path: "../here", Version: "(devel)"}},
			{Path: "example.com/odd", Version: "v2.0.0+incompatible"},
			{Path: "example.com/work", Version: "(devel)"},
		},
	}
	got := goPackages(info)
	want := `pkg:golang/stdlib@1.22.3 linked
pkg:golang/example.com/app@v0.0.0-20240101000000-abcdefabcdef%2Bdirty linked main
pkg:golang/golang.org/x/net@v0.17.0 linked
pkg:golang/example.com/fork@v1.0.1 linked
pkg:golang/example.com/here@v1.0.0 linked replaced
pkg:golang/example.com/odd@v2.0.0%2Bincompatible linked
pkg:golang/example.com/work linked devel
`
	if say(got) != want {
		t.Errorf("got\n%swant\n%s", say(got), want)
	}
	if got[2].Hashes[0] != "h1:BBBB=" || got[3].Hashes[0] != "h1:CCCC=" || got[4].Hashes != nil || got[6].Version != "" {
		t.Errorf("hashes or versions are wrong: %+v", got)
	}
}

func TestVersionsOfTheStandardLibrary(t *testing.T) {
	for goVersion, want := range map[string]string{
		"go1.22.3": "1.22.3", "go1.20": "1.20.0", "go1.23rc1": "1.23.0-rc.1", "go1.9beta2": "1.9.0-beta.2", "go1.21.9 X:boringcrypto": "1.21.9",
		"go1.22.3-fips": "1.22.3", "go1.20.12 (Red Hat 1.20.12-1.el9)": "1.20.12", "devel go1.23-abcdef Mon": "", "gotip": "", "": "",
	} {
		if got := stdlibVersion(goVersion); got != want {
			t.Errorf("%q is %q, want %q", goVersion, got, want)
		}
	}
}

func TestWhatTheLinkerToldAProgram(t *testing.T) {
	tests := []struct{ flags, want string }{
		{`-s -w -X main.version=1.2.3`, "v1.2.3"},
		{`-X "example.com/app/internal/v.GitVersion=v1.2.3+k3s1"`, "v1.2.3+k3s1"},
		{`-X=main.Version=v1.2.3`, "v1.2.3"},
		{`-X example.com/other.Version=v1.2.3`, ""},
		{`-X main.commit=1.2.3`, ""},
		{`-X main.version=main-abcdef`, ""},
		{`-X main.version=1.2`, ""},
		{``, ""},
	}
	for _, test := range tests {
		info := &debug.BuildInfo{Main: debug.Module{Path: "example.com/app"}, Settings: []debug.BuildSetting{{Key: "-ldflags", Value: test.flags}}}
		if got := linkedVersion(info); got != test.want {
			t.Errorf("%s tells %q, want %q", test.flags, got, test.want)
		}
	}
}

// hostile is an ELF header with these numbers of headers.
func hostile(set func(h []byte, o binary.ByteOrder)) []byte {
	b := append(elf{text: "x"}.bytes(), make([]byte, 4096)...)
	set(b, binary.LittleEndian)
	return b
}

func TestHostilePrograms(t *testing.T) {
	tests := []struct {
		name string
		data []byte
	}{
		{"65,535 sections", hostile(func(h []byte, o binary.ByteOrder) { o.PutUint16(h[60:], 0xffff) })},
		{"sections of one byte", hostile(func(h []byte, o binary.ByteOrder) { o.PutUint16(h[58:], 1) })},
		{"sections beyond the end", hostile(func(h []byte, o binary.ByteOrder) { o.PutUint64(h[40:], 1<<62) })},
		{"65,535 segments", hostile(func(h []byte, o binary.ByteOrder) { o.PutUint16(h[56:], 0xffff) })},
		{"names in no section", hostile(func(h []byte, o binary.ByteOrder) { o.PutUint16(h[62:], 9) })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := outline(bytes.NewReader(test.data)); err == nil {
				t.Error("it was read")
			}
			if _, err := find(t, files("opt/libz.so.1", test.data)); err == nil || !strings.Contains(err.Error(), "opt/libz.so.1") {
				t.Errorf("error is %v, want one that names the file", err)
			}
		})
	}
	t.Run("their twin is read", func(t *testing.T) {
		if _, err := outline(bytes.NewReader(hostile(func([]byte, binary.ByteOrder) {}))); err != nil {
			t.Error(err)
		}
	})
	t.Run("what is no program is skipped", func(t *testing.T) {
		for _, data := range []string{"", "MZ", "MZ" + strings.Repeat("x", 100), "\x7fELF", "\xca\xfe\xba\xbe\x00\x00\x00\x34" + strings.Repeat("x", 100)} {
			if _, err := ReadBuildInfo(strings.NewReader(data)); !errors.Is(err, ErrNotGo) {
				t.Errorf("%q: error is %v", data, err)
			}
		}
	})
}

func FuzzProgram(f *testing.F) {
	f.Add(elf{soname: "libz.so.1", needed: []string{"libc.so.6"}, text: " inflate 1.2.13 "}.bytes())
	f.Add(elf{soname: "x", stripped: true, order: binary.BigEndian}.bytes())
	pe := make([]byte, 512)
	copy(pe, "MZ")
	pe[60] = 64
	copy(pe[64:], "PE\x00\x00\x64\x86\x01\x00")
	f.Add(pe)
	mach := make([]byte, 256)
	binary.LittleEndian.PutUint32(mach, 0xfeedfacf)
	mach[16], mach[20], mach[32], mach[36] = 1, 72, 0x19, 72
	f.Add(mach)
	table := libraries()
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		_, _ = ReadBuildInfo(bytes.NewReader(data))
		p, err := outline(bytes.NewReader(data))
		if err != nil {
			return
		}
		if len(p.sections) > maxHeaders+1 || len(p.segments) > maxHeaders {
			t.Errorf("%d sections and %d segments", len(p.sections), len(p.segments))
		}
		if _, needed := p.names(); len(needed) > maxNeeded+1 {
			t.Errorf("%d libraries needed", len(needed))
		}
		p.scan(table)
	})
}

func FuzzMarks(f *testing.F) {
	f.Add([]byte("OpenSSL 3.2.1 30 Jan 2024\x00SQLite format 3\x00\x003.40.1\x00tensorrt_version_10_0_1_6"))
	table := libraries()
	f.Fuzz(func(t *testing.T, data []byte) {
		for i := range table {
			var armed bool
			var bare string
			if v := look(data, &table[i], &armed, &bare); v != "" && v[0] < '0' || len(v) > 64 || bare != "" && !isVersion(bare, 3) {
				t.Errorf("%s has the versions %q and %q", table[i].name, v, bare)
			}
		}
	})
}
