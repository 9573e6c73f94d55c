package dataset

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/dataset/record"
)

// reading is one file while its records are read.
type reading struct {
	*maker
	file   *File
	tree   tree
	header []byte
}

func (r *reading) add(h hash, offset, length int64, id string) error {
	r.tree.add(h)
	r.file.Records++
	return r.index.add(h, offset, length, id)
}

// The fields that name a record, its label, where it is from, and its text; the
// first one that is there counts.
var (
	idFields     = []string{"id", "uuid", "key", "name"}
	labelFields  = []string{"label", "labels", "class", "target", "y"}
	sourceFields = []string{"source", "origin", "dataset"}
)

func (r *reading) jsonl(stream io.Reader) error {
	n := int64(0)
	return record.JSONL(stream, func(rec record.Record) error {
		n++
		if err := r.ctx.Err(); err != nil {
			return err
		}
		o := fields{}
		if err := o.parse(rec.Bytes); err != nil {
			r.findings.add("dataset.record", r.file.Path, "line "+strconv.FormatInt(n, 10), "the line is no JSON object")
		}
		r.stats.add(&o.row)
		return r.add(leafHash(rec.Bytes), rec.Offset, int64(len(rec.Bytes)), o.id)
	})
}

// fields are what is read of a line for ids and statistics.
type fields struct {
	row
	id string
}

func (o *fields) parse(data []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	first := func(names []string) (string, bool) {
		for _, n := range names {
			if v, ok := all[n]; ok {
				if s, ok := scalar(v); ok {
					return s, true
				}
			}
		}
		return "", false
	}
	o.id, _ = first(idFields)
	o.label, o.labelled = first(labelFields)
	o.source, _ = first(sourceFields)
	// What is left is the content: in the order of the names, for objects that
	// differ only in the order of their fields say the same.
	names := make([]string, 0, len(all))
	for n := range all {
		if !slices.Contains(idFields, n) && !slices.Contains(labelFields, n) && !slices.Contains(sourceFields, n) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var content bytes.Buffer
	for _, n := range names {
		content.WriteString(n)
		content.WriteByte(0)
		content.Write(all[n])
		content.WriteByte(0)
		var s string
		if len(all[n]) > len(o.text) && all[n][0] == '"' && json.Unmarshal(all[n], &s) == nil {
			o.text = s
		}
	}
	o.content = content.Bytes()
	return nil
}

func scalar(v json.RawMessage) (string, bool) {
	var s string
	if json.Unmarshal(v, &s) == nil && string(v) != "null" {
		return s, true
	}
	if len(v) == 0 || v[0] == '{' || v[0] == '[' || string(v) == "null" {
		return "", false
	}
	return string(v), true
}

func (r *reading) csv(stream io.Reader) error {
	delimiter := byte(',')
	if strings.HasSuffix(strings.ToLower(r.file.Path), ".tsv") {
		delimiter = '\t'
	}
	id, label, source := -1, -1, -1
	var cells []string
	n := int64(0)
	return record.CSV(stream, delimiter, func(rec record.Record) error {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		cells = record.Fields(rec.Bytes, delimiter, cells)
		if r.header == nil {
			r.header = bytes.Clone(rec.Bytes)
			id, label, source = columnOf(cells, idFields), columnOf(cells, labelFields), columnOf(cells, sourceFields)
			return nil
		}
		n++
		var o fields
		var content bytes.Buffer
		for i, c := range cells {
			if formula(c) {
				r.findings.add("dataset.csv.formula", r.file.Path, "row "+strconv.FormatInt(n, 10), "a spreadsheet would run the cell "+strconv.QuoteToASCII(c[:min(len(c), 40)]))
			}
			switch i {
			case id:
				o.id = c
			case label:
				o.label, o.labelled = c, true
			case source:
				o.source = c
			default:
				content.WriteString(c)
				content.WriteByte(0)
				if len(c) > len(o.text) {
					o.text = c
				}
			}
		}
		o.content = content.Bytes()
		r.stats.add(&o.row)
		return r.add(leafHash(rec.Bytes), rec.Offset, int64(len(rec.Bytes)), o.id)
	})
}

func columnOf(cells, names []string) int {
	for _, n := range names {
		if i := slices.IndexFunc(cells, func(c string) bool { return strings.EqualFold(strings.TrimSpace(c), n) }); i >= 0 {
			return i
		}
	}
	return -1
}

func (r *reading) tar(stream io.Reader) error {
	return record.Tar(stream, func(s *record.Sample) error {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		length := int64(0)
		for _, m := range s.Members {
			length += m.Size
			r.findings.member(r.file.Path, m)
		}
		r.stats.add(&row{content: s.Digest[:0]})
		return r.add(leafHash(s.Digest[:]), s.Offset, length, s.Key)
	})
}

func (r *reading) parquet(f io.ReaderAt, size int64) error {
	schema, err := record.Parquet(f, size, func(g *record.RowGroup) error {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		r.file.Rows += g.Rows
		return r.add(leafHash(g.Digest[:]), g.Offset, g.Size, "")
	})
	r.header = schema
	return err
}

// head looks whether a file of no known kind is a pickle.
func (r *reading) head(f io.ReaderAt) {
	var b [2]byte
	if n, _ := f.ReadAt(b[:], 0); n == 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5 {
		r.findings.add("dataset.pickle", r.file.Path, "", "it begins as a pickle, which runs code when it is loaded")
	}
}
