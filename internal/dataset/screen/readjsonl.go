package screen

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/apexlogic/apex/internal/dataset/record"
)

// line is what is read of an object of JSONL.
type line struct {
	label    string
	text     *string
	image    json.RawMessage
	features []float32
	id       string

	width, height int
}

func readJSONL(again func() (io.Reader, error), beside fs.FS, w *watch) (*Set, error) {
	r, err := again()
	if err != nil {
		return nil, err
	}
	total := 0 // how large pictures may be depends on how many there are
	if err := record.JSONL(r, func(record.Record) error { total++; return w.ctx.Err() }); err != nil {
		return nil, err
	}
	if r, err = again(); err != nil {
		return nil, err
	}
	s := &Set{}
	var l labels
	a := album{want: total}
	kept, n := 0, 0
	err = record.JSONL(r, func(row record.Record) error {
		if err := w.often("reading rows", n, total); err != nil {
			return err
		}
		n++
		o, err := parseLine(row.Bytes)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		kind := Table
		switch {
		case len(o.image) > 0:
			kind = Image
		case o.text != nil:
			kind = Text
		}
		if s.Kind == "" {
			s.Kind = kind
		}
		if s.Kind != kind {
			return fmt.Errorf("%w: line %d is of kind %s, and the lines before it of kind %s", ErrShape, n, kind, s.Kind)
		}
		switch kind {
		case Text:
			t := prefix(*o.text)
			if kept += len(t); kept > maxText {
				return fmt.Errorf("%w: its texts have more than %d bytes; screen it in parts", ErrShape, maxText)
			}
			s.Texts = append(s.Texts, t)
		case Image:
			p, err := o.picture(beside)
			if err == nil {
				err = a.add(p)
			}
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		case Table:
			if n == 1 {
				for i := range o.features {
					s.Columns = append(s.Columns, fmt.Sprintf("f%d", i))
				}
			}
			if len(o.features) == 0 || len(o.features) != len(s.Columns) {
				return fmt.Errorf("%w: line %d has neither text, image nor the features of the first line", ErrShape, n)
			}
			if len(s.Values)+len(o.features) > maxCells {
				return fmt.Errorf("%w: it has more than %d numbers; screen it in parts", ErrShape, maxCells)
			}
			s.Values = append(s.Values, o.features...)
		}
		if o.id != "" && len(s.IDs) == n-1 {
			s.IDs = append(s.IDs, o.id)
		}
		return l.add(o.label)
	})
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: it has no rows", ErrShape)
	}
	if len(s.IDs) != n {
		s.IDs = nil
	}
	l.into(s)
	if s.Kind == Image {
		a.into(s)
	}
	return s, nil
}

// parseLine reads one object. A label may be a text, a number or a boolean.
func parseLine(data []byte) (*line, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrShape, err)
	}
	o := &line{}
	found := false
	for _, name := range labelNames {
		if v, ok := raw[name]; ok {
			o.label, found = scalar(v)
			break
		}
	}
	if !found {
		return nil, fmt.Errorf(`%w: it has no "label" that is a text, a number or a boolean`, ErrShape)
	}
	for _, name := range []string{"id", "uuid", "key"} {
		if v, ok := raw[name]; ok && o.id == "" {
			o.id, _ = scalar(v)
		}
	}
	for _, name := range []string{"image", "rgb", "pixels"} {
		if v, ok := raw[name]; ok && string(v) != "null" {
			o.image = v
			break
		}
	}
	for _, name := range []string{"features", "embedding", "x"} {
		if v, ok := raw[name]; ok && o.features == nil {
			if err := json.Unmarshal(v, &o.features); err != nil {
				return nil, fmt.Errorf("%w: %s: %v", ErrShape, name, err)
			}
		}
	}
	if v, ok := raw["text"]; ok {
		if err := json.Unmarshal(v, &o.text); err != nil {
			return nil, fmt.Errorf("%w: text: %v", ErrShape, err)
		}
	}
	for name, to := range map[string]*int{"width": &o.width, "height": &o.height} {
		if v, ok := raw[name]; ok {
			if err := json.Unmarshal(v, to); err != nil {
				return nil, fmt.Errorf("%w: %s: %v", ErrShape, name, err)
			}
		}
	}
	return o, nil
}

func scalar(v json.RawMessage) (string, bool) {
	text := strings.TrimSpace(string(v))
	if text == "" || text[0] == '{' || text[0] == '[' {
		return "", false
	}
	var s string
	if json.Unmarshal(v, &s) == nil && text != "null" {
		return s, true
	}
	return text, text != "null"
}

// picture finds the pixels of a line.
func (o *line) picture(beside fs.FS) (*picture, error) {
	var text string
	if json.Unmarshal(o.image, &text) != nil {
		return nestedPixels(o.image)
	}
	if rest, ok := strings.CutPrefix(text, "data:"); ok {
		_, text, _ = strings.Cut(rest, ",")
	}
	data, err := fromBase64(text)
	if err != nil {
		if !fs.ValidPath(text) || len(text) > 1024 {
			return nil, fmt.Errorf("%w: the image is neither base64 nor a path beside the file", ErrShape)
		}
		if data, err = readPicture(beside, text); err != nil {
			return nil, err
		}
	} else if !recognised(data) && fs.ValidPath(text) && len(text) < 256 {
		// A short path can be valid base64 as well.
		if file, ferr := readPicture(beside, text); ferr == nil {
			data = file
		} else if !errors.Is(ferr, fs.ErrNotExist) {
			return nil, ferr
		}
	}
	return decode(data, o.width, o.height)
}
