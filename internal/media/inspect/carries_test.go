package inspect

import (
	"bytes"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"

	"github.com/klauspost/compress/zlib"
)

// tiffTags writes an Exif block of one directory; GPS gets a directory of its own.
func exif(author, gps bool, thumbnail bool) []byte {
	n, tags := 0, []byte{}
	tag := func(id, typ, count, value int) {
		n++
		tags = join(tags, be16(id), be16(typ), be32(count), be32(value))
	}
	tag(0x0112, 3, 1, 1<<16)
	if author {
		tag(0x013b, 2, 4, 0x41646100)
	}
	if gps {
		tag(0x8825, 4, 1, 100)
	}
	next := 0
	if thumbnail {
		next = 140
	}
	d := join([]byte("MM\x00*"), be32(8), be16(n), tags, be32(next))
	d = join(d, make([]byte, 100-len(d)), be16(2), be16(0), be16(1), be32(4), be32(0x02030000), be16(2), be16(5), be32(1), be32(132), be32(0), make([]byte, 2), be32(48), be32(1))
	d = join(d, make([]byte, max(0, 140-len(d))))
	return join(d[:140], be16(1), be16(0x0201), be16(4), be32(1), be32(8), be32(0))
}

func flate(text string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func TestWhatContentCarriesIsNoted(t *testing.T) {
	const (
		place, person, thumb, script, attached = media.Location, media.Personal, media.Thumbnail, media.Script, media.Attachment
	)
	segment := func(m byte, text string) []byte { return withSegment(jpegOf(8, 8), jpegSegment(m, []byte(text))) }
	exifIn := func(author, gps, thumbnail bool) []byte {
		return segment(0xe1, "Exif\x00\x00"+string(exif(author, gps, thumbnail)))
	}
	rels := func(kind, mode string) file {
		return file{"word/_rels/document.xml.rels", `<Relationships><Relationship Id="a" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/` + kind + `" Target="http://192.0.2.1/a" TargetMode="` + mode + `"/></Relationships>`}
	}
	for _, tc := range []struct {
		name string
		data []byte
		want media.Carries
	}{
		{"a JPEG with a place", exifIn(false, true, false), place},
		{"a JPEG with an author", exifIn(true, false, false), person},
		{"a JPEG with a thumbnail", exifIn(false, false, true), thumb},
		{"a JPEG with an orientation alone", exifIn(false, false, false), 0},
		{"a JPEG with a comment", segment(0xfe, "taken at home"), person},
		{"a JPEG with a script for a comment", segment(0xfe, "<script>alert(1)</script>"), person | script},
		{"a JPEG with IPTC's city", segment(0xed, "Photoshop 3.0\x008BIM\x04\x04\x00\x00\x00\x00\x00\x08\x1c\x02\x5a\x00\x03Ulm"), place},
		{"a JPEG with XMP's creator", segment(0xe1, "http://ns.adobe.com/xap/1.0/\x00<x><dc:creator>"), person},
		{"a JPEG with Exif that cannot be read", segment(0xe1, "Exif\x00\x00MM\x00*\x00\x00\xff\xff"), place | person | thumb},
		{"a PNG with a place", withChunk(pngOf(4, 4), pngChunk("eXIf", exif(false, true, false))), place},
		{"a PNG with an author", withChunk(pngOf(4, 4), pngChunk("tEXt", []byte("Author\x00Ada"))), person},
		{"a PNG with XMP's place", withChunk(pngOf(4, 4), pngChunk("iTXt", []byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00<exif:GPSLatitude>"))), place},
		{"a PNG with a compressed text", withChunk(pngOf(4, 4), pngChunk("zTXt", []byte("a\x00\x00"+flate("a")))), place | person | thumb},
		{"a PNG with its program's name", withChunk(pngOf(4, 4), pngChunk("tEXt", []byte("Software\x00gimp"))), 0},
		{"a PNG with a script for its program's name", withChunk(pngOf(4, 4), pngChunk("tEXt", []byte("Software\x00<script>"))), person | script},
		{"a PNG with colours alone", withChunk(pngOf(4, 4), pngChunk("gAMA", be32(45455))), 0},
		{"a GIF with a comment", join(gifOf(4, 4, 1)[:len(gifOf(4, 4, 1))-1], []byte("\x21\xfe\x05hello\x00;")), person},
		{"a WebP with a place", webpOf(8, 1, 1, vp8, chunk("EXIF", exif(false, true, false))), place},
		{"an HEIC with a place", heif("heic", 40, 30, join(be32(0), exif(false, true, false))), place},
		{"an HEIC with an orientation", heif("heic", 40, 30, join(be32(0), exif(false, false, false))), 0},
		{"an MP3 with a cover", join(id3(id3Frame("APIC", []byte("a"))), mp3Of(4)), thumb},
		{"an MP3 with a file", join(id3(id3Frame("GEOB", []byte("a"))), mp3Of(4)), attached},
		{"an MP3 with a long cover", join(id3(id3Frame("APIC", noise(70_000))), mp3Of(4)), place | person | thumb},
		{"an MP3 with a file behind a long cover", join(id3(id3Frame("APIC", noise(70_000)), id3Frame("GEOB", []byte("a"))), mp3Of(4)), place | person | thumb | attached},
		{"an MP3 with an artist at its end", join(mp3Of(4), []byte("TAG"), make([]byte, 125)), person},
		{"a WAV with an artist", wavOf(8000, 1, 80, chunk("LIST", join([]byte("INFO"), chunk("IART", []byte("Ada\x00"))))), person},
		{"a WAV with its encoder's name", wavOf(8000, 1, 80, chunk("LIST", join([]byte("INFO"), chunk("ISFT", []byte("Lavf"))))), 0},
		{"a FLAC with an artist", flacOf(2, join([]byte{4, 0, 0, 10}, []byte("ARTIST=Ada"))), person},
		{"a FLAC with a cover", flacOf(2, []byte{6, 0, 0, 4, 0, 0, 0, 0}), thumb},
		{"an MP4 with a place", mp4Of(10, box("udta", box("\xa9xyz", []byte("+48.4+010.0/")))), place},
		{"an M4A with a cover", m4aOf(box("udta", box("meta", be32(0), full("hdlr", make([]byte, 20)), box("ilst", box("covr", box("data", noise(16))))))), person | thumb},
		{"a WebM with a file", webmOf("webm", 2, ebml(0x1941A469, noise(8))), attached},
		{"a WebM with tags", webmOf("webm", 2, ebml(0x1254C367, []byte("ARTIST"))), person},
		{"a PDF with JavaScript", pdfOf(1, "/OpenAction << /S /JavaScript /JS (app.alert) >>"), script},
		{"a PDF with JavaScript's name escaped", pdfOf(1, "/Names << /J#61vaScript 9 0 R >>"), script},
		{"a PDF that starts a program", pdfOf(1, "/AA << /O << /S /Launch >> >>"), script},
		{"a PDF with a form of XFA", pdfOf(1, "/AcroForm << /XFA 9 0 R >>"), script},
		{"a PDF that opens an address", pdfOf(1, "/OpenAction << /S /URI /URI (http://192.0.2.1) >>"), script},
		{"a PDF that opens at a page", pdfOf(1, "/OpenAction [3 0 R /Fit]"), 0},
		{"a PDF that goes to a page", pdfOf(1, "/OpenAction << /S /GoTo /D [3 0 R /Fit] >>"), 0},
		{"a PDF that opens by an object at a page", pdfOf(1, "/OpenAction 4 0 R", "[3 0 R /Fit]"), 0},
		{"a PDF that opens by an object that acts", pdfOf(1, "/OpenAction 4 0 R", "<< /S /URI >>"), script},
		{"a PDF with a file", pdfOf(1, "", "<< /Type /EmbeddedFile /Length 1 >>\nstream\na\nendstream"), attached},
		{"a PDF with an author", pdfOf(1, "", "<< /Author (Ada) >>"), person},
		{"a PDF with JavaScript in packed objects", pdfOf(1, "", "<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode >>\nstream\n"+flate("9 0 << /S /JavaScript >>")+"\nendstream"), script},
		{"a PDF with packed objects that show", pdfOf(1, "", "<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode >>\nstream\n"+flate("9 0 << /Type /Font >>")+"\nendstream"), 0},
		{"a DOCX with macros", docx(file{"word/vbaProject.bin", "\xd0\xcf\x11\xe0"}), script | attached},
		{"a DOCX with an object", docx(file{"word/embeddings/oleObject1.bin", "a"}), attached},
		{"a DOCX with an archive in it", docx(file{"word/media/a.png", string(zipOf(file{"a", "a"}))}), attached},
		{"a DOCX with a template from elsewhere", docx(rels("attachedTemplate", "External")), script},
		{"a DOCX with a picture from elsewhere", docx(rels("image", "External")), script},
		{"a DOCX with a relation under a prefix", docx(file{"word/_rels/a.rels", "<r:Relationship\tTargetMode='External' Type='a'/>"}), script},
		{"a DOCX with a relation spelled in numbers", docx(file{"word/_rels/a.rels", "<Relationship TargetMode='&#69;xternal' Type='a'/>"}), script},
		{"a DOCX with a link", docx(rels("hyperlink", "External")), 0},
		{"a DOCX with an author", docx(file{"docProps/core.xml", "<dc:creator>Ada</dc:creator>"}), person},
		{"a DOCX with a thumbnail", docx(file{"docProps/thumbnail.jpeg", "a"}), thumb},
		{"an ODT with macros", odt(file{"Basic/Standard/Module1.xml", "<a/>"}), script},
		{"an EPUB with a script", zipOf(file{"mimetype", "application/epub+zip"}, file{"a.xhtml", "<html><script>a</script></html>"}), script},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := inspect(tc.data, "")
			if err != nil || p.Carries != tc.want {
				t.Errorf("carries %05b, %v; want %05b", p.Carries, err, tc.want)
			}
		})
	}
}

func TestWhatCannotBeLookedIntoIsRefused(t *testing.T) {
	packed := func(dictionary, body string) []byte {
		return pdfOf(1, "", "<< /Type /ObjStm /N 1 /First 4 "+dictionary+" >>\nstream\n"+body+"\nendstream")
	}
	good := flate("9 0 << /Type /Font >>")
	for name, data := range map[string][]byte{
		"an encrypted PDF":                      bytes.Replace(pdfOf(1), []byte("/Root"), []byte("/Encrypt 9 0 R /Root"), 1),
		"a PDF with objects packed twice":       packed("/Filter [/FlateDecode /FlateDecode]", good),
		"a PDF with objects in hexadecimal":     packed("/Filter /ASCIIHexDecode", "00>"),
		"a PDF with a filter that is elsewhere": packed("/Filter 7 0 R", good),
		"an encrypted entry":                    flagged(docx(), 1),
		"an ODT that is encrypted":              odt(file{"META-INF/manifest.xml", "<manifest:encryption-data/>"}),
		"a DOCX whose XML is in UTF-16":         docx(file{"word/styles.xml", "\xff\xfe<\x00a\x00"}),
	} {
		t.Run(name, func(t *testing.T) { refused(t, data, "", verdict.MediaOpaque) })
	}
	refused(t, docx(file{"word/a.xml", `<!DOCTYPE a [<!ENTITY a "a">]><a/>`}), "", verdict.MediaActive)
	refused(t, packed("/Filter /FlateDecode", "no zlib"), "", verdict.MediaMalformed)
	for name, data := range map[string][]byte{"objects packed once": packed("/Filter [/FlateDecode]", good), "XML in UTF-8": docx(file{"word/styles.xml", "<a/>"})} {
		if _, err := inspect(data, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// flagged sets a flag of the first entry, in both its headers.
func flagged(archive []byte, flag byte) []byte {
	b := bytes.Clone(archive)
	b[6] |= flag
	b[bytes.Index(b, []byte("PK\x01\x02"))+8] |= flag
	return b
}

func TestArchivesThatTwoReadersSeeDifferentlyAreRefused(t *testing.T) {
	good := docx()
	end := len(good) - 22
	dir := bytes.Index(good, []byte("PK\x01\x02"))
	commented := bytes.Clone(good)
	copy(commented[end+20:], le16(4))
	for name, tc := range map[string]struct {
		data []byte
		code verdict.Code
	}{
		"another name before the entry":     {bytes.Replace(good, []byte("word/document.xml"), []byte("word/documenx.xml"), 1), verdict.MediaMalformed},
		"something between the entries":     {join(good[:dir], []byte("PK\x03\x04hidden"), good[dir:]), verdict.MediaPolyglot},
		"something before the archive":      {join([]byte("PK\x03\x04junk"), good), verdict.MediaPolyglot},
		"a comment behind it":               {join(commented, []byte("<x>a")), verdict.MediaPolyglot},
		"two entries of one name":           {docx(file{"WORD/document.xml", "b"}), verdict.MediaMalformed},
		"a name that leads out":             {docx(file{"../a.xml", "b"}), verdict.MediaMalformed},
		"a name from the root":              {docx(file{"/a.xml", "b"}), verdict.MediaMalformed},
		"a name of another system":          {docx(file{`a\b.xml`, "b"}), verdict.MediaMalformed},
		"a wrong checksum":                  {bytes.ReplaceAll(good, good[dir+16:dir+20], []byte{1, 2, 3, 4}), verdict.MediaMalformed},
		"a document of two formats at once": {zipOf(file{"mimetype", "application/epub+zip"}, file{"[Content_Types].xml", "<a/>"}), verdict.MediaPolyglot},
	} {
		t.Run(name, func(t *testing.T) { refused(t, tc.data, "", tc.code) })
	}
	if _, err := inspect(good, ""); err != nil {
		t.Error(err)
	}
}

func TestAnotherFormatWithinAFormatIsRefused(t *testing.T) {
	archive := string(zipOf(file{"a.class", "a"}))
	comment := func(text string) []byte { return withSegment(jpegOf(8, 8), jpegSegment(0xfe, []byte(text))) }
	for name, data := range map[string][]byte{
		"a JPEG with an archive in a comment":  comment(archive),
		"a PNG with an archive in a chunk":     withChunk(pngOf(8, 8), pngChunk("prVt", []byte(archive))),
		"a GIF with an archive in a comment":   join(gifOf(4, 4, 1)[:len(gifOf(4, 4, 1))-1], []byte{0x21, 0xfe, byte(len(archive))}, []byte(archive), []byte{0, ';'}),
		"a WAV with an archive in a chunk":     wavOf(8000, 1, 8, chunk("JUNK", []byte(archive))),
		"a WebP with an archive in a chunk":    webpOf(0, 1, 1, vp8, chunk("ABCD", []byte(archive))),
		"an MP4 with an archive in free space": mp4Of(10, box("free", []byte(archive))),
		"a PDF with an archive in a stream":    pdfOf(1, "", "<< /Length 9 >>\nstream\n"+archive+"\nendstream"),
		"a JPEG with a PDF's header":           comment("%PDF-1.4\n"),
		"a PNG with a PDF's header":            withChunk(pngOf(8, 8), pngChunk("tEXt", []byte("a\x00%PDF-1.7"))),
		"a WAV with a PDF's header":            wavOf(8000, 1, 8, chunk("JUNK", []byte("%PDF-1.4"))),
		"a JPEG that is a tar archive":         comment(strings.Repeat(" ", 257-6) + "ustar"),
		"a JPEG that is a DICOM file":          comment(strings.Repeat(" ", 128-6) + "DICM"),
		"an HEIC with a motion photo's video":  join(heif("heic", 40, 30), box("mpvd", mp4Of(10))),
		"two MP4 behind each other":            join(mp4Of(10), mp4Of(10)),
		"a FLAC behind a tag":                  join(id3(), flacOf(2)),
	} {
		t.Run(name, func(t *testing.T) { refused(t, data, "", verdict.MediaPolyglot) })
	}
	for name, data := range map[string][]byte{
		"a JPEG with a comment":             comment("PK is a party, %PDF is none"),
		"a JPEG with the record's magic":    comment("PK\x05\x06" + strings.Repeat("\x81", 40)),
		"an MP4 with free space":            mp4Of(10, box("free", noise(40))),
		"a PNG with a chunk of its maker's": withChunk(pngOf(8, 8), pngChunk("prVt", noise(40))),
	} {
		if _, err := inspect(data, ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
