package distro

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/apexlogic/apex/internal/fact"
)

// rpmdb is a database that rpm 4.18 made of three packages; tables that only
// speed up its searches were dropped.
const rpmdb = "testdata/rpmdb.sqlite"

var rocky = fact.Distribution{ID: "rocky", Version: "9.4"}

func readRPMFile(t testing.TB, path string) ([]fact.Package, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wal, _ := os.ReadFile(path + "-wal")
	var out []fact.Package
	err = readRPMs(context.Background(), bytes.NewReader(data), int64(len(data)), wal, func(h *header) {
		if p, ok := h.pkg(rocky); ok {
			out = append(out, p)
		}
	})
	return out, err
}

func TestPackagesOfRPMAreReadWithTheirSources(t *testing.T) {
	got, err := readRPMFile(t, rpmdb)
	if err != nil {
		t.Fatal(err)
	}
	want := []fact.Package{
		{Ecosystem: "Rocky Linux:9", Name: "kernel-modules", Version: "5.14.0-427.el9", Arch: "noarch", Licenses: []string{"GPLv2"},
			PURL: "pkg:rpm/rocky/kernel-modules@5.14.0-427.el9?arch=noarch&distro=rocky-9.4"},
		{Ecosystem: "Rocky Linux:9", Name: "openssl-libs", Version: "1:3.0.7-27.el9", Arch: "noarch", Licenses: []string{"Apache-2.0"},
			SourceName: "openssl", SourceVersion: "1:3.0.7-27.el9",
			PURL: "pkg:rpm/rocky/openssl-libs@3.0.7-27.el9?arch=noarch&distro=rocky-9.4&epoch=1"},
		{Ecosystem: "Rocky Linux:9", Name: "python3-requests", Version: "2.25.1-8.el9", Arch: "noarch", Licenses: []string{"ASL 2.0"},
			SourceName: "python-requests", SourceVersion: "2.25.1-8.el9",
			PURL: "pkg:rpm/rocky/python3-requests@2.25.1-8.el9?arch=noarch&distro=rocky-9.4"},
	}
	slices.SortFunc(got, func(a, b fact.Package) int { return strings.Compare(a.Name, b.Name) })
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// copied returns a copy of the database, changed by statements of SQL.
func copied(t testing.TB, statements ...string) string {
	t.Helper()
	data, err := os.ReadFile(rpmdb)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return path
}

// TestEveryShapeOfTheFileReadsAsTheSQLEngineReadsIt holds page sizes, deep
// trees, overflow, deleted rows and the log to what SQLite itself returns.
func TestEveryShapeOfTheFileReadsAsTheSQLEngineReadsIt(t *testing.T) {
	const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 3000)
		INSERT INTO Packages(blob) SELECT substr(blob, 1, 100 + i) FROM n, (SELECT blob FROM Packages WHERE hnum = 1)`
	for _, tc := range []struct {
		name       string
		statements []string
	}{
		{"as rpm left it", nil},
		{"pages of 512 bytes", []string{"PRAGMA journal_mode=DELETE", "PRAGMA page_size=512", "VACUUM"}},
		{"pages of 64 KiB", []string{"PRAGMA journal_mode=DELETE", "PRAGMA page_size=65536", "VACUUM"}},
		{"a tree of several levels", []string{"PRAGMA journal_mode=DELETE", "PRAGMA page_size=512", "VACUUM", many}},
		{"rows that were deleted", []string{many, "DELETE FROM Packages WHERE hnum % 3 = 0"}},
		{"an empty table", []string{"DELETE FROM Packages"}},
		{"sizes around what fits into a page", []string{`WITH RECURSIVE n(i) AS (SELECT 3900 UNION ALL SELECT i+1 FROM n WHERE i < 4120)
			INSERT INTO Packages(blob) SELECT substr(blob, 1, i) FROM n, (SELECT blob FROM Packages WHERE hnum = 3)`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := copied(t, tc.statements...)
			if got, want := ours(t, path), engine(t, path); got != want {
				t.Errorf("%d bytes differ from the engine's %d", len(got), len(want))
			}
		})
	}
}

func TestWhatIsOnlyInTheLogIsRead(t *testing.T) {
	path := copied(t)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, s := range []string{"PRAGMA journal_mode=WAL", "PRAGMA wal_autocheckpoint=0", "INSERT INTO Packages(blob) SELECT blob FROM Packages", "DELETE FROM Packages WHERE hnum=1"} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	// As a container is stopped: the files are copied while the log is open.
	copyTo := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copyTo+suffix, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	got, err := readRPMFile(t, copyTo)
	if err != nil || len(got) != 5 {
		t.Errorf("%d packages, %v; want 5", len(got), err)
	}
	// A frame whose checksum does not hold ends the log.
	wal, _ := os.ReadFile(copyTo + "-wal")
	wal[32+24+10] ^= 1
	if err := os.WriteFile(copyTo+"-wal", wal, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err = readRPMFile(t, copyTo); err != nil || len(got) != 3 {
		t.Errorf("%d packages, %v; want 3", len(got), err)
	}
}

func ours(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wal, _ := os.ReadFile(path + "-wal")
	db, err := openSQLite(bytes.NewReader(data), int64(len(data)), wal)
	if err != nil {
		t.Fatal(err)
	}
	root, err := db.table(t.Context(), "Packages")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	err = db.rows(t.Context(), root, maxHeader, func(record []byte) error {
		blob, err := column(record, 1)
		fmt.Fprintf(&b, "%x\n", blob)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func engine(t *testing.T, path string) string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT blob FROM Packages ORDER BY hnum")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	for rows.Next() {
		var blob []byte
		if err := rows.Scan(&blob); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%x\n", blob)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestADamagedDatabaseIsAnErrorAndNotAnEmptyOne(t *testing.T) {
	good, err := os.ReadFile(rpmdb)
	if err != nil {
		t.Fatal(err)
	}
	read := func(data []byte) (int, error) {
		n := 0
		err := readRPMs(t.Context(), bytes.NewReader(data), int64(len(data)), nil, func(h *header) {
			if _, ok := h.pkg(rocky); ok {
				n++
			}
		})
		return n, err
	}
	if n, err := read(good); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	root := rootOf(t, good)
	for name, change := range map[string]func(d []byte) []byte{
		"no SQLite file":                func(d []byte) []byte { return []byte(strings.Repeat("text ", 100)) },
		"cut short":                     func(d []byte) []byte { return d[:len(d)-4096] },
		"pages of an odd size":          func(d []byte) []byte { d[16], d[17] = 0x12, 0x34; return d },
		"text in another encoding":      func(d []byte) []byte { d[59] = 2; return d },
		"another table's name":          func(d []byte) []byte { return bytes.ReplaceAll(d, []byte("Packages"), []byte("Paquages")) },
		"a page that is of no table":    func(d []byte) []byte { d[root] = 10; return d },
		"more cells than fit in a page": func(d []byte) []byte { d[root+3], d[root+4] = 0xff, 0xff; return d },
		"a cell outside of its page":    func(d []byte) []byte { d[root+8], d[root+9] = 0xff, 0xff; return d },
		"a tree that leads to itself": func(d []byte) []byte {
			page := uint32(root/4096 + 1)
			copy(d[root:], []byte{pageTableInterior, 0, 0, 0, 0, 0, 0, 0, byte(page >> 24), byte(page >> 16), byte(page >> 8), byte(page)})
			return d
		},
	} {
		if n, err := read(change(bytes.Clone(good))); err == nil {
			t.Errorf("%s: %d packages and no error", name, n)
		}
	}
}

func rootOf(t testing.TB, data []byte) int {
	db, err := openSQLite(bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	root, err := db.table(context.Background(), "Packages")
	if err != nil {
		t.Fatal(err)
	}
	return int(root-1) * 4096
}

func TestAHeaderThatLiesIsNoPackage(t *testing.T) {
	for name, blob := range map[string][]byte{
		"nothing":                    {},
		"no tags":                    {0, 0, 0, 0, 0, 0, 0, 0},
		"more tags than bytes":       {0, 0, 1, 0, 0, 0, 0, 4, 0, 0, 0, 0},
		"more data than bytes":       append([]byte{0, 0, 0, 1, 0, 0, 9, 9}, make([]byte, 20)...),
		"sizes that add up to a few": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0},
	} {
		if _, err := parseHeader(blob); err == nil {
			t.Errorf("%s was taken for a header", name)
		}
	}
	// A name that lies outside of the data, and one without an end.
	for _, off := range []byte{4, 1} {
		h, err := parseHeader([]byte{0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 3, 232, 0, 0, 0, 6, 0, 0, 0, off, 0, 0, 0, 1, 'a', 'b', 'c', 'd'})
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := h.pkg(rocky); ok || h.text(tagName) != "" {
			t.Errorf("offset %d: %q", off, h.text(tagName))
		}
	}
}

func TestSourcePackagesOfRPMAreNamedByTheirFile(t *testing.T) {
	for in, want := range map[string]string{
		"glibc-2.34-100.el9.src.rpm":             "glibc 2.34-100.el9 true",
		"java-17-openjdk-17.0.1-1.el9.nosrc.rpm": "java-17-openjdk 17.0.1-1.el9 true",
		"(none)":                                 "  false",
		"-1-2.src.rpm":                           "  false",
		"a-1.src.rpm":                            "  false",
	} {
		name, vr, ok := sourceRPM(in)
		if got := fmt.Sprint(name, " ", vr, " ", ok); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func FuzzRPMDatabase(f *testing.F) {
	data, err := os.ReadFile(rpmdb)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, []byte(nil))
	f.Add(data[:4096], []byte{0x37, 0x7f, 6, 0x82})
	f.Fuzz(func(t *testing.T, data, wal []byte) {
		readRPMs(t.Context(), bytes.NewReader(data), int64(len(data)), wal, func(h *header) {
			h.pkg(rocky)
			h.files(rocky, func(File) {})
		})
	})
}

func FuzzRPMHeader(f *testing.F) {
	data, err := os.ReadFile(rpmdb)
	if err != nil {
		f.Fatal(err)
	}
	db, err := openSQLite(bytes.NewReader(data), int64(len(data)), nil)
	if err != nil {
		f.Fatal(err)
	}
	root, err := db.table(context.Background(), "Packages")
	if err != nil {
		f.Fatal(err)
	}
	db.rows(context.Background(), root, maxHeader, func(record []byte) error {
		blob, err := column(record, 1)
		f.Add(bytes.Clone(blob))
		return err
	})
	f.Fuzz(func(t *testing.T, blob []byte) {
		h, err := parseHeader(blob)
		if err != nil {
			return
		}
		if p, ok := h.pkg(rocky); ok && (p.Name == "" || p.Version == "" || p.PURL == "") {
			t.Errorf("a package without a name: %+v", p)
		}
		h.files(rocky, func(f File) {
			if strings.HasPrefix(f.Path, "/") || strings.HasPrefix(f.Path, "../") {
				t.Errorf("a path outside: %q", f.Path)
			}
		})
	})
}
