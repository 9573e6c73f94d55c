package ledger

import (
	"io/fs"
	"path/filepath"
	"strings"
)

// settle makes a directory whose last holder was killed, or failed, fit to be
// built on. A name that is there need not be on the disk: the holder may have
// ended between making it and syncing the directory. Whoever goes by such a name
// (a segment to append to, a key to sign with) would lose it, and what came
// after it, when the power goes.
func settle(files FS, dir string) error {
	if err := sweep(files, dir); err != nil {
		return err
	}
	if err := files.SyncDir(filepath.Join(dir, segmentsName)); err != nil {
		return err
	}
	return files.SyncDir(dir)
}

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
		if err := files.Remove(path); err != nil && !isNotExist(err) {
			return err
		}
		return nil
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
