package document

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// Text reports whether a media type is plain text in some notation. Which one
// cannot be told from the bytes, so a message's word is taken for it.
func Text(mediaType string) bool {
	switch mediaType {
	case "text/plain", "text/csv", "text/tab-separated-values", "text/markdown", "application/json", "application/jsonl", "application/x-ndjson":
		return true
	}
	return false
}

// active begins what is run rather than read, in lower case.
var active = [...]string{"<!doctype html", "<html", "<svg", "<script", "<head", "<body", "<iframe", "<?php", "<!doctype svg", "%!ps", "{\\rtf"}

// isActive recognises HTML, SVG, PostScript and RTF behind whatever their
// readers pass over: a byte order mark, white space, XML's declaration, comments.
func isActive(head []byte) bool {
	h := bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	if len(h) >= 2 && (h[0] == 0xff && h[1] == 0xfe || h[0] == 0xfe && h[1] == 0xff) {
		h = bytes.ReplaceAll(h[2:], []byte{0}, nil) // UTF-16, of which letters are what is looked for
	}
	h = bytes.ToLower(h)
	xml := false
	for {
		h = bytes.TrimLeft(h, " \t\r\n\f\v\x00")
		end := ""
		switch {
		case bytes.HasPrefix(h, []byte("<!--")):
			end = "-->"
		case bytes.HasPrefix(h, []byte("<?php")):
			return true
		case bytes.HasPrefix(h, []byte("<?")):
			end, xml = "?>", true
		}
		if end == "" {
			break
		}
		_, rest, closed := bytes.Cut(h, []byte(end))
		if !closed {
			return true // longer than the head: nobody who reads begins like that
		}
		h = rest
	}
	for _, a := range active {
		if bytes.HasPrefix(h, []byte(a)) {
			return true
		}
	}
	// A namespace prefix may stand before the name.
	return (xml || bytes.HasPrefix(h, []byte("<"))) && (bytes.Contains(h, []byte("http://www.w3.org/2000/svg")) || bytes.Contains(h, []byte("http://www.w3.org/1999/xhtml")) || bytes.HasPrefix(h, []byte("<!doctype")))
}

func refuseActive(r *format.Reader, _ *media.Part) error {
	return r.Active("the content is HTML, SVG, PostScript or RTF, which viewers run: send text as plain text, and drawings as PNG")
}

// isText recognises what could be text: characters, and no control but those
// of lines.
func isText(head []byte) bool {
	if len(head) == format.Head { // the last character may be cut
		for i := 1; i <= 3; i++ {
			if utf8.RuneStart(head[len(head)-i]) {
				head = head[:len(head)-i]
				break
			}
		}
	}
	return utf8.Valid(head) && !controls(head)
}

// controls reports whether there is a control character that is not of lines.
func controls(b []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		// Eight at a time: a high bit is set where a byte is below a space, or is
		// delete. Only then they are looked at one by one.
		w := binary.LittleEndian.Uint64(b)
		deleted := w ^ 0x7f*ones
		if ((w-' '*ones)&^w|(deleted-ones)&^deleted)&highs != 0 && control(b[:8]) {
			return true
		}
		b = b[8:]
	}
	return control(b)
}

func control(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' || c == 0x7f {
			return true
		}
	}
	return false
}

func walkText(r *format.Reader, p *media.Part) error {
	for {
		b, err := r.Window()
		if err != nil {
			return err
		}
		if len(b) == 0 {
			return nil
		}
		// The last character may go on in the next window.
		whole := len(b)
		for i := 1; i <= min(3, len(b)); i++ {
			if utf8.RuneStart(b[len(b)-i]) {
				if !utf8.FullRune(b[len(b)-i:]) {
					whole = len(b) - i
				}
				break
			}
		}
		if whole == 0 {
			if b, err = r.Peek(utf8.UTFMax); err != nil {
				return err
			}
			if !utf8.FullRune(b) {
				return r.Malformed("the text ends in the middle of a character")
			}
			_, whole = utf8.DecodeRune(b)
		}
		if !utf8.Valid(b[:whole]) || controls(b[:whole]) {
			return r.Malformed("the content begins as text, and is none before byte %d", r.Offset()+int64(whole))
		}
		r.Advance(whole)
	}
}
