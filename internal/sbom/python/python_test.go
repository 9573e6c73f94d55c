package python

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract/extracttest"
)

// find runs the extractors over a file system.
func find(t testing.TB, fsys fs.FS) ([]fact.Package, error) {
	t.Helper()
	return extracttest.Find(t, fsys, Extractors())
}

func files(pairs ...string) fstest.MapFS { return extracttest.Files(pairs...) }

// say writes packages one a line, so that a table can hold what is expected.
func say(packages []fact.Package) string {
	var b strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&b, "%s %s %s %s", p.Ecosystem, p.Name, p.Version, p.State)
		if len(p.Modules) > 0 {
			fmt.Fprintf(&b, " imports=%s", strings.Join(p.Modules, ","))
		}
		if len(p.Attributes) > 0 {
			fmt.Fprintf(&b, " %s", strings.Join(p.Attributes, ","))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const numpy = "Metadata-Version: 2.1\nName: numpy\nVersion: 1.26.4\nSummary: arrays\nLicense: BSD\nClassifier: Programming Language :: C\n\nName: not a field\n"

func TestInstalledPackages(t *testing.T) {
	const site = "usr/lib/python3.11/site-packages/"
	tests := []struct {
		name string
		fs   fstest.MapFS
		want string
	}{
		{"a folder that pip made", files(
			site+"numpy-1.26.4.dist-info/METADATA", numpy,
			site+"numpy-1.26.4.dist-info/RECORD", "numpy/__init__.py,sha256=x,1\nnumpy/core/__init__.py,,\n../../../bin/f2py,,\nnumpy-1.26.4.dist-info/METADATA,,\n",
			site+"numpy-1.26.4.dist-info/INSTALLER", "pip\n",
			site+"numpy-1.26.4.dist-info/REQUESTED", "",
		), "PyPI numpy 1.26.4 installed imports=numpy installer:pip,direct\n"},
		{"a package that was pulled in is not direct", files(
			site+"numpy-1.26.4.dist-info/METADATA", numpy,
			site+"numpy-1.26.4.dist-info/INSTALLER", "uv",
		), "PyPI numpy 1.26.4 installed imports=numpy installer:uv\n"},
		{"a target folder, a Lambda layer and a Debian folder", files(
			"app/deps/six-1.16.0.dist-info/METADATA", "Name: six\nVersion: 1.16.0\n",
			"opt/python/six-1.16.0.dist-info/METADATA", "Name: six\nVersion: 1.16.0\n",
			"usr/lib/python3/dist-packages/six-1.16.0.egg-info/PKG-INFO", "Name: six\nVersion: 1.16.0\n",
		), strings.Repeat("PyPI six 1.16.0 installed imports=six\n", 3)},
		{"an import name that the project's name does not tell, from top_level.txt", files(
			site+"foo_bar-1.dist-info/METADATA", "Name: foo-bar\nVersion: 1\n",
			site+"foo_bar-1.dist-info/top_level.txt", "_foo\r\nfoo\r\n",
		), "PyPI foo-bar 1 installed imports=_foo,foo\n"},
		{"an import name from the table", files(
			site+"pillow-10.0.0.dist-info/METADATA", "Name: pillow\nVersion: 10.0.0\n",
		), "PyPI pillow 10.0.0 installed imports=PIL\n"},
		{"namespaces are named by what is in them", files(
			site+"protobuf-5.0.dist-info/METADATA", "Name: protobuf\nVersion: 5.0\n",
			site+"protobuf-5.0.dist-info/top_level.txt", "google\n",
			site+"protobuf-5.0.dist-info/RECORD", "google/protobuf/__init__.py,,\ngoogle/protobuf/internal/__init__.py,,\ngoogle/_upb/_message.abi3.so,,\n",
		), "PyPI protobuf 5.0 installed imports=google._upb,google.protobuf\n"},
		{"single modules, extension modules and a quoted path", files(
			site+"odd-1.dist-info/METADATA", "Name: odd\nVersion: 1\n",
			site+"odd-1.dist-info/RECORD", "six.py,,\n_yaml.cpython-311-x86_64-linux-gnu.so,,\n\"we,ird.py\",,\nodd.libs/libz.so,,\nlibz.so,,\nodd-1.data/scripts/run.py,,\n__pycache__/six.py,,\n",
		), "PyPI odd 1 installed imports=_yaml,six\n"},
		{"import names that the metadata declares", files(
			site+"x-1.dist-info/METADATA", "Name: x\nVersion: 1\nImport-Name: xx\nImport-Name: xx.y ; private\nImport-Namespace: not-one\n",
		), "PyPI x 1 installed imports=xx,xx.y\n"},
		{"an editable install", files(
			site+"mine-0.1.dist-info/METADATA", "Name: mine\nVersion: 0.1\n",
			site+"mine-0.1.dist-info/direct_url.json", `{"url":"file:///src/mine","dir_info":{"editable":true}}`,
		), "PyPI mine 0.1 installed imports=mine editable\n"},
		{"a local install is not editable", files(
			site+"mine-0.1.dist-info/METADATA", "Name: mine\nVersion: 0.1\n",
			site+"mine-0.1.dist-info/direct_url.json", `{"url":"file:///src/mine","dir_info":{}}`,
		), "PyPI mine 0.1 installed imports=mine\n"},
		{"a file of distutils", files(
			"usr/lib/python3/dist-packages/PyYAML-5.3.1.egg-info", "Metadata-Version: 1.1\nName: PyYAML\nVersion: 5.3.1\nLicense: UNKNOWN\n",
		), "PyPI PyYAML 5.3.1 installed imports=yaml,_yaml\n"},
		{"an unpacked egg", files(
			site+"foo-2.0-py3.8.egg/EGG-INFO/PKG-INFO", "Name: foo\nVersion: 2.0\n",
			site+"foo-2.0-py3.8.egg/EGG-INFO/top_level.txt", "foo\n",
		), "PyPI foo 2.0 installed imports=foo\n"},
		{"a link of setup.py develop", files(
			site+"my-pkg.egg-link", "/src/my\n.",
			"src/my/my_pkg.egg-info/PKG-INFO", "Name: my-pkg\nVersion: 3\n",
			"src/my/my_pkg.egg-info/top_level.txt", "mypkg\n",
		), "PyPI my-pkg 3 installed imports=mypkg\nPyPI my-pkg 3 installed imports=mypkg editable\n"},
		{"a copy that setuptools carries", files(
			site+"setuptools/_vendor/wheel-0.43.0.dist-info/METADATA", "Name: wheel\nVersion: 0.43.0\n",
		), "PyPI wheel 0.43.0 vendored imports=wheel\n"},
		{"a version that only the folder tells", files(
			site+"foo-1.5.dist-info/METADATA", "Name: foo\n",
		), "PyPI foo 1.5 installed imports=foo\n"},
		{"the first of two names counts, as for pip", files(
			site+"evil-1.dist-info/METADATA", "Name: evil\nName: good\nVersion: 1\nVersion: 2\n",
		), "PyPI evil 1 installed imports=evil\n"},
		{"metadata of Windows", files(
			site+"foo-1.dist-info/METADATA", "\xef\xbb\xbfName: foo\r\nVersion: 1\r\n\r\nName: bar\r\n",
		), "PyPI foo 1 installed imports=foo\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := find(t, test.fs)
			if err != nil {
				t.Fatal(err)
			}
			slices.SortStableFunc(got, func(a, b fact.Package) int { return len(a.Attributes) - len(b.Attributes) })
			if say(got) != test.want {
				t.Errorf("got\n%swant\n%s", say(got), test.want)
			}
		})
	}
}

func TestEvidenceThatCannotBeReadIsAGap(t *testing.T) {
	tests := []struct {
		name, path, content, want string
	}{
		{"metadata without a name", "a/x-1.dist-info/METADATA", "Version: 1\n", "no Name"},
		{"a name longer than any", "a/x-1.dist-info/METADATA", "Name: " + strings.Repeat("x", 300) + "\nVersion: 1\n", "longer than"},
		{"more fields than any", "a/x-1.dist-info/METADATA", "Name: x\n" + strings.Repeat("A: b\n", maxFields), "fields"},
		{"a link to nowhere", "a/x.egg-link", "/src\n", "list the folder"},
		{"a link out of the tree", "a/x.egg-link", "../../src\n", "out of the tree"},
		{"a wheel that is no archive", "a/x-1-py3-none-any.whl", strings.Repeat("no", 100), "not a valid zip"},
		{"a record of conda that is no JSON", "conda-meta/x-1-0.json", "{", "invalid JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := find(t, files(test.path, test.content))
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path.Base(test.path)) {
				t.Errorf("error is %v, want one about %q that names the file", err, test.want)
			}
		})
	}
	t.Run("their twins are none", func(t *testing.T) {
		got, err := find(t, files(
			"a/x-1.dist-info/METADATA", "Name: "+strings.Repeat("x", 256)+"\n"+strings.Repeat("A: b\n", maxFields-1),
			"a/y.egg-link", "src\n", "a/src/y.egg-info/PKG-INFO", "Name: y\nVersion: 1\n",
			"conda-meta/x-1-0.json", "{}",
			"a/photos.zip", strings.Repeat("no", 100)))
		if err != nil || len(got) != 3 {
			t.Errorf("%d packages and %v, want 3", len(got), err)
		}
	})
}
