package distro

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

// Tags of rpm's header (rpm.org, "RPM tags").
const (
	tagName           = 1000
	tagVersion        = 1001
	tagRelease        = 1002
	tagEpoch          = 1003
	tagLicense        = 1014
	tagArch           = 1022
	tagFileModes      = 1030
	tagFileDigests    = 1035
	tagFileFlags      = 1037
	tagSourceRPM      = 1044
	tagDirIndexes     = 1116
	tagBaseNames      = 1117
	tagDirNames       = 1118
	tagFileDigestAlgo = 5011
)

// Types of their values.
const (
	typeInt16       = 3
	typeInt32       = 4
	typeString      = 6
	typeStringArray = 8
	typeI18NString  = 9
)

// Flags of files (rpmfileAttrs).
const (
	fileConfig = 1 << 0
	fileDoc    = 1 << 1
	fileGhost  = 1 << 6
)

const (
	// maxHeader is one package's header; the kernel's with its modules has 3 MB.
	maxHeader = 32 << 20
	// maxTags of one header; there are about 100.
	maxTags = 4096
	// maxHeaderFiles of one package.
	maxHeaderFiles = 1_000_000
)

var errHeader = errors.New("the header of a package is malformed")

func wantsRPM(name string, _ fs.FileMode, size int64) bool {
	for _, dir := range rpmFolders {
		if rest, ok := strings.CutPrefix(name, dir); ok {
			return size > 0 && (rest == rpmSQLite || rest == rpmBDB || rest == rpmNDB)
		}
	}
	return false
}

func extractRPM(ctx context.Context, f *extract.File, add func(fact.Package)) error {
	switch path.Base(f.Path) {
	case rpmBDB:
		return errors.New("it is a Berkeley DB, which cannot be read here; \"rpmdb --rebuilddb\" of rpm 4.16 or newer makes it one of SQLite")
	case rpmNDB:
		return errors.New("it is rpm's own format ndb, which cannot be read here; set %_db_backend to sqlite and run \"rpmdb --rebuilddb\"")
	}
	r, err := f.At()
	if err != nil {
		return err
	}
	defer r.Close()
	wal, err := walBeside(f.Tree, f.Path)
	if err != nil {
		return err
	}
	d := f.Tree.Distribution()
	broken := 0
	err = readRPMs(ctx, r, f.Size, wal, func(h *header) {
		p, ok := h.pkg(d)
		switch {
		case !ok:
			broken++
		case p.Name != "gpg-pubkey": // a key that rpm keeps as if it were a package
			add(p)
		}
	})
	if err == nil && broken > 0 {
		err = fmt.Errorf("%d packages have headers that cannot be read", broken)
	}
	return err
}

// walBeside returns SQLite's write-ahead log of the database; nil: none.
func walBeside(t extract.Tree, name string) ([]byte, error) {
	data, err := t.Read(name+logSuffix, extract.MaxText)
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("its log, which may hold its last changes: %w", err)
	}
	return data, nil
}

// readRPMs yields the packages' headers of an rpmdb.sqlite.
func readRPMs(ctx context.Context, r io.ReaderAt, size int64, wal []byte, yield func(*header)) error {
	db, err := openSQLite(r, size, wal)
	if err != nil {
		return err
	}
	root, err := db.table(ctx, "Packages")
	if err != nil {
		return err
	}
	rows := 0
	// CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)
	return db.rows(ctx, root, maxHeader, func(record []byte) error {
		if rows++; rows > maxRows {
			return errRows
		}
		blob, err := column(record, 1)
		if err != nil {
			return err
		}
		h, err := parseHeader(blob)
		if err != nil {
			h = &header{} // counted as one that cannot be read
		}
		yield(h)
		return nil
	})
}

// header is one package: its tags, not yet read.
type header struct {
	index []byte // entries of 16 bytes: tag, type, offset, count
	data  []byte
}

// parseHeader reads a header as the database holds it: without the magic
// number of files.
func parseHeader(b []byte) (*header, error) {
	if len(b) < 8 {
		return nil, errHeader
	}
	n, size := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if n == 0 || n > maxTags || size > maxHeader || uint64(len(b)) < 8+16*uint64(n)+uint64(size) {
		return nil, errHeader
	}
	return &header{b[8 : 8+16*n], b[8+16*n:][:size]}, nil
}

// find returns what a tag's values begin at, and how many there are.
func (h *header) find(tag uint32) (kind, count uint32, data []byte) {
	for e := h.index; len(e) >= 16; e = e[16:] {
		if binary.BigEndian.Uint32(e) != tag {
			continue
		}
		off := binary.BigEndian.Uint32(e[8:])
		if int64(off) >= int64(len(h.data)) {
			return 0, 0, nil
		}
		return binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[12:]), h.data[off:]
	}
	return 0, 0, nil
}

// text returns a string, "" when there is none.
func (h *header) text(tag uint32) string {
	kind, _, data := h.find(tag)
	if kind != typeString && kind != typeI18NString && kind != typeStringArray {
		return ""
	}
	s, _, ok := cutNUL(data)
	if !ok {
		return ""
	}
	return field(s)
}

func cutNUL(data []byte) (string, []byte, bool) {
	for i, c := range data {
		if c == 0 {
			return string(data[:i]), data[i+1:], true
		}
	}
	return "", nil, false
}

// texts returns a list of strings; nil when it is not whole.
func (h *header) texts(tag uint32) []string {
	kind, count, data := h.find(tag)
	if kind != typeStringArray || count > maxHeaderFiles || int64(count) > int64(len(data)) {
		return nil
	}
	out := make([]string, 0, count)
	for range count {
		s, rest, ok := cutNUL(data)
		if !ok {
			return nil
		}
		out, data = append(out, s), rest
	}
	return out
}

// numbers returns a list of numbers; nil when it is not whole.
func (h *header) numbers(tag uint32) []uint32 {
	kind, count, data := h.find(tag)
	width := map[uint32]int{typeInt16: 2, typeInt32: 4}[kind]
	if width == 0 || count > maxHeaderFiles || int64(count)*int64(width) > int64(len(data)) {
		return nil
	}
	out := make([]uint32, count)
	for i := range out {
		if width == 2 {
			out[i] = uint32(binary.BigEndian.Uint16(data[2*i:]))
		} else {
			out[i] = binary.BigEndian.Uint32(data[4*i:])
		}
	}
	return out
}

// epoch returns the epoch as text; "" when there is none or it is 0, which
// compare the same.
func (h *header) epoch() string {
	if e := h.numbers(tagEpoch); len(e) > 0 && e[0] != 0 {
		return fmt.Sprint(e[0])
	}
	return ""
}

func (h *header) pkg(d fact.Distribution) (fact.Package, bool) {
	name, version, release := h.text(tagName), h.text(tagVersion), h.text(tagRelease)
	if name == "" || version == "" || release == "" {
		return fact.Package{}, false
	}
	evr := func(vr string) string {
		if e := h.epoch(); e != "" {
			return e + ":" + vr
		}
		return vr
	}
	p := fact.Package{
		Ecosystem: Ecosystem(d, "rpm"), Name: name, Version: evr(version + "-" + release), Arch: h.text(tagArch), State: fact.Installed,
		PURL: h.purl(d),
	}
	if l := h.text(tagLicense); l != "" {
		p.Licenses = []string{l}
	}
	if source, vr, ok := sourceRPM(h.text(tagSourceRPM)); ok && (source != name || evr(vr) != p.Version) {
		p.SourceName, p.SourceVersion = source, evr(vr)
	}
	return p, true
}

func (h *header) purl(d fact.Distribution) string {
	return purl("rpm", d, h.text(tagName), h.text(tagVersion)+"-"+h.text(tagRelease), h.text(tagArch), h.epoch())
}

// sourceRPM takes "glibc-2.34-100.el9.src.rpm" apart.
func sourceRPM(s string) (name, versionRelease string, ok bool) {
	s, ok = strings.CutSuffix(s, ".rpm")
	if !ok {
		return "", "", false
	}
	s = strings.TrimSuffix(strings.TrimSuffix(s, ".src"), ".nosrc")
	release := strings.LastIndexByte(s, '-')
	if release <= 0 {
		return "", "", false
	}
	version := strings.LastIndexByte(s[:release], '-')
	if version <= 0 {
		return "", "", false
	}
	return s[:version], s[version+1:], true
}

// files yields the package's files.
func (h *header) files(d fact.Distribution, yield func(File)) error {
	names, dirs, at := h.texts(tagBaseNames), h.texts(tagDirNames), h.numbers(tagDirIndexes)
	if len(names) == 0 {
		return nil
	}
	if len(at) != len(names) {
		return errHeader
	}
	sums, modes, flags := h.texts(tagFileDigests), h.numbers(tagFileModes), h.numbers(tagFileFlags)
	// Without the tag it is MD5; the numbers are those of OpenPGP (RFC 9580 section 9.5).
	algorithm := "md5"
	if a := h.numbers(tagFileDigestAlgo); len(a) > 0 {
		algorithm = map[uint32]string{1: "md5", 2: "sha1", 8: "sha256", 9: "sha384", 10: "sha512"}[a[0]]
	}
	id := h.purl(d)
	for i, name := range names {
		if int64(at[i]) >= int64(len(dirs)) {
			return errHeader
		}
		f := File{Path: inTree(dirs[at[i]] + name), Package: id}
		const typeMask, folder = 0o170000, 0o040000
		if i < len(modes) && modes[i]&typeMask == folder {
			continue
		}
		if i < len(flags) {
			if flags[i]&fileGhost != 0 {
				continue
			}
			f.Config, f.Optional = flags[i]&fileConfig != 0, flags[i]&fileDoc != 0
		}
		f.Optional = f.Optional || optional(f.Path)
		if i < len(sums) && sums[i] != "" && algorithm != "" {
			f.Algorithm, f.Sum = algorithm, strings.ToLower(sums[i])
		}
		yield(f)
	}
	return nil
}

func rpmFiles(ctx context.Context, t extract.Tree, yield func(File)) error {
	parts, ok := t.(tree)
	if !ok {
		return nil
	}
	d := t.Distribution()
	var problems []error
	for _, dir := range rpmFolders {
		r, size, err := parts.OpenAt(dir + rpmSQLite)
		if absent(err) {
			continue
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		wal, err := walBeside(t, dir+rpmSQLite)
		if err == nil {
			err = readRPMs(ctx, r, size, wal, func(h *header) {
				if err := h.files(d, yield); err != nil {
					problems = append(problems, fmt.Errorf("%s: %w", h.text(tagName), err))
				}
			})
		}
		r.Close()
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", dir+rpmSQLite, err))
		}
		break // the other places are links to this one
	}
	return errors.Join(problems...)
}
