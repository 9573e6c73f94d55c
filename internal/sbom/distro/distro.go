// Package distro reads the package databases of Linux distributions: dpkg, apk
// and rpm, and who owns which file.
//
// Start with [Extractors], which find packages; [Of] says which distribution a
// tree is, [Owners] which packages brought files, and [Files] what their
// databases recorded of them, to compare with. Each kind of database has a file
// of its own here.
//
// Sources: deb822(5), dpkg(1) and dpkg-query(1), the layout of distroless
// images (status.d), the apk-tools database format v2 (apk-package(5)), rpm's
// header format (rpm.org, "RPM v4 package format") and SQLite's file format,
// os-release(5), and the list of ecosystems of the OSV schema.
package distro

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

// The places of the databases, in trees where no folder of them is a link.
const (
	dpkgStatus  = "var/lib/dpkg/status"
	dpkgStatusD = "var/lib/dpkg/status.d/"
	dpkgInfo    = "var/lib/dpkg/info/"
	apkOld      = "lib/apk/db/installed"
	apkNew      = "usr/lib/apk/db/installed"
)

// rpmFolders are where rpm keeps its database.
var rpmFolders = [...]string{"var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/"}

const (
	rpmSQLite = "rpmdb.sqlite"
	rpmBDB    = "Packages"
	rpmNDB    = "Packages.db"

	logSuffix = "-wal"
)

// Extractors returns the extractors of the package, by name: dpkg, apk, rpm.
func Extractors() []extract.Extractor {
	return []extract.Extractor{
		{Name: "dpkg", Wants: wantsDpkg, Extract: extractDpkg},
		{Name: "apk", Wants: wantsApk, Extract: extractApk},
		{Name: "rpm", Wants: wantsRPM, Extract: extractRPM},
	}
}

// Databases returns the paths of single files that list all packages of a
// distribution.
func Databases() []string {
	out := []string{dpkgStatus, apkOld, apkNew}
	for _, dir := range rpmFolders {
		out = append(out, dir+rpmSQLite, dir+rpmNDB, dir+rpmBDB)
	}
	return out
}

// IsDatabase reports whether the extractors of the package read the path.
func IsDatabase(path string) bool {
	return wantsDpkg(path, 0, 1) || wantsApk(path, 0, 1) || wantsRPM(path, 0, 1)
}

// Beside reports whether the package reads the file through the tree.
func Beside(path string) bool {
	switch path {
	case etcRelease, usrRelease, alpineRelease, debianVersion, diversions:
		return true
	}
	if name, ok := strings.CutPrefix(path, dpkgInfo); ok {
		return strings.HasSuffix(name, ".list") || strings.HasSuffix(name, ".md5sums")
	}
	return strings.HasPrefix(path, dpkgStatusD) || strings.HasSuffix(path, "/"+rpmSQLite+logSuffix)
}

// Log returns the path of the file that holds the last changes of the database,
// "" for one that has none: a layer may change that file alone.
func Log(database string) string {
	if strings.HasSuffix(database, "/"+rpmSQLite) {
		return database + logSuffix
	}
	return ""
}

// tree is what the package needs of a tree beyond [extract.Tree]: databases of
// rpm are read in parts.
type tree interface {
	extract.Tree
	OpenAt(path string) (extract.ReaderAtCloser, int64, error)
}

// absent reports whether the error says that a file is not there.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// vendor is how a distribution is called in package URLs.
func vendor(d fact.Distribution, kind string) string {
	if d.ID != "" {
		return d.ID
	}
	switch kind {
	case "deb":
		return "debian"
	case "apk":
		return "alpine"
	}
	return ""
}
