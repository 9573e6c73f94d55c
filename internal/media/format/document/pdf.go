package document

import (
	"bytes"
	"io"
	"strconv"

	"github.com/klauspost/compress/zlib"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

const (
	// pdfName bounds a name (ISO 32000-1 annex C).
	pdfName = 127
	// pdfDictionary is how far around a key its dictionary is looked for.
	pdfDictionary = 64 << 10
	// pdfLooks bounds how often that is done.
	pdfLooks = 512
	// pdfStreams bounds how many streams of objects are unfolded, and pdfStream
	// each of them: writers put some hundred objects in one.
	pdfStreams = 4096
	pdfStream  = 16 << 20
	// pdfOpens is how many actions on opening are looked at: there is one.
	pdfOpens = 16
)

// pdfActs are the names of what a viewer runs or unpacks. They are looked for
// in all bytes of the file, those of streams and strings too: readers find
// objects by their offsets, which may lead anywhere.
var pdfActs = map[string]media.Carries{
	"JavaScript": media.Script, "Launch": media.Script, "SubmitForm": media.Script, "ImportData": media.Script,
	"Rendition": media.Script, "XFA": media.Script, "RichMedia": media.Script | media.Attachment, "RichMediaExecute": media.Script,
	"GoToE": media.Script, "EmbeddedFile": media.Attachment, "EmbeddedFiles": media.Attachment, "FileAttachment": media.Attachment,
	"Author": media.Personal, "Thumb": media.Thumbnail,
}

// pdf is the walk of one file.
type pdf struct {
	*format.Reader
	part  *media.Part
	data  []byte
	pages int // objects
	count int // what the largest page tree declares
	looks int
	opens int
}

func walkPDF(r *format.Reader, p *media.Part) error {
	data, err := r.All()
	if err != nil {
		return err
	}
	w := &pdf{Reader: r, part: p, data: data}
	if err := w.frame(); err != nil {
		return err
	}
	if err := w.names(data); err != nil {
		return err
	}
	if err := w.streams(); err != nil {
		return err
	}
	if bytes.Contains(data, []byte("<dc:creator")) {
		p.Carries |= media.Personal
	}
	if w.pages == 0 && w.count == 0 {
		return r.Malformed("the document has no pages")
	}
	return r.Paged(p, max(w.pages, w.count))
}

// frame checks what stands first and last.
func (w *pdf) frame() error {
	d := w.data
	if len(d) < 8 || d[6] != '.' || (d[5] != '1' || d[7] < '0' || d[7] > '7') && (d[5] != '2' || d[7] != '0') {
		return w.Malformed("the header is not one of PDF")
	}
	end := bytes.LastIndex(d, []byte("%%EOF"))
	if end < 0 {
		return w.Malformed("the document is cut off: its end is not marked")
	}
	if behind := bytes.Trim(d[end+5:], "\r\n \t"); len(behind) > 0 {
		return w.Polyglot("the content goes on after its end at byte %d", end+5)
	}
	// startxref, an offset, %%EOF (section 7.5.5).
	start := bytes.LastIndex(d[:end], []byte("startxref"))
	if start < 0 {
		return w.Malformed("the document does not say where its table is")
	}
	at, err := strconv.Atoi(string(bytes.Trim(d[start+9:end], "\r\n \t")))
	if err != nil || at <= 0 || at >= start {
		return w.Malformed("the document's table does not lie in it")
	}
	at += len(d[at:]) - len(bytes.TrimLeft(d[at:], "\r\n \t"))
	table := d[at:min(at+32, len(d))]
	if !bytes.HasPrefix(table, []byte("xref")) && !bytes.Contains(table, []byte("obj")) {
		return w.Malformed("where the document's table should be stands something else")
	}
	return nil
}

// nameAt reads the name behind a slash, with its escapes (section 7.3.5).
func nameAt(d []byte, out []byte) (name []byte, n int) {
	for n < len(d) && len(out) < pdfName {
		c := d[n]
		if c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte("()<>[]{}/%"), c) >= 0 {
			break
		}
		if c == '#' && n+2 < len(d) {
			if v, err := strconv.ParseUint(string(d[n+1:n+3]), 16, 8); err == nil {
				c = byte(v)
				n += 2
			}
		}
		out = append(out, c)
		n++
	}
	return out, n
}

// names notes what all names in these bytes say.
func (w *pdf) names(d []byte) error {
	var buf [pdfName]byte
	for at := 0; ; {
		i := bytes.IndexByte(d[at:], '/')
		if i < 0 {
			return nil
		}
		at += i + 1
		name, n := nameAt(d[at:], buf[:0])
		if len(name) < 3 || len(name) > 16 {
			continue
		}
		w.part.Carries |= pdfActs[string(name)]
		switch string(name) {
		case "Encrypt":
			return w.Opaque("the document is encrypted")
		case "Type":
			kind := bytes.TrimLeft(d[at+n:min(len(d), at+n+64)], "\r\n \t\f\x00")
			if len(kind) > 0 && kind[0] == '/' {
				if kind, _ := nameAt(kind[1:], make([]byte, 0, 16)); string(kind) == "Page" {
					w.pages++
				}
			}
		case "Count":
			if err := w.counted(d, at, n); err != nil {
				return err
			}
		case "OpenAction":
			if w.opens++; w.opens > pdfOpens || !w.shows(bytes.TrimLeft(d[at+n:min(len(d), at+n+256)], "\r\n \t\f\x00"), true) {
				w.part.Carries |= media.Script
			}
		}
	}
}

// counted reads the number behind the key Count, if its dictionary is one of pages.
func (w *pdf) counted(d []byte, at, n int) error {
	v, ok := leading(d[at+n:])
	if !ok || v <= w.count {
		return nil
	}
	if w.looks++; w.looks > pdfLooks {
		return w.Over("the document has more than %d trees", pdfLooks)
	}
	if around := dictionary(d, at); bytes.Contains(around, []byte("/Pages")) || bytes.Contains(around, []byte("/Kids")) {
		w.count = v
		if v > w.Limits.Pages {
			return w.Over("the document declares %d pages, allowed are %d", v, w.Limits.Pages)
		}
	}
	return nil
}

// leading reads the number that b begins with, behind white space.
func leading(b []byte) (int, bool) {
	b = bytes.TrimLeft(b[:min(len(b), 64)], "\r\n \t\f\x00+")
	n := 0
	for n < len(b) && n < 10 && '0' <= b[n] && b[n] <= '9' {
		n++
	}
	v, err := strconv.Atoi(string(b[:n]))
	return v, err == nil
}

// dictionary returns the innermost dictionary around a place, as far as it lies
// near.
func dictionary(d []byte, at int) []byte {
	from, depth := at, 0
	for low := max(0, at-pdfDictionary); from > low+1; from-- {
		if d[from-1] == '>' && d[from-2] == '>' {
			depth++
			from--
		} else if d[from-1] == '<' && d[from-2] == '<' {
			if depth == 0 {
				break
			}
			depth--
			from--
		}
	}
	to, depth := at, 0
	for high := min(len(d), at+pdfDictionary); to+1 < high; to++ {
		if d[to] == '<' && d[to+1] == '<' {
			depth++
			to++
		} else if d[to] == '>' && d[to+1] == '>' {
			if depth == 0 {
				break
			}
			depth--
			to++
		}
	}
	return d[from:to]
}

// shows reports whether the value of OpenAction only shows a page: a
// destination, or an action that goes to one.
func (w *pdf) shows(v []byte, follow bool) bool {
	switch {
	case len(v) == 0:
		return false
	case v[0] == '[' || v[0] == '(' || v[0] == '/': // destinations, by page or by name
		return true
	case bytes.HasPrefix(v, []byte("<<")):
		in, _, closed := bytes.Cut(v[2:], []byte(">>"))
		return closed && bytes.Contains(bytes.ReplaceAll(in, []byte("/S "), []byte("/S")), []byte("/S/GoTo")) &&
			!bytes.Contains(in, []byte("/GoToR")) && !bytes.Contains(in, []byte("/Next"))
	}
	number, ok := leading(v)
	if !ok || !follow {
		return false
	}
	object := bytes.Index(w.data, []byte("\n"+strconv.Itoa(number)+" 0 obj"))
	if object < 0 {
		return false
	}
	_, v, _ = bytes.Cut(w.data[object:min(len(w.data), object+512)], []byte("obj"))
	return w.shows(bytes.TrimLeft(v, "\r\n \t\f\x00"), false)
}

// streams unfolds streams of objects (section 7.5.7), in which objects hide.
func (w *pdf) streams() error {
	left, n, before := w.Limits.EntryBytes, 0, 0
	for at := 0; ; {
		i := bytes.Index(w.data[at:], []byte("stream"))
		if i < 0 {
			return nil
		}
		begin := at + i
		at = begin + len("stream")
		head := w.data[max(before, begin-pdfDictionary):begin]
		before = at
		if begin >= 3 && string(w.data[begin-3:begin]) == "end" {
			continue
		}
		if !holdsObjects(head) {
			continue
		}
		if n++; n > pdfStreams {
			return w.Over("the document has more than %d streams of objects", pdfStreams)
		}
		body := bytes.TrimPrefix(bytes.TrimPrefix(w.data[at:], []byte("\r")), []byte("\n"))
		if err := w.unfold(head, body, &left); err != nil {
			return err
		}
	}
}

// holdsObjects reports whether the text before a stream describes one of
// objects, by its type or by the keys that it needs.
func holdsObjects(head []byte) bool {
	if i := bytes.LastIndex(head, []byte(" obj")); i >= 0 {
		head = head[i:]
	}
	var buf [pdfName]byte
	first, count := false, false
	for at := 0; ; {
		i := bytes.IndexByte(head[at:], '/')
		if i < 0 {
			return first && count
		}
		at += i + 1
		name, _ := nameAt(head[at:], buf[:0])
		switch string(name) {
		case "ObjStm":
			return true
		case "First":
			first = true
		case "N":
			count = true
		}
	}
}

// unfold looks into one stream of objects.
func (w *pdf) unfold(head, body []byte, left *int64) error {
	if i := bytes.LastIndex(head, []byte(" obj")); i >= 0 {
		head = head[i:]
	}
	var buf [pdfName]byte
	filters, flate := 0, false
	for at := 0; ; {
		i := bytes.IndexByte(head[at:], '/')
		if i < 0 {
			break
		}
		at += i + 1
		name, n := nameAt(head[at:], buf[:0])
		switch string(name) {
		case "FlateDecode", "Fl":
			filters, flate = filters+1, true
		case "ASCIIHexDecode", "AHx", "ASCII85Decode", "A85", "LZWDecode", "LZW", "RunLengthDecode", "RL", "Crypt", "Predictor", "F":
			return w.Opaque("objects are packed in a way that is not looked into: save the document again")
		case "Filter", "DecodeParms":
			if v := bytes.TrimLeft(head[at+n:], "\r\n \t["); len(v) > 0 && v[0] >= '0' && v[0] <= '9' {
				return w.Opaque("how objects are packed is said elsewhere: save the document again")
			}
		}
	}
	if filters > 1 {
		return w.Opaque("objects are packed more than once: save the document again")
	}
	if !flate {
		return nil // they were looked at with all other bytes
	}
	z, err := zlib.NewReader(bytes.NewReader(body))
	if err != nil {
		return w.Malformed("a stream of objects cannot be unfolded")
	}
	defer z.Close()
	most := min(*left, pdfStream)
	text, err := io.ReadAll(io.LimitReader(z, most+1))
	if int64(len(text)) > most {
		return w.Over("a stream of objects unfolds into more than %d bytes, or all of them into more than %d", pdfStream, w.Limits.EntryBytes)
	}
	if err != nil {
		return w.Malformed("a stream of objects cannot be unfolded")
	}
	*left -= int64(len(text))
	return w.names(text)
}
