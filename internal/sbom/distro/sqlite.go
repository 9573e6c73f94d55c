package distro

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A reader for the rows of one table of a SQLite file ("Database File Format",
// sqlite.org/fileformat2.html), because the file is foreign. The SQL engine
// would trust its schema (views, triggers, generated columns and functions run
// as the file says), write beside it, and spend memory and time as the file
// asks; all that is needed here are records of one b-tree.

const (
	sqliteMagic = "SQLite format 3\x00"
	// maxDepth of a b-tree: with the smallest pages 2^31 pages are 16 deep.
	maxDepth = 20
	// maxPages is a database of 16 GiB in usual pages.
	maxPages = 4 << 20

	pageTableInterior = 5
	pageTableLeaf     = 13
)

var errSQLite = errors.New("the SQLite file is malformed")

// sqlite reads one file.
type sqlite struct {
	r        io.ReaderAt
	pageSize int64
	usable   int64 // bytes of a page that hold data
	pages    uint32
	// log has the newest content of pages that are not in the file yet.
	log map[uint32][]byte
	// seen has a bit for each page that a walk met: a b-tree meets it once.
	seen []uint64
}

func openSQLite(r io.ReaderAt, size int64, wal []byte) (*sqlite, error) {
	var head [100]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("%w: it has no header", errSQLite)
	}
	if !bytes.HasPrefix(head[:], []byte(sqliteMagic)) {
		return nil, errors.New("it is not a SQLite file")
	}
	db := &sqlite{r: r, pageSize: int64(binary.BigEndian.Uint16(head[16:]))}
	if db.pageSize == 1 {
		db.pageSize = 65536
	}
	if db.pageSize < 512 || db.pageSize&(db.pageSize-1) != 0 {
		return nil, fmt.Errorf("%w: pages of %d bytes", errSQLite, db.pageSize)
	}
	if db.usable = db.pageSize - int64(head[20]); db.usable < 480 {
		return nil, errSQLite
	}
	if encoding := binary.BigEndian.Uint32(head[56:]); encoding > 1 {
		return nil, fmt.Errorf("%w: its text is not UTF-8", errSQLite)
	}
	pages := size / db.pageSize
	if err := db.readLog(wal, &pages); err != nil {
		return nil, err
	}
	if pages < 1 || pages > maxPages {
		return nil, fmt.Errorf("%w: it has %d pages", errSQLite, pages)
	}
	db.pages = uint32(pages)
	return db, nil
}

// readLog reads the write-ahead log: a container whose package manager was
// stopped leaves its last changes there. Frames count up to the last commit
// whose checksums hold.
func (db *sqlite) readLog(wal []byte, pages *int64) error {
	if len(wal) < 32 {
		return nil
	}
	magic := binary.BigEndian.Uint32(wal)
	var order binary.ByteOrder = binary.LittleEndian
	switch magic {
	case 0x377f0682:
	case 0x377f0683:
		order = binary.BigEndian
	default:
		return fmt.Errorf("%w: what lies beside it as its log is none", errSQLite)
	}
	if int64(binary.BigEndian.Uint32(wal[8:])) != db.pageSize {
		return fmt.Errorf("%w: its log has other pages", errSQLite)
	}
	salt := wal[16:24]
	s0, s1 := checksum(order, 0, 0, wal[:24])
	if s0 != binary.BigEndian.Uint32(wal[24:]) || s1 != binary.BigEndian.Uint32(wal[28:]) {
		return nil // a log that was reset; SQLite ignores it too
	}
	uncommitted := map[uint32][]byte{}
	for rest := wal[32:]; int64(len(rest)) >= 24+db.pageSize; rest = rest[24+db.pageSize:] {
		frame, page := rest[:24], rest[24:24+db.pageSize]
		s0, s1 = checksum(order, s0, s1, frame[:8])
		s0, s1 = checksum(order, s0, s1, page)
		if !bytes.Equal(frame[8:16], salt) || s0 != binary.BigEndian.Uint32(frame[16:]) || s1 != binary.BigEndian.Uint32(frame[20:]) {
			break
		}
		uncommitted[binary.BigEndian.Uint32(frame)] = page
		if size := binary.BigEndian.Uint32(frame[4:]); size > 0 {
			if db.log == nil {
				db.log = map[uint32][]byte{}
			}
			for n, p := range uncommitted {
				db.log[n] = p
			}
			clear(uncommitted)
			*pages = int64(size)
		}
	}
	return nil
}

func checksum(order binary.ByteOrder, s0, s1 uint32, data []byte) (uint32, uint32) {
	for ; len(data) >= 8; data = data[8:] {
		s0 += order.Uint32(data) + s1
		s1 += order.Uint32(data[4:]) + s0
	}
	return s0, s1
}

// page reads page n, from 1.
func (db *sqlite) page(n uint32, buf []byte) ([]byte, error) {
	if n < 1 || n > db.pages {
		return nil, fmt.Errorf("%w: page %d of %d", errSQLite, n, db.pages)
	}
	if p, ok := db.log[n]; ok {
		return p[:db.usable], nil
	}
	if _, err := db.r.ReadAt(buf[:db.pageSize], int64(n-1)*db.pageSize); err != nil {
		return nil, fmt.Errorf("%w: page %d: %w", errSQLite, n, err)
	}
	return buf[:db.usable], nil
}

// visit notes that a page is part of the walk.
func (db *sqlite) visit(n uint32) error {
	if db.seen == nil {
		db.seen = make([]uint64, db.pages/64+1)
	}
	if n > db.pages || db.seen[n/64]&(1<<(n%64)) != 0 {
		return fmt.Errorf("%w: page %d is met twice", errSQLite, n)
	}
	db.seen[n/64] |= 1 << (n % 64)
	return nil
}

// table returns the root page of a table.
func (db *sqlite) table(ctx context.Context, name string) (root uint32, err error) {
	const maxSchema = 64 << 10
	err = db.rows(ctx, 1, maxSchema, func(record []byte) error {
		// CREATE TABLE sqlite_schema(type, name, tbl_name, rootpage, sql)
		kind, err := column(record, 0)
		if err != nil {
			return err
		}
		called, err := column(record, 1)
		if err != nil {
			return err
		}
		if string(kind) != "table" || !strings.EqualFold(string(called), name) {
			return nil
		}
		number, err := column(record, 3)
		if err != nil || len(number) > 4 {
			return errSQLite
		}
		if root != 0 {
			return fmt.Errorf("%w: it has the table %s twice", errSQLite, name)
		}
		for _, b := range number {
			root = root<<8 | uint32(b)
		}
		return nil
	})
	if err == nil && root == 0 {
		err = fmt.Errorf("it has no table %s, so it is no database of rpm", name)
	}
	return root, err
}

// rows yields the records of a table's b-tree, each of at most limit bytes.
// They are good until yield returns.
func (db *sqlite) rows(ctx context.Context, root uint32, limit int, yield func(record []byte) error) error {
	db.seen = nil
	w := walker{db: db, ctx: ctx, limit: limit, yield: yield}
	return w.walk(root, 0)
}

type walker struct {
	db     *sqlite
	ctx    context.Context
	limit  int
	yield  func([]byte) error
	pages  [maxDepth + 1][]byte // one for each level, reused
	record []byte               // reused
	spill  []byte               // a page of overflow
}

func (w *walker) walk(n uint32, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	if depth > maxDepth {
		return fmt.Errorf("%w: its b-tree is deeper than %d", errSQLite, maxDepth)
	}
	if err := w.db.visit(n); err != nil {
		return err
	}
	if w.pages[depth] == nil {
		w.pages[depth] = make([]byte, w.db.pageSize)
	}
	page, err := w.db.page(n, w.pages[depth])
	if err != nil {
		return err
	}
	head := page
	if n == 1 {
		head = page[100:] // the file's own header comes first
	}
	cells := int(binary.BigEndian.Uint16(head[3:]))
	switch kind := head[0]; kind {
	case pageTableInterior:
		if 12+2*cells > len(head) {
			return errSQLite
		}
		for i := range cells {
			at := int(binary.BigEndian.Uint16(head[12+2*i:]))
			if at+4 > len(page) {
				return errSQLite
			}
			if err := w.walk(binary.BigEndian.Uint32(page[at:]), depth+1); err != nil {
				return err
			}
		}
		return w.walk(binary.BigEndian.Uint32(head[8:]), depth+1)
	case pageTableLeaf:
		if 8+2*cells > len(head) {
			return errSQLite
		}
		for i := range cells {
			record, err := w.cell(page, int(binary.BigEndian.Uint16(head[8+2*i:])))
			if err != nil {
				return err
			}
			if err := w.yield(record); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("%w: page %d is of kind %d and not of a table", errSQLite, n, kind)
	}
}

// cell reads one cell of a leaf: the record's size, its row, its first bytes
// and the page on which it goes on.
func (w *walker) cell(page []byte, at int) ([]byte, error) {
	if at >= len(page) {
		return nil, errSQLite
	}
	size, n := varint(page[at:])
	if n == 0 || size > uint64(w.limit) {
		return nil, fmt.Errorf("%w: a record of %d bytes; the limit is %d", errSQLite, size, w.limit)
	}
	at += n
	if at >= len(page) {
		return nil, errSQLite
	}
	if _, n = varint(page[at:]); n == 0 {
		return nil, errSQLite
	}
	at += n
	usable := int(w.db.usable)
	local := int(size)
	if most := usable - 35; local > most {
		least := (usable-12)*32/255 - 23
		if local = least + (int(size)-least)%(usable-4); local > most {
			local = least
		}
	}
	if at+local > len(page) {
		return nil, errSQLite
	}
	if local == int(size) {
		return page[at : at+local], nil
	}
	if at+local+4 > len(page) {
		return nil, errSQLite
	}
	w.record = append(w.record[:0], page[at:at+local]...)
	for next := binary.BigEndian.Uint32(page[at+local:]); len(w.record) < int(size); {
		if err := w.db.visit(next); err != nil {
			return nil, err
		}
		if w.spill == nil {
			w.spill = make([]byte, w.db.pageSize)
		}
		over, err := w.db.page(next, w.spill)
		if err != nil {
			return nil, err
		}
		next = binary.BigEndian.Uint32(over)
		w.record = append(w.record, over[4:min(len(over), 4+int(size)-len(w.record))]...)
	}
	return w.record, nil
}

// column returns the bytes of a record's column: text and blobs as they are,
// numbers in big-endian order.
func column(record []byte, want int) ([]byte, error) {
	size, n := varint(record)
	if n == 0 || size > uint64(len(record)) || size < uint64(n) {
		return nil, errSQLite
	}
	types, body := record[n:size], record[size:]
	for i := 0; ; i++ {
		kind, n := varint(types)
		if n == 0 {
			return nil, errSQLite
		}
		types = types[n:]
		var length uint64
		switch {
		case kind <= 4:
			length = kind
		case kind == 5:
			length = 6
		case kind == 6, kind == 7:
			length = 8
		case kind >= 12:
			length = (kind - 12) / 2
		}
		if length > uint64(len(body)) {
			return nil, errSQLite
		}
		if i == want {
			return body[:length], nil
		}
		body = body[length:]
	}
}

// varint reads a number of one to nine bytes; n is 0 when there is none.
func varint(b []byte) (v uint64, n int) {
	for i := 0; i < len(b) && i < 9; i++ {
		if i == 8 {
			return v<<8 | uint64(b[8]), 9
		}
		v = v<<7 | uint64(b[i]&0x7f)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}
