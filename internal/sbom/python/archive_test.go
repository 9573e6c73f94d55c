package python

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract/extracttest"
)

// zipped makes an archive of pairs of name and content.
func zipped(t testing.TB, pairs ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		f, err := w.Create(pairs[i])
		if err == nil {
			_, err = io.WriteString(f, pairs[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestArchives(t *testing.T) {
	six := zipped(t, "six.py", "", "six-1.16.0.dist-info/RECORD", "six.py,,\n", "six-1.16.0.dist-info/METADATA", "Name: six\nVersion: 1.16.0\n")
	tests := []struct{ name, path, content, want string }{
		{"a wheel on the path", "app/six-1.16.0-py2.py3-none-any.whl", six, "PyPI six 1.16.0 installed imports=six\n"},
		{"a wheel that ensurepip carries", "lib/python3.12/ensurepip/_bundled/six-1.16.0-py2.py3-none-any.whl", six, "PyPI six 1.16.0 vendored imports=six\n"},
		{"a zipped egg", "foo-1.0-py3.8.egg", zipped(t, "EGG-INFO/PKG-INFO", "Name: foo\nVersion: 1.0\n", "EGG-INFO/top_level.txt", "foo\n"), "PyPI foo 1.0 installed imports=foo\n"},
		{"a Lambda layer", "layer.zip", zipped(t, "python/a-1.dist-info/METADATA", "Name: a\nVersion: 1\n", "python/b/_vendor/c-2.dist-info/METADATA", "Name: c\nVersion: 2\n"), "PyPI a 1 installed imports=a\nPyPI c 2 vendored imports=c\n"},
		{"wheels in a zip", "wheelhouse.zip", zipped(t, "wheels/six.whl", six, "notes.txt", ""), "PyPI six 1.16.0 installed imports=six\n"},
		{"a program of PEX with its first line", "app.pex", "#!/usr/bin/env python3\n" + zipped(t, ".deps/a-1.whl/a-1.dist-info/METADATA", "Name: a\nVersion: 1\n"), "PyPI a 1 installed imports=a\n"},
		{"a zip of other things", "photos.zip", zipped(t, "a.jpg", "x"), ""},
		{"a wheel in a wheel in a zip", "x.zip", zipped(t, "a.whl", zipped(t, "b.whl", six)), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := find(t, files(test.path, test.content))
			if err != nil || say(got) != test.want {
				t.Errorf("got %v\n%swant\n%s", err, say(got), test.want)
			}
		})
	}
}

func TestArchivesWithLongDirectoriesAreGaps(t *testing.T) {
	name := strings.Repeat("n", 60_000)
	for count, wants := range map[int]bool{100: true, 200: false} {
		pairs := []string{"a-1.dist-info/METADATA", "Name: a\nVersion: 1\n"}
		for i := range count {
			pairs = append(pairs, fmt.Sprint(name, i), "")
		}
		got, err := find(t, files("a-1-py3-none-any.whl", zipped(t, pairs...)))
		if wants && (err != nil || len(got) != 1) || !wants && (!errors.Is(err, bounded.ErrTooLarge) || len(got) != 0) {
			t.Errorf("%d entries: %d packages and %v", count, len(got), err)
		}
	}
}

const condaNumPy = `{"name": "numpy", "version": "1.26.4", "build": "py311h64a7726_0", "build_number": 0, "channel": "https://u:secret@conda.example/t/tok/conda-forge/linux-64",
 "subdir": "linux-64", "fn": "numpy-1.26.4-py311h64a7726_0.conda", "license": "BSD-3-Clause", "sha256": "aa", "md5": "bb", "requested_spec": "numpy>=1",
 "files": [%s], "paths_data": {"paths": []}, "link": {"source": "/x", "type": 1}}`

func TestConda(t *testing.T) {
	tests := []struct{ name, content, want string }{
		{"a package that describes itself is found there", fmt.Sprintf(condaNumPy, `"lib/python3.11/site-packages/numpy/__init__.py", "lib/python3.11/site-packages/numpy-1.26.4.dist-info/METADATA"`),
			"conda numpy 1.26.4 installed imports=numpy direct\n"},
		{"one that does not is a PyPI package all the same", fmt.Sprintf(condaNumPy, `"lib/python3.11/site-packages/numpy/__init__.py"`),
			"conda numpy 1.26.4 installed imports=numpy direct\nPyPI numpy 1.26.4 installed imports=numpy mapped\n"},
		{"by the name that PyPI has for it", `{"name": "pytorch", "version": "2.1.0", "files": ["site-packages/torch/__init__.py"]}`,
			"conda pytorch 2.1.0 installed imports=torch\nPyPI torch 2.1.0 installed imports=torch mapped\n"},
		{"a C library is no PyPI package", `{"name": "graphviz", "version": "9.0.0", "files": ["lib/libgvc.so", "bin/dot"]}`, "conda graphviz 9.0.0 installed\n"},
		{"another file of conda", `{"x": 1}`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := find(t, files("opt/conda/conda-meta/x.json", test.content, "opt/conda/other/x.json", test.content))
			if err != nil || say(got) != test.want {
				t.Errorf("got %v\n%swant\n%s", err, say(got), test.want)
			}
		})
	}
	got, _ := find(t, files("conda-meta/x.json", fmt.Sprintf(condaNumPy, "")))
	if want := "pkg:conda/numpy@1.26.4?build=py311h64a7726_0&channel=conda-forge&subdir=linux-64&type=conda"; got[0].PURL != want {
		t.Errorf("got %s, want %s", got[0].PURL, want)
	}
	if h := got[0].Hashes; !slices.Equal(h, []string{"sha256:aa", "md5:bb"}) {
		t.Errorf("hashes are %v", h)
	}
}

func TestWhereAPackageCameFrom(t *testing.T) {
	tests := []struct{ name, direct, purl, hashes string }{
		{"a repository, without its password", `{"url": "https://u:secret@github.com/x/y.git", "vcs_info": {"vcs": "git", "commit_id": "abc", "requested_revision": "main"}}`, "pkg:pypi/x-y@1%2Blocal?vcs_url=git%2Bhttps:%2F%2Fgithub.com%2Fx%2Fy.git%40abc", ""},
		{"an archive, without its token", `{"url": "https://files.example/x.whl?token=secret", "archive_info": {"hash": "sha256=aa", "hashes": {"sha256": "aa", "md5": "bb"}}}`, "pkg:pypi/x-y@1%2Blocal?download_url=https:%2F%2Ffiles.example%2Fx.whl", "md5:bb sha256:aa"},
		{"an index", ``, "pkg:pypi/x-y@1%2Blocal", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fsys := files("x_y-1.dist-info/METADATA", "Name: X_y\nVersion: 1+local\nLicense-Expression: MIT\nLicense: text\n")
			if test.direct != "" {
				fsys["x_y-1.dist-info/direct_url.json"] = files("x", test.direct)["x"]
			}
			got, err := find(t, fsys)
			if err != nil || len(got) != 1 || got[0].PURL != test.purl || strings.Join(got[0].Hashes, " ") != test.hashes {
				t.Errorf("got %+v and %v", got, err)
			}
		})
	}
}

func TestLicenses(t *testing.T) {
	for metadata, want := range map[string]string{
		"License-Expression: MIT OR Apache-2.0\nLicense: MIT\n":                                     "MIT OR Apache-2.0",
		"License: BSD 3-Clause\nClassifier: License :: OSI Approved :: BSD License\n":               "BSD 3-Clause",
		"License: Copyright\n  All rights\nClassifier: License :: OSI Approved :: MIT License\n":    "MIT License",
		"License: UNKNOWN\nClassifier: License :: Public Domain\nClassifier: License :: Freeware\n": "Public Domain,Freeware",
		"": "",
	} {
		m, err := parseMetadata([]byte("Name: x\n" + metadata))
		if err != nil || strings.Join(m.licenses, ",") != want {
			t.Errorf("%q: got %v and %v, want %s", metadata, m.licenses, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{"Foo.-_bar": "foo-bar", "zope.interface": "zope-interface", "A": "a", "": ""} {
		if got := Normalize(name); got != want {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"PyYAML": "yaml _yaml true", "scikit_learn": "sklearn true", "opencv-python-headless": "cv2 true", "types-requests": " true",
		"huggingface.hub": "huggingface_hub false", "requests": "requests false", "7zip": " false",
	} {
		names, known := ImportNames(name)
		if got := fmt.Sprint(strings.Join(names, " "), " ", known); got != want {
			t.Errorf("%s is imported as %q, want %q", name, got, want)
		}
	}
	for raw, want := range map[string]string{
		"https://u:p@h.example/p?q=1#f": "https://h.example/p", "ssh://git@h.example/p": "ssh://h.example/p", "git@h:p": "", "p": "", "": "", "mailto:secret": "",
	} {
		if got := CleanURL(raw); got != want {
			t.Errorf("%s is cleaned to %q, want %q", raw, got, want)
		}
	}
}

func TestRecords(t *testing.T) {
	got := ParseRecord([]byte("a.py,sha256=x,1\r\n\"b,\"\"c\"\".py\",sha256=y,2\n,,\nd.py\n"))
	want := []RecordFile{{"a.py", "sha256=x", "1"}, {`b,"c".py`, "sha256=y", "2"}, {"d.py", "", ""}}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestModulesDeeperThanAnyAreNotLookedFor(t *testing.T) {
	for depth, want := range map[int]int{maxModuleDepth: 1, maxModuleDepth + 1: 0} {
		if got := recordModules([]byte(strings.Repeat("a/", depth) + "__init__.py,,\n")); len(got) != want {
			t.Errorf("%d folders deep: %q", depth, got)
		}
	}
}

// TestPackagesAreThoseThatPipLists compares with the pip that is installed.
func TestPackagesAreThoseThatPipLists(t *testing.T) {
	name, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	run := func(args ...string) []byte {
		out, err := exec.CommandContext(t.Context(), name, args...).Output()
		if err != nil {
			t.Skipf("python3 does not run: %v", err)
		}
		return out
	}
	folder := strings.TrimSpace(string(run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))")))
	var listed []struct{ Name, Version string }
	if err := json.Unmarshal(run("-m", "pip", "list", "--format", "json", "--disable-pip-version-check", "--path", folder), &listed); err != nil {
		t.Fatal(err)
	}
	found := map[string]fact.Package{}
	fsys := os.DirFS(folder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Skip(err)
	}
	for _, e := range entries {
		for _, p := range []string{e.Name() + "/METADATA", e.Name() + "/PKG-INFO", e.Name()} {
			for _, x := range Extractors() {
				info, err := os.Stat(path.Join(folder, p))
				if err != nil || !info.Mode().IsRegular() || !x.Wants(p, 0o644, info.Size()) {
					continue
				}
				if err := x.Extract(t.Context(), extracttest.File(fsys, p), func(p fact.Package) { found[Normalize(p.Name)+" "+p.Version] = p }); err != nil {
					t.Errorf("%s: %v", p, err)
				}
			}
		}
	}
	for _, l := range listed {
		p, ok := found[Normalize(l.Name)+" "+l.Version]
		if !ok {
			t.Errorf("pip lists %s %s", l.Name, l.Version)
		} else if p.Name != l.Name {
			t.Errorf("pip spells %s as %s", p.Name, l.Name)
		}
	}
	if len(found) != len(listed) {
		t.Errorf("%d packages, pip lists %d", len(found), len(listed))
	}
	t.Logf("%d packages", len(found))
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(numpy))
	f.Add([]byte("Name: x\r\nVersion: 1\r\nLicense: a\r\n b\r\nImport-Name: a.b ; private\r\n\r\nbody"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMetadata(data)
		if err == nil && (m.name == "" || len(m.name) > maxName || len(m.version) > maxName || len(m.licenses) > maxLicenses || len(m.modules) > maxModules) {
			t.Errorf("%+v", m)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("a/__init__.py,sha256=x,1\n\"b,\"\"c\"\".py\",,\n../bin/x,,\nd.cpython-311-x86_64-linux-gnu.so,,\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range recordModules(data) {
			if !isDotted(m) {
				t.Errorf("%q is no import name", m)
			}
		}
	})
}

func FuzzEvidence(f *testing.F) {
	f.Add([]byte(`{"name": "numpy", "version": "1", "files": ["site-packages/numpy/__init__.py"], "channel": "https://x/y/linux-64"}`))
	f.Add([]byte(`{"url": "https://u:p@h/x", "vcs_info": {"vcs": "git", "commit_id": "a"}}`))
	f.Add([]byte(zipped(f, "a-1.dist-info/METADATA", "Name: a\nVersion: 1\n", "b.whl", zipped(f, "EGG-INFO/PKG-INFO", "Name: b\n"))))
	f.Add([]byte("/src/x\n."))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		for _, p := range []string{"conda-meta/x.json", "x.zip", "x.egg-link"} {
			fsys := files(p, string(data), "src/x/x.egg-info/PKG-INFO", "Name: x\n")
			file := extracttest.File(fsys, p)
			for _, x := range Extractors() {
				if x.Wants(p, 0o644, int64(len(data))) {
					_ = x.Extract(t.Context(), file, func(p fact.Package) {
						if p.Name == "" || len(p.Name) > maxName {
							t.Errorf("%+v", p)
						}
					})
				}
			}
		}
		_ = applyDirectURL(&fact.Package{Name: "x"}, data)
	})
}

func TestWantsAllocatesNothing(t *testing.T) {
	for _, x := range Extractors() {
		for _, p := range []string{"usr/lib/python3/dist-packages/six-1.16.0.dist-info/METADATA", "usr/share/doc/x/copyright", "opt/conda/conda-meta/numpy-1.json", "a.whl"} {
			if n := testing.AllocsPerRun(10, func() { x.Wants(p, 0o644, 1000) }); n != 0 {
				t.Errorf("%s allocates %v times for %s", x.Name, n, p)
			}
		}
	}
}
