package node

import (
	"fmt"
	"io/fs"
	"strconv"

	"github.com/apexlogic/apex/internal/bounded"
)

// ReadFile reads a regular file of at most limit bytes. A tree that must not be
// left is handed in as one that refuses it ([os.Root]).
func ReadFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("%s is outside of the folder that is read", strconv.Quote(clip(name)))
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	data, err := bounded.ReadAll(f, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

func itoa(i int) string { return strconv.Itoa(i) }
