package body

import (
	"bytes"
	"strings"
	"unicode"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// Bounds of a multipart body, beside those of every message.
const (
	maxPartHeader = 4 << 10 // bytes of the header lines of one part
	maxBoundary   = 70      // RFC 2046 section 5.1.1
)

// readMultipart reads multipart/form-data (RFC 7578) in its plain form only:
// CRLF line ends, nothing before the first and after the last boundary, and in
// the parts no header but Content-Disposition and Content-Type, once each.
func readMultipart(p *Parser, m Message, params map[string]string) error {
	boundary := params["boundary"]
	if boundary == "" || len(boundary) > maxBoundary {
		return p.refuse(verdict.BodyType, "the boundary of a multipart body has 1 to %d characters", maxBoundary)
	}
	open := []byte("--" + boundary)
	rest, ok := bytes.CutPrefix(m.Data, open)
	if !ok {
		return p.refuse(verdict.BodyMalformed, "the body does not begin with its boundary")
	}
	for n := 0; ; n++ {
		if string(rest) == "--" || string(rest) == "--\r\n" {
			if n == 0 {
				return p.refuse(verdict.BodyMalformed, "the body has no part")
			}
			return nil
		}
		if n >= p.limits.Values {
			return p.refuse(verdict.BodyLimit, "the body has more than %d parts", p.limits.Values)
		}
		if rest, ok = bytes.CutPrefix(rest, []byte("\r\n")); !ok {
			return p.refuse(verdict.BodyMalformed, "a boundary is not followed by CRLF or by the end")
		}
		end := bytes.Index(rest[:min(len(rest), maxPartHeader)], []byte("\r\n\r\n"))
		if end < 0 {
			return p.refuse(verdict.BodyMalformed, "a part has no end of its header within %d bytes", maxPartHeader)
		}
		header := rest[:end]
		stop := bytes.Index(rest, open)
		switch {
		case stop < 0:
			return p.refuse(verdict.BodyMalformed, "a part has no boundary after it")
		case stop < end+6 || string(rest[stop-2:stop]) != "\r\n":
			// Behind a bare LF, a bare CR or nothing at all, some readers take it for one.
			return p.refuse(verdict.BodyAmbiguous, "the boundary stands where readers differ in whether it is one")
		}
		content := rest[end+4 : stop-2]
		rest = rest[stop+len(open):]
		if err := p.part(header, content); err != nil {
			return err
		}
	}
}

// part reads one part.
func (p *Parser) part(header, content []byte) error {
	name, file, kind, err := p.partHeader(header)
	if err != nil {
		return err
	}
	if file == "" {
		if !validText(content) {
			return p.refuse(verdict.BodyMalformed, "a field that is no file is not valid UTF-8")
		}
		return p.field([]byte(name), content)
	}
	p.path = p.path[:0]
	p.pushKey([]byte(name))
	defer p.pop(0)
	at, mistaken := p.fieldPlace([]byte(name))
	if mistaken != "" {
		return p.refuse(verdict.BodyAmbiguous, "a field differs from %q by case only: some readers would take one for the other", mistaken)
	}
	if at.is != bare && at != elsewhere {
		return p.refuse(verdict.BodyAmbiguous, "a file stands where the API expects a value")
	}
	for _, s := range []string{name, file} {
		if err := p.addControl([]byte(s)); err != nil {
			return err
		}
	}
	if n := int64(len(content)); n > p.limits.PartBytes {
		return p.refuse(verdict.BodyLimit, "a part has %d bytes, allowed are %d", n, p.limits.PartBytes)
	}
	p.slot = p.plain(content)
	return p.describe(media.InMemory(content), content, kind)
}

func (p *Parser) partHeader(header []byte) (name, file, kind string, err error) {
	disposition := ""
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !validText(line) || bytes.ContainsAny(line, "\r\n\x00") {
			return "", "", "", p.refuse(verdict.BodyMalformed, "a part's header line cannot be read")
		}
		value = bytes.Trim(value, " \t")
		switch known := strings.ToLower(string(key)); {
		case known == "content-disposition" && disposition == "":
			disposition = string(value)
		case known == "content-type" && kind == "":
			of, ok := map[string]string(nil), false
			if kind, of, ok = typeOf(string(value)); !ok {
				return "", "", "", p.refuse(verdict.BodyMalformed, "a part's Content-Type cannot be read in one way only")
			}
			if charset, said := of["charset"]; said && !isUTF8(charset) {
				return "", "", "", p.refuse(verdict.BodyType, "a part's charset is not UTF-8")
			}
		default:
			return "", "", "", p.refuse(verdict.BodyMalformed, "a part's header has a line that readers differ in: allowed are Content-Disposition and Content-Type, once each")
		}
	}
	name, file, code := dispositionOf(disposition)
	if code != "" {
		return "", "", "", p.refuse(code, "a part's Content-Disposition is not: form-data; name=\"NAME\", and for a file ; filename=\"FILE\", without characters that readers differ in")
	}
	if name == "_charset_" { // RFC 7578 section 4.6: it would say how others are to be read
		return "", "", "", p.refuse(verdict.BodyAmbiguous, "a part names the charset of the others; what is read here is UTF-8")
	}
	switch {
	case file != "" && !isFileName(file, p.limits.KeyBytes):
		return "", "", "", p.refuse(verdict.BodyMalformed, "a file's name is too long, or holds a path or characters that do not show")
	case file == "" && kind != "" && kind != "text/plain" && !jsonTypes(kind): // some take a part for a file by its type
		return "", "", "", p.refuse(verdict.BodyAmbiguous, "a field that is no file has the Content-Type of one")
	}
	return name, file, kind, nil
}

// isFileName reports whether a name names a file in one directory, and looks
// like what it is.
func isFileName(name string, limit int) bool {
	if name == "" || len(name) > limit || name == "." || name == ".." || strings.ContainsAny(name, `/\:`) {
		return false
	}
	for _, r := range name {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) { // Cf: writing direction, joiners, byte order marks
			return false
		}
	}
	return true
}
