package ledger

import (
	"io/fs"
	"path/filepath"
	"strings"
)

// sweep removes what a crash left half written.
func sweep(files FS, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || !isLeftover(filepath.ToSlash(rel)) {
			return err
		}
		return files.Remove(path)
	})
}

// isLeftover recognises files that were to be renamed: ours are in tmpDir;
// Tessera puts a random number of up to ten digits behind the name that the file
// is to get. Nothing reads either.
func isLeftover(rel string) bool {
	if strings.HasPrefix(rel, tmpDir+"/") {
		return true
	}
	rel, ok := strings.CutPrefix(rel, logName+"/")
	if !ok {
		return false
	}
	base := rel[strings.LastIndexByte(rel, '/')+1:]
	stem := strings.TrimRight(base, "0123456789")
	digits := len(base) - len(stem)
	if digits > 13 {
		return false
	}
	if strings.HasPrefix(rel, "tile/") { // "005" and "005.p/17", with a number behind
		return stem == "" && digits > 3
	}
	switch rel[:len(rel)-digits] {
	case "checkpoint", ".state/treeState", ".state/version":
		return digits > 0
	}
	return false
}
