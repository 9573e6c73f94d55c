package screen

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/dataset/record"
)

// maxCategories is how many values a column of words may have to be a feature:
// one column of 0 and 1 each. More are names, which say nothing about a label.
const maxCategories = 24

// column is what the first reading finds out about a column.
type column struct {
	name       string
	numbers    int
	categories []string // sorted; of the cells that are no numbers
	free       bool     // more than maxCategories
	from       int      // the first feature that it makes; -1: none
}

func readCSV(again func() (io.Reader, error), w *watch) (*Set, error) {
	var columns []column
	var ids []string
	label, text, id := -1, -1, -1
	delimiter := byte(',')
	var l labels
	err := rowsOf(again, w, &delimiter, func(n int, fields []string) error {
		if n == 0 {
			for _, f := range fields {
				columns = append(columns, column{name: strings.TrimSpace(f), from: -1})
			}
			if label = named(columns, labelNames[:]...); label < 0 {
				return fmt.Errorf("%w: no column is named label", ErrShape)
			}
			text, id = named(columns, "text"), named(columns, "id", "uuid", "key")
			return nil
		}
		if len(fields) != len(columns) {
			return fmt.Errorf("%w: row %d has %d fields and the header %d", ErrShape, n, len(fields), len(columns))
		}
		for c, f := range fields {
			columns[c].see(f)
		}
		if id >= 0 {
			ids = append(ids, fields[id])
		}
		return l.add(strings.TrimSpace(fields[label]))
	})
	if err != nil {
		return nil, err
	}
	if len(l.rows) == 0 {
		return nil, fmt.Errorf("%w: it has no rows", ErrShape)
	}
	s := &Set{Kind: Table, IDs: ids}
	l.into(s)
	if text >= 0 && columns[text].numbers < len(l.rows)/2 {
		s.Kind = Text
		kept := 0
		return s, rowsOf(again, w, &delimiter, func(n int, fields []string) error {
			if n == 0 {
				return nil
			}
			t := prefix(fields[text])
			if kept += len(t); kept > maxText {
				return fmt.Errorf("%w: its texts have more than %d bytes; screen it in parts", ErrShape, maxText)
			}
			s.Texts = append(s.Texts, t)
			return nil
		})
	}
	for c := range columns {
		col := &columns[c]
		if c == label || c == id || col.free && col.numbers < len(l.rows)*9/10 {
			continue
		}
		col.from = len(s.Columns)
		if col.numbers > 0 {
			s.Columns = append(s.Columns, col.name)
		}
		if !col.free && (col.numbers == 0 || len(col.categories) > 1) {
			for _, k := range col.categories {
				s.Columns = append(s.Columns, col.name+" is "+k)
			}
		} else {
			col.categories = nil
		}
	}
	if len(s.Columns) == 0 {
		return nil, fmt.Errorf("%w: no column holds numbers or categories", ErrShape)
	}
	if len(s.Columns)*len(l.rows) > maxCells {
		return nil, fmt.Errorf("%w: %d rows of %d features are more than %d numbers; screen it in parts", ErrShape, len(l.rows), len(s.Columns), maxCells)
	}
	s.Values = make([]float32, len(l.rows)*len(s.Columns))
	return s, rowsOf(again, w, &delimiter, func(n int, fields []string) error {
		if n == 0 || n > len(l.rows) {
			return nil
		}
		out := s.Values[(n-1)*len(s.Columns) : n*len(s.Columns)]
		for c := range columns {
			columns[c].put(fields[c], out)
		}
		return nil
	})
}

// rowsOf reads the rows, the header as number 0, and finds out what separates
// the fields of the header.
func rowsOf(again func() (io.Reader, error), w *watch, delimiter *byte, yield func(n int, fields []string) error) error {
	r, err := again()
	if err != nil {
		return err
	}
	n := 0
	var fields []string
	return record.CSV(r, *delimiter, func(row record.Record) error {
		if n == 0 {
			row.Bytes = bytes.TrimPrefix(row.Bytes, []byte("\ufeff"))
			for _, d := range []byte{'\t', ';'} {
				if bytes.Count(row.Bytes, []byte{d}) > bytes.Count(row.Bytes, []byte{*delimiter}) {
					*delimiter = d
				}
			}
		}
		fields = record.Fields(row.Bytes, *delimiter, fields)
		if err := w.often("reading rows", n, 0); err != nil {
			return err
		}
		n++
		return yield(n-1, fields)
	})
}

func named(columns []column, names ...string) int {
	for _, n := range names {
		if i := slices.IndexFunc(columns, func(c column) bool { return strings.EqualFold(c.name, n) }); i >= 0 {
			return i
		}
	}
	return -1
}

func (c *column) see(cell string) {
	cell = strings.TrimSpace(cell)
	if _, ok := number(cell); ok {
		c.numbers++
		return
	}
	if c.free {
		return
	}
	at, known := slices.BinarySearch(c.categories, cell)
	if known {
		return
	}
	if c.free = len(c.categories) == maxCategories || len(cell) > 256; c.free {
		c.categories = nil
		return
	}
	c.categories = slices.Insert(c.categories, at, strings.Clone(cell))
}

func (c *column) put(cell string, out []float32) {
	if c.from < 0 {
		return
	}
	cell = strings.TrimSpace(cell)
	at := c.from
	if c.numbers > 0 {
		v, ok := number(cell)
		if out[at] = v; !ok {
			out[at] = float32(math.NaN())
		}
		at++
	}
	for i, k := range c.categories {
		if k == cell {
			out[at+i] = 1
		}
	}
}

// number reads a finite number.
func number(cell string) (float32, bool) {
	v, err := strconv.ParseFloat(cell, 32)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, false
	}
	return float32(v), true
}

// prefix is the part of a text that is kept.
func prefix(text string) string {
	if len(text) > textPrefix {
		text = text[:textPrefix]
	}
	return strings.Clone(text)
}
