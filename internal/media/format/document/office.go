package document

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/media"
)

// mainParts are the kinds of OOXML documents by the type of their main part,
// templates and those with macros included.
var mainParts = [...]struct{ part, mediaType string }{
	{"wordprocessingml.document.main+xml", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	{"wordprocessingml.template.main+xml", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	{"ms-word.document.macroenabled.main+xml", "application/vnd.ms-word.document.macroenabled.12"},
	{"spreadsheetml.sheet.main+xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	{"spreadsheetml.template.main+xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	{"ms-excel.sheet.macroenabled.main+xml", "application/vnd.ms-excel.sheet.macroenabled.12"},
	{"presentationml.presentation.main+xml", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
	{"presentationml.slideshow.main+xml", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
	{"presentationml.template.main+xml", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
	{"ms-powerpoint.presentation.macroenabled.main+xml", "application/vnd.ms-powerpoint.presentation.macroenabled.12"},
}

// openTypes are the types that an OpenDocument file or an EPUB says itself.
var openTypes = map[string]bool{
	"application/vnd.oasis.opendocument.text": true, "application/vnd.oasis.opendocument.text-template": true,
	"application/vnd.oasis.opendocument.spreadsheet": true, "application/vnd.oasis.opendocument.spreadsheet-template": true,
	"application/vnd.oasis.opendocument.presentation": true, "application/vnd.oasis.opendocument.presentation-template": true,
	"application/vnd.oasis.opendocument.graphics": true, "application/epub+zip": true,
}

// office is what an archive says about itself as a document.
type office struct {
	*zip
	mimetype     string
	contentTypes bool
	pages        int // slides, sheets, chapters
	declared     int // pages, as the writer counted them
	buf          []byte
	text         []byte
}

// entry looks at one entry.
func (o *office) entry(i int, e *zipEntry) error {
	name := strings.ToLower(e.name)
	o.named(name)
	if o.buf == nil {
		o.buf = make([]byte, 32<<10)
	}
	o.text = o.text[:0]
	marks := newFinder("<!entity", "<script", "javascript:")
	xml := false
	first := true
	err := o.unfold(e, o.buf, func(b []byte) {
		if first && len(b) > 0 {
			first = false
			xml = len(b) >= 2 && (b[0] == 0xff && b[1] == 0xfe || b[0] == 0xfe && b[1] == 0xff) && strings.Contains(name, ".xml")
			if isZIP(b) || bytes.HasPrefix(b, []byte("\xd0\xcf\x11\xe0")) { // an archive, or OLE's compound file
				o.part.Carries |= media.Attachment
			}
		}
		if len(o.text)+len(b) <= kept {
			o.text = append(o.text, b...)
		}
		if readable(name) {
			marks.write(b)
		}
	})
	if err != nil {
		return err
	}
	switch {
	case xml:
		return o.Opaque("a part of the document is in UTF-16: save it again")
	case marks.found[0]:
		return o.Active("a part of the document defines entities of XML")
	case marks.found[1] || marks.found[2]:
		o.part.Carries |= media.Script
	}
	if e.folded > kept && (name == "[content_types].xml" || strings.HasSuffix(name, ".rels") || name == "mimetype") {
		return o.Over("the document's description of itself has %d bytes, allowed are %d", e.folded, kept)
	}
	if readable(name) {
		lower(o.text)
	}
	text := o.text
	switch {
	case name == "mimetype":
		if i == 0 && e.method == 0 {
			o.mimetype = string(o.text)
		}
	case name == "[content_types].xml":
		o.contentTypes = true
		o.types(text)
	case strings.HasSuffix(name, ".rels"):
		o.relations(text)
	case name == "docprops/app.xml":
		o.declared = max(o.declared, number(text, "<pages>"), number(text, "<slides>"))
	case name == "meta.xml":
		o.declared = max(o.declared, number(text, `page-count="`))
		if bytes.Contains(text, []byte("creator>")) {
			o.part.Carries |= media.Personal
		}
	case name == "docprops/core.xml":
		if bytes.Contains(text, []byte("creator>")) || bytes.Contains(text, []byte("lastmodifiedby>")) {
			o.part.Carries |= media.Personal
		}
	case name == "content.xml" || name == "meta-inf/encryption.xml":
		if name == "meta-inf/encryption.xml" {
			return o.Opaque("parts of the document are encrypted")
		}
		if bytes.Contains(text, []byte("script:event-listener")) {
			o.part.Carries |= media.Script
		}
	case name == "meta-inf/manifest.xml" && bytes.Contains(text, []byte("encryption-data")):
		return o.Opaque("parts of the document are encrypted")
	}
	return nil
}

// readable reports whether an entry is text that a viewer reads.
func readable(name string) bool {
	for _, end := range []string{".xml", ".rels", ".xhtml", ".html", ".htm", ".svg", ".opf", ".ncx", ".vml"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return false
}

// named notes what the name of an entry says.
func (o *office) named(name string) {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(name, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("vbaproject", "vbadata", "/activex/", "/macrosheets/", "customui/") || strings.HasPrefix(name, "basic/") || strings.HasPrefix(name, "scripts/") || strings.HasSuffix(name, ".js"):
		o.part.Carries |= media.Script
	case has("/embeddings/", "oleobject") || strings.HasPrefix(name, "objectreplacements/") || strings.HasPrefix(name, "object "):
		o.part.Carries |= media.Attachment
	case strings.HasPrefix(name, "docprops/thumbnail") || strings.HasPrefix(name, "thumbnails/"):
		o.part.Carries |= media.Thumbnail
	case numbered(name, "ppt/slides/slide"), numbered(name, "xl/worksheets/sheet"), strings.HasSuffix(name, ".xhtml"):
		o.pages++
	}
}

// numbered reports whether a name is a prefix, a number and ".xml".
func numbered(name, prefix string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	if rest, ok2 := strings.CutSuffix(rest, ".xml"); ok && ok2 {
		_, err := strconv.Atoi(rest)
		return err == nil
	}
	return false
}

// types reads [Content_Types].xml (ECMA-376 part 2).
func (o *office) types(text []byte) {
	if bytes.Contains(text, []byte("&#")) || bytes.Contains(text, []byte("macroenabled")) || bytes.Contains(text, []byte("vbaproject")) || bytes.Contains(text, []byte("activex")) {
		o.part.Carries |= media.Script
	}
	if bytes.Contains(text, []byte("oleobject")) {
		o.part.Carries |= media.Attachment
	}
	for _, m := range mainParts {
		if bytes.Contains(text, []byte(m.part)) {
			o.part.Type = m.mediaType
			return
		}
	}
}

// relations notes relations to elsewhere, links that a person clicks left out.
func (o *office) relations(text []byte) {
	if bytes.Contains(text, []byte("&#")) { // letters that are spelled as numbers hide words
		o.part.Carries |= media.Script
	}
	for {
		i := bytes.Index(text, []byte("relationship"))
		if i < 0 {
			return
		}
		begins := i > 0 && (text[i-1] == '<' || text[i-1] == ':') // with a prefix, or without
		text = text[i+len("relationship"):]
		if !begins || len(text) == 0 || text[0] > ' ' {
			continue
		}
		const longest = 4096 // of one relation: an address and a type
		one, _, closed := bytes.Cut(text[:min(len(text), longest)], []byte(">"))
		if !closed { // nothing that an office program writes
			o.part.Carries |= media.Script
			return
		}
		if bytes.Contains(one, []byte("external")) && !bytes.Contains(one, []byte("relationships/hyperlink")) {
			o.part.Carries |= media.Script
		}
		if bytes.Contains(one, []byte("relationships/vbaproject")) || bytes.Contains(one, []byte("relationships/attachedtemplate")) {
			o.part.Carries |= media.Script
		}
		if bytes.Contains(one, []byte("relationships/oleobject")) || bytes.Contains(one, []byte("relationships/package")) {
			o.part.Carries |= media.Attachment
		}
	}
}

// number reads the number behind a mark.
func number(text []byte, mark string) int {
	_, rest, ok := bytes.Cut(text, []byte(mark))
	if !ok {
		return 0
	}
	n, _ := leading(rest)
	return n
}

// close says what the archive is. One that is no document is of an unknown
// kind, and an attachment in itself.
func (o *office) close() error {
	switch {
	case o.contentTypes && o.mimetype != "":
		return o.Polyglot("the archive is a document of two formats")
	case openTypes[o.mimetype]:
		o.part.Type = o.mimetype
	case !o.contentTypes || o.part.Type == "application/zip":
		o.part.Kind, o.part.Type = media.Unknown, "application/zip"
		o.part.Carries |= media.Attachment
		return nil
	}
	return o.Paged(o.part, max(o.pages, o.declared, 1))
}

// lower makes ASCII letters small, in place: names in XML are no others.
func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// finder looks for marks in a stream, without regard to case.
type finder struct {
	marks []string
	found []bool
	edge  []byte // the end of what was written before
}

func newFinder(marks ...string) *finder {
	return &finder{marks: marks, found: make([]bool, len(marks))}
}

func (f *finder) write(b []byte) {
	const longest = 16
	f.edge = append(f.edge, b...)
	low := f.edge
	lower(low[len(low)-len(b):])
	for i, m := range f.marks {
		f.found[i] = f.found[i] || bytes.Contains(low, []byte(m))
	}
	f.edge = append(f.edge[:0], low[max(0, len(low)-longest):]...)
}
