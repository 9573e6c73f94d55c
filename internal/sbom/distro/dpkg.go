package distro

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

const (
	// maxLine of a database. Dependencies of the largest packages take 20 KB;
	// longer lines are skipped, unless they are what is looked for.
	maxLine = 1 << 20
	// maxRows is how many packages one database lists; a full archive of Debian
	// has 70,000.
	maxRows = 200_000
)

var errRows = fmt.Errorf("the database lists more than %d packages", maxRows)

func wantsDpkg(path string, _ fs.FileMode, size int64) bool {
	if path == dpkgStatus {
		return true
	}
	name, ok := strings.CutPrefix(path, dpkgStatusD)
	return ok && size > 0 && !strings.HasSuffix(name, ".md5sums") && !strings.Contains(name, "/")
}

// deb is a paragraph of dpkg's database.
type deb struct {
	name, status, version, arch, source string
}

// installed reports whether the package's files are unpacked, configured or not
// (dpkg-query(1), package states).
func (d *deb) installed() bool {
	words := strings.Fields(d.status)
	if len(words) == 0 {
		return true // status.d has none: a paragraph is there as long as the package
	}
	switch words[len(words)-1] {
	case "not-installed", "config-files":
		return false
	}
	return true
}

func extractDpkg(ctx context.Context, f *extract.File, add func(fact.Package)) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	d := f.Tree.Distribution()
	return readDpkg(ctx, r, func(p *deb) { add(p.pkg(d)) })
}

// readDpkg yields the installed packages of a status file.
func readDpkg(ctx context.Context, r io.Reader, yield func(*deb)) error {
	var p deb
	rows, broken := 0, 0
	flush := func() error {
		defer func() { p = deb{} }()
		if p == (deb{}) || !p.installed() {
			return nil
		}
		if p.name == "" || p.version == "" {
			broken++
			return nil
		}
		if rows++; rows > maxRows {
			return errRows
		}
		if rows%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		yield(&p)
		return nil
	}
	err := eachLine(r, extract.MaxText, func(line []byte) error {
		if len(line) == 0 {
			return flush()
		}
		if line[0] == ' ' || line[0] == '\t' {
			return nil // goes on with a field that has several lines
		}
		key, value, ok := strings.Cut(string(line[:min(len(line), maxField*2)]), ":")
		if !ok {
			return nil
		}
		var at *string
		switch {
		case strings.EqualFold(key, "Package"):
			at = &p.name
		case strings.EqualFold(key, "Status"):
			at = &p.status
		case strings.EqualFold(key, "Version"):
			at = &p.version
		case strings.EqualFold(key, "Architecture"):
			at = &p.arch
		case strings.EqualFold(key, "Source"):
			at = &p.source
		default:
			return nil
		}
		*at = field(value)
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil && broken > 0 {
		err = fmt.Errorf("%d paragraphs of installed packages lack a name or a version", broken)
	}
	return err
}

// pkg is the package as the inventory has it.
func (p *deb) pkg(d fact.Distribution) fact.Package {
	out := fact.Package{
		Ecosystem: Ecosystem(d, "deb"), Name: p.name, Version: p.version, Arch: p.arch, State: fact.Installed,
		PURL: purl("deb", d, p.name, p.version, p.arch, ""),
	}
	// "Source: glibc (2.36-9)"; the version is left out where it is the same.
	source, version, _ := strings.Cut(p.source, " ")
	version = strings.Trim(strings.TrimSpace(version), "()")
	if source == "" {
		source = p.name
	}
	if version == "" {
		version = p.version
	}
	if source != p.name || version != p.version {
		out.SourceName, out.SourceVersion = source, version
	}
	return out
}

// Forgotten finds, among the packages at the indexes in gone, those that dpkg's
// database at the path no longer has any paragraph about while the list of
// their files is still there. dpkg itself keeps a paragraph, or deletes the list
// when it purges the package: somebody shortened the database. now is what the
// database lists.
func Forgotten(t extract.Tree, path string, all []fact.Package, gone []int, now []fact.Package) map[int]bool {
	if path != dpkgStatus || len(gone) == 0 {
		return nil
	}
	names, err := t.List(strings.TrimSuffix(dpkgInfo, "/"))
	if err != nil {
		return nil
	}
	listed := make(map[string]bool, len(names))
	for _, name := range names {
		if stem, ok := strings.CutSuffix(name, ".list"); ok {
			listed[stem] = true
		}
	}
	upgraded := make(map[string]bool, len(now))
	for i := range now {
		upgraded[now[i].Name] = true
	}
	var status []byte
	out := map[int]bool{}
	for _, at := range gone {
		p := &all[at]
		if upgraded[p.Name] || !listed[p.Name] && !listed[p.Name+":"+p.Arch] {
			continue
		}
		if status == nil {
			if status, err = t.Read(dpkgStatus, extract.MaxText); err != nil {
				return nil
			}
			status = append([]byte{'\n'}, status...)
		}
		if !bytes.Contains(status, []byte("\nPackage: "+p.Name+"\n")) {
			out[at] = true
		}
	}
	return out
}

// eachLine yields the lines of r without their ends; of a line longer than
// maxLine only its beginning. More than limit bytes are an error.
func eachLine(r io.Reader, limit int64, do func(line []byte) error) error {
	in := bufio.NewReaderSize(&capped{r, limit}, 64<<10)
	var long []byte
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line[:min(len(line), maxLine-len(long))]...)
			continue
		}
		if err != nil && err != io.EOF {
			return err
		}
		if len(long) > 0 {
			line = append(long, line[:min(len(line), maxLine-len(long))]...)
			long = long[:0]
		}
		if len(line) > 0 || err == nil {
			if err := do(trimEnd(line)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func trimEnd(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}

// capped fails where more than left bytes are read.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, bounded.ErrTooLarge
	}
	return n, err
}
