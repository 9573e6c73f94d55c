// Package document walks documents: PDF, office files (OOXML, OpenDocument,
// EPUB, which are ZIP archives), and plain text.
//
// Start with [Formats]. A document is held whole while it is walked, since its
// directory stands at its end. Nothing is rendered; streams are unfolded only
// as far as something that acts can hide in them, within the limits. What a
// viewer would run or unpack (scripts, macros, actions, attached files,
// relations to elsewhere) is noted in the part, and so are authors.
//
// Markup that a browser runs (HTML, SVG) and PostScript are refused, by
// whatever name they come.
//
// Sources: ISO 32000-1 and -2 (PDF), APPNOTE 6.3.10 (ZIP), ECMA-376 (OOXML, open
// packaging), OASIS OpenDocument 1.3 part 2, EPUB 3.3.
package document

import (
	"bytes"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// Archive marks, while a part is walked, that it is a ZIP archive by right. It
// is no property of content and never leaves package inspect.
const Archive media.Carries = 1 << 7

// Formats are the formats of documents. Plain text is the last: it has no magic.
func Formats() []format.Format {
	return []format.Format{
		{Type: "application/pdf", Kind: media.Document, Match: func(h []byte) bool { return bytes.HasPrefix(h, []byte("%PDF-")) }, Walk: walkPDF},
		{Type: "application/zip", Kind: media.Document, Match: isZIP, Walk: walkZIP},
		{Type: "text/html", Kind: media.Document, Match: isActive, Walk: refuseActive},
		{Type: "text/plain", Kind: media.Document, Match: isText, Walk: walkText},
	}
}
