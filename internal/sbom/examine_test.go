package sbom

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/sbom/integrity"
)

// examined writes "kind path layer source" for each finding, and what else the
// report says.
func examined(t *testing.T, src Source) string {
	t.Helper()
	_, report, err := Examine(t.Context(), src, Options{Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return shown(report)
}

func shown(report integrity.Report) string {
	out := []string{fmt.Sprint("checked ", report.Checked)}
	for _, f := range report.Findings {
		out = append(out, fmt.Sprintf("%s %s %d %s", f.Kind, f.Path, f.Layer, f.Source))
	}
	for _, p := range report.Unrecorded {
		out = append(out, "unrecorded "+p)
	}
	for _, g := range report.Gaps {
		out = append(out, "gap "+g.Path+": "+g.Why)
	}
	return strings.Join(out, "\n")
}

func sums(files ...entry) string {
	var b strings.Builder
	for _, f := range files {
		fmt.Fprintf(&b, "%x  %s\n", md5.Sum([]byte(f.text)), f.name)
	}
	return b.String()
}

func q1(text string) string {
	sum := sha1.Sum([]byte(text))
	return "Q1" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestWhatIsInstalledIsComparedWithWhatWasRecorded(t *testing.T) {
	const site = "usr/lib/python3.11/site-packages"
	flask := wheel(site, "flask", "3.0", file(site+"/flask/__init__.py", "import werkzeug\n"), file(site+"/flask/json/tag.py", "x = 1\n"), file(site+"/flask/_speed.so", "\x7fELF"), file("usr/bin/flask", "#!python\n"))
	// Scripts are recorded relative to the site.
	for i := range flask {
		flask[i].text = strings.Replace(flask[i].text, "usr/bin/flask,", "../../../bin/flask,", 1)
	}
	debian := []entry{
		file("etc/os-release", bookworm), file("var/lib/dpkg/status", status("bash 5.2", "libc6 2.36")),
		file("bin/bash", "bash"), file("usr/share/doc/bash/copyright", "GPL"), file("lib/libc.so.6", "libc"),
		file("var/lib/dpkg/info/bash.md5sums", sums(file("bin/bash", "bash"), file("usr/share/doc/bash/copyright", "GPL"))),
		file("var/lib/dpkg/info/libc6:amd64.md5sums", sums(file("lib/libc.so.6", "libc"))),
	}
	alpine := []entry{
		file("etc/os-release", "ID=alpine\nVERSION_ID=3.20.3\n"),
		file("lib/apk/db/installed", "P:musl\nV:1.2\nA:x86_64\nF:lib\nR:ld.so\nZ:"+q1("ld")+"\nR:libc.so\nZ:"+q1("ld.so")+"\nF:etc\nR:conf\nZ:"+q1("conf")+"\n\n"),
		file("lib/ld.so", "ld"), symlink("lib/libc.so", "ld.so"), file("etc/conf", "conf"),
	}
	db, err := os.ReadFile("distro/testdata/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	rocky := []entry{
		file("etc/os-release", "ID=rocky\nVERSION_ID=9.4\n"), file("var/lib/rpm/rpmdb.sqlite", string(db)),
		file("usr/lib64/libssl.so.3.0.7", "library\n"), symlink("usr/lib64/libssl.so.3", "libssl.so.3.0.7"),
		file("etc/pki/openssl.cnf", "another conf\n"),
		file("usr/lib/python3.9/site-packages/requests/__init__.py", "import urllib3\n"),
		file("usr/lib/python3.9/site-packages/requests-2.25.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: requests\nVersion: 2.25.1\n"),
	}
	for i := 1; i <= 300; i++ {
		rocky = append(rocky, file(fmt.Sprintf("usr/lib/modules/module%d.ko", i), fmt.Sprintf("%d\n", i)))
	}
	for _, tc := range []struct {
		name   string
		layers [][]entry
		want   string
	}{
		{"a wheel as it was recorded", [][]entry{flask}, "checked 5"},
		{"a module that a later layer changed", [][]entry{flask, {file(site+"/flask/__init__.py", "import evil\n")}},
			"checked 5\nchanged " + site + "/flask/__init__.py 1 RECORD"},
		{"a script that a later layer changed", [][]entry{flask, {file("usr/bin/flask", "#!evil\n")}},
			"checked 5\nchanged usr/bin/flask 1 RECORD"},
		{"a module that became a link to another", [][]entry{flask, {file("tmp/evil.py", "import evil\n"), symlink(site+"/flask/json/tag.py", "/tmp/evil.py")}},
			"checked 5\nchanged tmp/evil.py 1 RECORD"},
		{"a module that is missing", [][]entry{flask, {file(site+"/flask/json/.wh.tag.py", "")}},
			"checked 4\nmissing " + site + "/flask/json/tag.py -1 RECORD"},
		{"a folder in a module's place", [][]entry{flask, {dir(site + "/flask/json/tag.py")}},
			"checked 4\nchanged " + site + "/flask/json/tag.py 1 RECORD"},
		{"a path file that nobody recorded", [][]entry{flask, {file(site+"/evil.pth", "import evil\n")}},
			"checked 5\nextra " + site + "/evil.pth 1 RECORD"},
		{"a module that runs at each start", [][]entry{flask, {file(site+"/sitecustomize.py", "import evil\n")}},
			"checked 5\nextra " + site + "/sitecustomize.py 1 RECORD"},
		{"a module within a package that nobody recorded", [][]entry{flask, {file(site+"/flask/json/evil.py", ""), file(site+"/flask/evil.so", ""), file(site+"/flask/notes.txt", "")}},
			"checked 5\nextra " + site + "/flask/evil.so 1 RECORD\nextra " + site + "/flask/json/evil.py 1 RECORD"},
		{"compiled modules are made later", [][]entry{flask, {file(site+"/flask/__pycache__/__init__.cpython-311.pyc", "")}}, "checked 5"},
		{"modules beside packages are nobody's business", [][]entry{flask, {file(site+"/mine.py", "")}}, "checked 5"},
		{"a path file that a wheel recorded", [][]entry{append(flask, wheel(site, "shim", "1", file(site+"/shim.pth", "import os\n"))...)}, "checked 7"},
		{"two wheels that share a folder", [][]entry{append(wheel(site, "a", "1", file(site+"/ns/a.py", "")), wheel(site, "b", "1", file(site+"/ns/b.py", ""))...)}, "checked 4"},
		{"a wheel without a record", [][]entry{{file(site+"/bare-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: bare\nVersion: 1\n")}},
			"checked 0\nunrecorded pkg:pypi/bare@1"},
		{"a distribution that moved what its wheel recorded",
			[][]entry{append(debian, append(wheel("usr/lib/python3/dist-packages", "avro", "1", file("usr/lib/python3/dist-packages/avro/tool.py", "x")),
				file("var/lib/dpkg/info/bash.list", "/usr/lib/python3/dist-packages/avro-1.dist-info/METADATA\n/usr/lib/python3/dist-packages/avro/tool.py\n"))...),
				{file("usr/lib/python3/dist-packages/avro/.wh.tool.py", "")}},
			"checked 3"},
		{"a distribution's files as they were recorded", [][]entry{debian}, "checked 3"},
		{"a program that a later layer changed", [][]entry{debian, {file("bin/bash", "evil")}}, "checked 3\nchanged bin/bash 1 dpkg"},
		{"documentation that was left out", [][]entry{debian, {file("usr/share/.wh.doc", "")}}, "checked 2"},
		{"a library that is missing", [][]entry{debian, {file("lib/.wh.libc.so.6", "")}}, "checked 2\nmissing lib/libc.so.6 -1 dpkg"},
		{"apk's files as they were recorded", [][]entry{alpine}, "checked 1"},
		{"apk's configuration may change", [][]entry{alpine, {file("etc/conf", "mine")}}, "checked 1"},
		{"apk's program that was changed", [][]entry{alpine, {file("lib/ld.so", "evil")}}, "checked 1\nchanged lib/ld.so 1 apk"},
		{"rpm's files as they were recorded, but for configuration and documentation", [][]entry{rocky}, "checked 303"},
		{"documentation that was changed", [][]entry{debian, {file("usr/share/doc/bash/copyright", "mine")}}, "checked 3\nchanged usr/share/doc/bash/copyright 1 dpkg"},
		{"rpm's library that was changed", [][]entry{rocky, {file("usr/lib64/libssl.so.3.0.7", "evil")}}, "checked 303\nchanged usr/lib64/libssl.so.3.0.7 1 rpm"},
		{"a changed library behind a merged usr", [][]entry{
			append([]entry{symlink("lib", "usr/lib")}, debian...), {file("usr/lib/libc.so.6", "evil")}},
			"checked 3\nchanged usr/lib/libc.so.6 1 dpkg"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := examined(t, open(t, layout(t, tc.layers...))); got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
		})
	}
}

func TestAFindingSaysWhatWasExpectedAndWhatIsThere(t *testing.T) {
	root := t.TempDir()
	for _, e := range wheel("site-packages", "six", "1", file("site-packages/six.py", "a")) {
		put(t, root, e.name, e.text)
	}
	if got := examined(t, open(t, root)); got != "checked 2" {
		t.Fatalf("the twin: %s", got)
	}
	put(t, root, "site-packages/six.py", "b")
	_, report, err := Examine(t.Context(), open(t, root), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := integrity.Finding{
		Kind: integrity.Changed, Path: "site-packages/six.py", Layer: -1, Package: "pkg:pypi/six@1", Source: "RECORD",
		Want: "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
		Got:  "sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
	}
	if len(report.Findings) != 1 || report.Findings[0] != want {
		t.Errorf("%+v", report.Findings)
	}
}
