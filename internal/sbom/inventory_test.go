package sbom

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
)

const bookworm = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"

// status writes a database of dpkg: "name version" each.
func status(packages ...string) string {
	var b strings.Builder
	for _, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\n", name, version)
	}
	return b.String()
}

// wheel is the files of an installed wheel: its metadata, RECORD and content.
func wheel(site, name, version string, files ...entry) []entry {
	dist := site + "/" + name + "-" + version + ".dist-info"
	metadata := "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"
	all := append([]entry{file(dist+"/METADATA", metadata)}, files...)
	var record strings.Builder
	for _, f := range all {
		sum := sha256.Sum256([]byte(f.text))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", strings.TrimPrefix(f.name, site+"/"), base64.RawURLEncoding.EncodeToString(sum[:]), len(f.text))
	}
	fmt.Fprintf(&record, "%s,,\n", strings.TrimPrefix(dist, site+"/")+"/RECORD")
	return append(all, file(dist+"/RECORD", record.String()))
}

// list writes "ecosystem name version layer state" for each package.
func list(inv fact.Inventory) string {
	var out []string
	for _, p := range inv.Packages {
		line := fmt.Sprintf("%s %s %s %d", p.Ecosystem, p.Name, p.Version, p.Layer)
		if p.Removed {
			line += " removed"
		}
		if p.Owner != "" {
			line += " of " + p.Owner
		}
		out = append(out, line)
	}
	for _, g := range inv.Gaps {
		out = append(out, fmt.Sprintf("gap %s %d %s", g.Path, g.Layer, g.Why))
	}
	return strings.Join(out, "\n")
}

func TestInventoriesKeepBothTruths(t *testing.T) {
	const site = "usr/local/lib/python3.11/site-packages"
	for _, tc := range []struct {
		name   string
		layers [][]entry
		want   string
	}{
		{"a layer that installs packages brings those only",
			[][]entry{
				{file("etc/os-release", bookworm), file("var/lib/dpkg/status", status("bash 5.2", "tar 1.34"))},
				{file("var/lib/dpkg/status", status("bash 5.2", "curl 7.88", "tar 1.35"))},
			},
			"Debian:12 bash 5.2 0\nDebian:12 curl 7.88 1\nDebian:12 tar 1.34 0 removed\nDebian:12 tar 1.35 1"},
		{"a database that is deleted leaves its packages where they are",
			[][]entry{
				{file("etc/os-release", bookworm), file("var/lib/dpkg/status", status("bash 5.2"))},
				{file("var/lib/dpkg/.wh.status", "")},
			},
			"Debian:12 bash 5.2 0\ngap var/lib/dpkg/status 1 the layer deletes or empties the package database; what it listed is taken to be installed still"},
		{"a database that is emptied leaves its packages where they are",
			[][]entry{
				{file("etc/os-release", bookworm), file("var/lib/dpkg/status", status("bash 5.2"))},
				{file("var/lib/dpkg/status", "")},
				{file("other", "")},
			},
			"Debian:12 bash 5.2 0\ngap var/lib/dpkg/status 1 the layer deletes or empties the package database; what it listed is taken to be installed still"},
		{"a database that was shortened by hand leaves its packages where they are",
			[][]entry{
				{file("etc/os-release", bookworm), file("var/lib/dpkg/status", status("bash 5.2", "curl 7.88")), file("var/lib/dpkg/info/curl:amd64.list", "/usr/bin/curl\n")},
				{file("var/lib/dpkg/status", status("bash 5.2"))},
				{file("var/lib/dpkg/status", status("bash 5.2", "tar 1.34"))},
			},
			"Debian:12 bash 5.2 0\nDebian:12 curl 7.88 0\nDebian:12 tar 1.34 2\n" + strings.Join([]string{
				"gap var/lib/dpkg/status 1 the package database no longer lists 1 packages whose lists of files are still there; they are taken to be installed still",
				"gap var/lib/dpkg/status 2 the package database no longer lists 1 packages whose lists of files are still there; they are taken to be installed still"}, "\n")},
		{"a package that dpkg purged is removed",
			[][]entry{
				{file("etc/os-release", bookworm), file("var/lib/dpkg/status", status("bash 5.2", "curl 7.88")), file("var/lib/dpkg/info/curl:amd64.list", "/usr/bin/curl\n")},
				{file("var/lib/dpkg/status", status("bash 5.2")), file("var/lib/dpkg/info/.wh.curl:amd64.list", "")},
			},
			"Debian:12 bash 5.2 0\nDebian:12 curl 7.88 0 removed"},
		{"a package that dpkg removed but for its configuration is removed",
			[][]entry{
				{file("etc/os-release", bookworm), file("var/lib/dpkg/status", status("bash 5.2", "curl 7.88")), file("var/lib/dpkg/info/curl.list", "/etc/curlrc\n")},
				{file("var/lib/dpkg/status", status("bash 5.2")+"Package: curl\nStatus: deinstall ok config-files\nVersion: 7.88\n")},
			},
			"Debian:12 bash 5.2 0\nDebian:12 curl 7.88 0 removed"},
		{"a distribution whose name is deleted is the same distribution",
			[][]entry{
				{file("etc/os-release", bookworm)},
				{file("etc/.wh.os-release", ""), file("var/lib/dpkg/status", status("bash 5.2"))},
			},
			"Debian:12 bash 5.2 1"},
		{"os-release may be a link into usr",
			[][]entry{
				{file("usr/lib/os-release", bookworm), symlink("etc/os-release", "../usr/lib/os-release"), file("var/lib/dpkg/status", status("bash 5.2"))},
			},
			"Debian:12 bash 5.2 0"},
		{"os-release may be a link to a name that nobody keeps",
			[][]entry{
				{file("opt/release", bookworm), symlink("etc/os-release", "/opt/release"), file("var/lib/dpkg/status", status("bash 5.2"))},
			},
			"Debian:12 bash 5.2 0"},
		{"a database in a folder that is a link is found",
			[][]entry{
				{file("etc/os-release", bookworm), symlink("var/lib/dpkg", "/opt/dpkg"), file("opt/dpkg/status", status("bash 5.2"))},
				{file("opt/dpkg/status", status("bash 5.2", "tar 1.34"))},
			},
			"Debian:12 bash 5.2 0\nDebian:12 tar 1.34 1"},
		{"a database that is a hard link to another name is found",
			[][]entry{
				{file("etc/os-release", bookworm), file("x", status("bash 5.2")), hardlink("var/lib/dpkg/status", "x")},
			},
			"Debian:12 bash 5.2 0"},
		{"a distroless image has a paragraph for each package",
			[][]entry{
				{file("etc/os-release", bookworm), file("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"), file("var/lib/dpkg/status.d/base.md5sums", "")},
				{file("var/lib/dpkg/status.d/bGlic3NsMw==", "Package: libssl3\nVersion: 3.0.11-1\nArchitecture: amd64\nSource: openssl\n")},
			},
			"Debian:12 libssl3 3.0.11-1 1\nDebian:12 base-files 12.4 0"},
		{"a Python package that the distribution brought is the distribution's",
			[][]entry{
				append(wheel("usr/lib/python3/dist-packages", "requests", "2.28.1"),
					file("etc/os-release", bookworm), file("var/lib/dpkg/status", status("python3-requests 2.28.1+dfsg-1")),
					file("var/lib/dpkg/info/python3-requests.list", "/.\n/usr/lib/python3/dist-packages/requests-2.28.1.dist-info/METADATA\n")),
				wheel(site, "requests", "2.32.0"),
			},
			"PyPI requests 2.28.1 0 of pkg:deb/debian/python3-requests@2.28.1%2Bdfsg-1?arch=amd64&distro=debian-12\n" +
				"PyPI requests 2.32.0 1\nDebian:12 python3-requests 2.28.1+dfsg-1 0"},
		{"a package within a wheel is the wheel's",
			[][]entry{
				wheel(site, "setuptools", "70.0",
					file(site+"/setuptools/__init__.py", ""), file(site+"/setuptools/_vendor/wheel-0.43.dist-info/METADATA", "Metadata-Version: 2.1\nName: wheel\nVersion: 0.43\n")),
			},
			"PyPI setuptools 70.0 0\nPyPI wheel 0.43 0 of pkg:pypi/setuptools@70.0"},
		{"a package that is upgraded is removed and there",
			[][]entry{
				wheel(site, "urllib3", "1.26.0"),
				append(wheel(site, "urllib3", "2.2.0"), file(site+"/.wh.urllib3-1.26.0.dist-info", "")),
			},
			"PyPI urllib3 1.26.0 0 removed\nPyPI urllib3 2.2.0 1"},
		{"the same package in two folders is two",
			[][]entry{wheel("opt/python", "boto3", "1.0"), wheel("var/task", "boto3", "1.0")},
			"PyPI boto3 1.0 0\nPyPI boto3 1.0 1"},
		{"a Berkeley DB of rpm is a gap and not an empty distribution",
			[][]entry{{file("etc/os-release", "ID=centos\nVERSION_ID=7\n"), file("var/lib/rpm/Packages", "\x00\x05\x31\x62")}},
			"gap var/lib/rpm/Packages 0 rpm: it is a Berkeley DB, which cannot be read here; \"rpmdb --rebuilddb\" of rpm 4.16 or newer makes it one of SQLite"},
		{"an ndb of rpm is a gap",
			[][]entry{{file("usr/lib/sysimage/rpm/Packages.db", "RpmP")}},
			"gap usr/lib/sysimage/rpm/Packages.db 0 rpm: it is rpm's own format ndb, which cannot be read here; set %_db_backend to sqlite and run \"rpmdb --rebuilddb\""},
		{"a damaged database of rpm is a gap",
			[][]entry{{file("var/lib/rpm/rpmdb.sqlite", "SQLite format 4")}},
			"gap var/lib/rpm/rpmdb.sqlite 0 rpm: the SQLite file is malformed: it has no header"},
		{"apk's database is found in its old place and in a merged one",
			[][]entry{{file("etc/os-release", "ID=wolfi\n"), file("usr/lib/apk/db/installed", "P:glibc\nV:2.39-r5\nA:x86_64\n\n"), symlink("lib", "usr/lib")}},
			"Wolfi glibc 2.39-r5 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inv, err := Collect(t.Context(), open(t, layout(t, tc.layers...)), Options{Scratch: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if got := list(inv); got != tc.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tc.want)
			}
			if len(inv.Layers) != len(tc.layers) || inv.Subject.Digest == "" {
				t.Errorf("%d layers of %s", len(inv.Layers), inv.Subject)
			}
		})
	}
}

func TestAnRPMDatabaseOwnsFilesInImagesAndFolders(t *testing.T) {
	db, err := os.ReadFile("distro/testdata/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	const metadata = "usr/lib/python3.9/site-packages/requests-2.25.1.dist-info/METADATA"
	entries := []entry{
		file("etc/os-release", "ID=rocky\nVERSION_ID=9.4\n"), file("var/lib/rpm/rpmdb.sqlite", string(db)),
		file(metadata, "Metadata-Version: 2.1\nName: requests\nVersion: 2.25.1\n"),
	}
	root := t.TempDir()
	for _, e := range entries {
		put(t, root, e.name, e.text)
	}
	for _, src := range []string{layout(t, entries), root} {
		inv, err := Collect(t.Context(), open(t, src), Options{Scratch: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, p := range inv.Packages {
			if p.Path == metadata {
				found = true
				if want := "pkg:rpm/rocky/python3-requests@2.25.1-8.el9?arch=noarch&distro=rocky-9.4"; p.Owner != want {
					t.Errorf("owner %q", p.Owner)
				}
			}
		}
		if !found || len(inv.Packages) != 4 || len(inv.Gaps) != 0 {
			t.Errorf("%s", list(inv))
		}
	}
}

func TestALayerThatChangesTheLogOfADatabaseAloneIsSeen(t *testing.T) {
	base, err := os.ReadFile("distro/testdata/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/rpmdb.sqlite"
	if err := os.WriteFile(path, base, 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range []string{"PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "DELETE FROM Packages WHERE hnum=1"} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	lower := []entry{file("etc/os-release", "ID=rocky\nVERSION_ID=9.4\n"), file("var/lib/rpm/rpmdb.sqlite", string(base))}
	for _, tc := range []struct {
		upper []entry
		gone  int
	}{
		{[]entry{file("other", "")}, 0},
		{[]entry{file("var/lib/rpm/rpmdb.sqlite-wal", string(wal))}, 1},
	} {
		inv, err := Collect(t.Context(), open(t, layout(t, lower, tc.upper)), Options{Scratch: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(list(inv), "removed"); n != tc.gone || len(inv.Packages) != 3 {
			t.Errorf("%d are removed instead of %d:\n%s", n, tc.gone, list(inv))
		}
	}
}

func TestAnInventoryEndsWithItsContext(t *testing.T) {
	path := layout(t, []entry{file("NOTE", "a")})
	root := t.TempDir()
	put(t, root, "var/lib/dpkg/status", status("bash 5.2"))
	for _, src := range []Source{open(t, path), Folder(root)} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := Collect(ctx, src, Options{Scratch: t.TempDir()}); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
}

func TestAFolderIsReadWithoutLeavingIt(t *testing.T) {
	outside := t.TempDir()
	put(t, outside, "NOTE", "outside")
	root := t.TempDir()
	put(t, root, "app/NOTE", "a")
	put(t, root, "deep/secret", "found")
	put(t, root, "x/NOTE", "read app/../deep/secret")
	put(t, root, "y/NOTE", "read out/NOTE")
	for name, target := range map[string]string{"out": outside, "up": "../..", "linked": "app", "NOTE": outside + "/NOTE"} {
		if err := os.Symlink(target, root+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	want := "app/NOTE a 0\nx/NOTE found 0\ngap y/NOTE: note: read out/NOTE: file does not exist"
	inv := takes(t, Folder(root), notes())
	if got := short(inv); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if inv.Packages[0].Layer != -1 || inv.Layers != nil {
		t.Errorf("a folder has no layers: %+v", inv)
	}
	if _, err := Collect(t.Context(), Folder(root+"/none"), Options{}); err == nil {
		t.Error("a folder that is not there has an inventory")
	}
}

func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	var entries []entry
	entries = append(entries, file("etc/os-release", bookworm), file("var/lib/dpkg/status", status("b 1", "a 2", "c 3")))
	for i := range 50 {
		entries = append(entries, wheel("usr/lib/python3/dist-packages", fmt.Sprintf("p%d", i), "1.0")...)
	}
	path := layout(t, entries, []entry{file(".wh.usr", "")})
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	var first []byte
	for range 3 {
		inv, err := Collect(t.Context(), open(t, path), Options{Clock: clock.At(at), Version: "test", Scratch: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(inv)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = data
			if inv.Source != "Apex" || inv.Version != "test" || !inv.Made.Equal(at) || len(inv.Packages) != 53 {
				t.Errorf("%d packages, %s %s %s", len(inv.Packages), inv.Source, inv.Version, inv.Made)
			}
		}
		if string(data) != string(first) {
			t.Fatal("two inventories of one source differ")
		}
	}
}
