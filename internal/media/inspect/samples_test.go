package inspect

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color/palette"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// The samples are written by the standard encoders where there are some, and by
// the small writers below where there are none.

func be16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }
func be32(v int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }
func be64(v int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }
func le16(v int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(v)) }
func le32(v int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(v)) }
func le64(v int) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func picture(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	copy(img.Pix, noise(len(img.Pix)))
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 255
	}
	return img
}

func written(encode func(io.Writer) error) []byte {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func pngOf(w, h int) []byte {
	return written(func(out io.Writer) error { return png.Encode(out, picture(w, h)) })
}

func pngChunk(id string, data []byte) []byte {
	body := append([]byte(id), data...)
	return join(be32(len(data)), body, be32(int(crc32.ChecksumIEEE(body))))
}

// withChunk puts chunks behind IHDR.
func withChunk(file []byte, chunks ...[]byte) []byte {
	const behind = 8 + 25
	return join(file[:behind], join(chunks...), file[behind:])
}

func apng(w, h, frames int) []byte {
	still := pngOf(w, h)
	at := bytes.Index(still, []byte("IDAT")) - 4
	n := int(binary.BigEndian.Uint32(still[at:]))
	data := still[at+8 : at+8+n]
	out := join(still[:33], pngChunk("acTL", join(be32(frames), be32(0))))
	sequence := 0
	control := func() []byte {
		c := pngChunk("fcTL", join(be32(sequence), be32(w), be32(h), be32(0), be32(0), be16(1), be16(10), []byte{0, 0}))
		sequence++
		return c
	}
	out = join(out, control(), pngChunk("IDAT", data))
	for range frames - 1 {
		c := control()
		out = join(out, c, pngChunk("fdAT", join(be32(sequence), data)))
		sequence++
	}
	return join(out, pngChunk("IEND", nil))
}

func jpegOf(w, h int) []byte {
	return written(func(out io.Writer) error { return jpeg.Encode(out, picture(w, h), &jpeg.Options{Quality: 95}) })
}

func jpegSegment(marker byte, data []byte) []byte {
	return join([]byte{0xff, marker}, be16(len(data)+2), data)
}

// withSegment puts segments behind SOI.
func withSegment(file []byte, segments ...[]byte) []byte {
	return join(file[:2], join(segments...), file[2:])
}

func gifOf(w, h, frames int) []byte {
	g := &gif.GIF{}
	for range frames {
		img := image.NewPaletted(image.Rect(0, 0, w, h), palette.Plan9)
		copy(img.Pix, noise(len(img.Pix)))
		g.Image, g.Delay = append(g.Image, img), append(g.Delay, 1)
	}
	return written(func(out io.Writer) error { return gif.EncodeAll(out, g) })
}

// The smallest pictures of one pixel that there are, lossy and lossless.
var (
	vp8  = must(base64.StdEncoding.DecodeString("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"))[12:]
	vp8l = must(base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA=="))[12:]
)

func chunk(id string, data []byte) []byte {
	c := join([]byte(id), le32(len(data)), data)
	if len(data)&1 == 1 {
		c = append(c, 0)
	}
	return c
}

func riff(form string, chunks ...[]byte) []byte {
	return chunk("RIFF", join([]byte(form), join(chunks...)))
}

func le24(v int) []byte { return le32(v)[:3] }

func webpOf(flags byte, w, h int, chunks ...[]byte) []byte {
	return riff("WEBP", chunk("VP8X", join([]byte{flags, 0, 0, 0}, le24(w-1), le24(h-1))), join(chunks...))
}

func bmpOf(w, h int) []byte {
	return written(func(out io.Writer) error { return bmp.Encode(out, picture(w, h)) })
}

func tiffOf(w, h int) []byte {
	return written(func(out io.Writer) error { return tiff.Encode(out, picture(w, h), nil) })
}

func box(kind string, data ...[]byte) []byte {
	body := join(data...)
	return join(be32(len(body)+8), []byte(kind), body)
}

func full(kind string, data ...[]byte) []byte {
	return box(kind, append([][]byte{be32(0)}, data...)...)
}

func heif(brand string, w, h int, items ...[]byte) []byte {
	infos := full("iinf", be16(1+len(items)/2), full2("infe", be16(1), be16(0), []byte("av01"), []byte{0}))
	meta := func(at int) []byte {
		iloc := full("iloc", []byte{0x44, 0}, be16(1), be16(1), be16(0), be16(1), be32(at), be32(64))
		if len(items) > 0 {
			infos = full("iinf", be16(2), full2("infe", be16(1), be16(0), []byte("av01"), []byte{0}), full2("infe", be16(2), be16(0), []byte("Exif"), []byte{0}))
			iloc = full("iloc", []byte{0x44, 0}, be16(2), be16(1), be16(0), be16(1), be32(at), be32(64), be16(2), be16(0), be16(1), be32(at+64), be32(len(items[0])))
		}
		return full("meta", full("hdlr", be32(0), []byte("pict"), make([]byte, 13)), full("pitm", be16(1)), infos, iloc,
			box("iprp", box("ipco", full("ispe", be32(w), be32(h)))))
	}
	ftyp := box("ftyp", []byte(brand), be32(0), []byte("mif1"), []byte(brand))
	at := len(ftyp) + len(meta(0)) + 8
	return join(ftyp, meta(at), box("mdat", noise(64), join(items...)))
}

func full2(kind string, data ...[]byte) []byte {
	return box(kind, append([][]byte{be32(2 << 24)}, data...)...)
}

func wavOf(rate, channels, samples int, more ...[]byte) []byte {
	return riff("WAVE", chunk("fmt ", join(le16(1), le16(channels), le32(rate), le32(rate*channels*2), le16(channels*2), le16(16))),
		join(more...), chunk("data", noise(samples*channels*2)))
}

func rf64(rate, samples int) []byte {
	data := noise(samples * 2)
	body := join([]byte("WAVE"), chunk("ds64", join(le64(4+36+24+8+len(data)), le64(len(data)), le64(samples), le32(0))),
		chunk("fmt ", join(le16(1), le16(1), le32(rate), le32(rate*2), le16(2), le16(16))), []byte("data"), le32(-1), data)
	return join([]byte("RF64"), le32(-1), body)
}

// mp3Of writes frames of 128 kbit/s at 44.1 kHz, of 417 bytes each.
func mp3Of(frames int) []byte {
	return bytes.Repeat(join([]byte{0xff, 0xfb, 0x90, 0x00}, make([]byte, 413)), frames)
}

func id3(frames ...[]byte) []byte {
	body := join(frames...)
	n := len(body)
	return join([]byte("ID3\x04\x00\x00"), []byte{byte(n >> 21 & 0x7f), byte(n >> 14 & 0x7f), byte(n >> 7 & 0x7f), byte(n & 0x7f)}, body)
}

func id3Frame(id string, data []byte) []byte {
	n := len(data)
	return join([]byte(id), []byte{byte(n >> 21 & 0x7f), byte(n >> 14 & 0x7f), byte(n >> 7 & 0x7f), byte(n & 0x7f), 0, 0}, data)
}

func adtsOf(frames int) []byte {
	const size = 200
	return bytes.Repeat(join([]byte{0xff, 0xf1, 0x50, 0x80, size >> 3, size&7<<5 | 0x1f, 0xfc}, make([]byte, size-7)), frames)
}

// crc makes a checksum bit by bit, as its definition says.
func crc(width int, polynomial uint32, b []byte) uint32 {
	var sum uint32
	top := uint32(1) << (width - 1)
	for _, c := range b {
		for i := 7; i >= 0; i-- {
			bit := sum&top != 0 != (c>>i&1 == 1)
			sum <<= 1
			if bit {
				sum ^= polynomial
			}
		}
	}
	return sum & (top<<1 - 1)
}

// flacOf writes frames of 4,096 samples, each one value (RFC 9639 section 9.2.4).
func flacOf(frames int, blocks ...[]byte) []byte {
	return flacWith([]byte{0x00, 0x12, 0x34, 0x00, 0x56, 0x78}, frames, blocks...)
}

// flacWith writes frames with these subframes.
func flacWith(subframes []byte, frames int, blocks ...[]byte) []byte {
	info := make([]byte, 34)
	copy(info, join(be16(4096), be16(4096)))
	copy(info[10:], be64(44100<<44|1<<41|15<<36|frames*4096))
	out := join([]byte("fLaC"), []byte{0, 0, 0, 34}, info)
	for _, b := range blocks {
		out = join(out, b)
	}
	out = join(out, []byte{0x81, 0, 0, 4}, make([]byte, 4))
	for i := range frames {
		head := []byte{0xff, 0xf8, 0xc9, 0x18}
		head = append(head, string(rune(i))...)
		head = append(head, byte(crc(8, 0x07, head)))
		frame := join(head, subframes)
		out = join(out, frame, be16(int(crc(16, 0x8005, frame))))
	}
	return out
}

func oggPage(flags byte, position, sequence int, packets ...[]byte) []byte {
	var table []byte
	for _, p := range packets {
		for n := len(p); ; n -= 255 {
			table = append(table, byte(min(n, 255)))
			if n < 255 {
				break
			}
		}
	}
	page := join([]byte("OggS\x00"), []byte{flags}, le64(position), le32(7), le32(sequence), le32(0), []byte{byte(len(table))}, table, join(packets...))
	copy(page[22:], le32(int(crc(32, 0x04c11db7, page))))
	return page
}

func opusOf(pages int) []byte {
	out := join(oggPage(2, 0, 0, []byte("OpusHead\x01\x02\x00\x0f\x80\xbb\x00\x00\x00\x00\x00")),
		oggPage(0, 0, 1, join([]byte("OpusTags"), le32(4), []byte("test"), le32(0))))
	packet := append([]byte{0xfc}, noise(300)...) // 20 ms, stereo
	for i := range pages {
		flags := byte(0)
		if i == pages-1 {
			flags = 4
		}
		out = join(out, oggPage(flags, 3840+(i+1)*9600, i+2, packet, packet, packet, packet, packet, packet, packet, packet, packet, packet))
	}
	return out
}

func vorbisOf() []byte {
	head := join([]byte("\x01vorbis"), le32(0), []byte{2}, le32(44100), le32(0), le32(0), le32(0), []byte{0xb8, 1})
	return join(oggPage(2, 0, 0, head), oggPage(0, 0, 1, append([]byte("\x03vorbis"), make([]byte, 20)...)), oggPage(4, 88200, 2, noise(500)))
}

// track of a movie: kind "vide" or "soun".
func track(id int, kind string, samples, delta, scale, at int, more ...[]byte) []byte {
	entry := join(make([]byte, 6), be16(1), make([]byte, 16), be16(320), be16(240), make([]byte, 50))
	codec := "avc1"
	if kind == "soun" {
		entry = join(make([]byte, 6), be16(1), make([]byte, 8), be16(2), be16(16), be32(0), be32(scale<<16))
		codec = "mp4a"
	}
	return box("trak", full("tkhd", be32(0), be32(0), be32(id), make([]byte, 68)), box("mdia",
		full("mdhd", be32(0), be32(0), be32(scale), be32(samples*delta), be32(0)), full("hdlr", be32(0), []byte(kind), make([]byte, 13)),
		box("minf", box("stbl", full("stsd", be32(1), box(codec, entry)), full("stts", be32(1), be32(samples), be32(delta)),
			full("stsz", be32(0), be32(1), be32(100)), full("stco", be32(1), be32(at))))), join(more...))
}

func movie(brand string, build func(at int) []byte) []byte {
	ftyp := box("ftyp", []byte(brand), be32(0), []byte("isom"))
	moov := func(at int) []byte {
		return box("moov", full("mvhd", be32(0), be32(0), be32(1000), be32(2000), make([]byte, 80)), build(at))
	}
	at := len(ftyp) + len(moov(0)) + 8
	return join(ftyp, moov(at), box("mdat", noise(400)))
}

func mp4Of(frames int, more ...[]byte) []byte {
	return movie("isom", func(at int) []byte {
		return join(track(1, "vide", frames, 3000, 90000, at), track(2, "soun", 90, 1024, 48000, at+100), join(more...))
	})
}

func m4aOf(more ...[]byte) []byte {
	return movie("M4A ", func(at int) []byte { return join(track(1, "soun", 90, 1024, 48000, at), join(more...)) })
}

func fragmented(samples int) []byte {
	ftyp := box("ftyp", []byte("iso5"), be32(0), []byte("isom"))
	moov := box("moov", full("mvhd", be32(0), be32(0), be32(1000), be32(0), make([]byte, 80)), track(1, "vide", 0, 0, 90000, 0),
		box("mvex", full("trex", be32(1), be32(1), be32(3000), be32(0), be32(0))))
	return join(ftyp, moov, box("moof", full("mfhd", be32(1)), box("traf", full("tfhd", be32(1)), full("trun", be32(samples)))), box("mdat", noise(400)))
}

func ebml(id uint32, data ...[]byte) []byte {
	body := join(data...)
	i := be32(int(id))
	for i[0] == 0 {
		i = i[1:]
	}
	return join(i, []byte{0x10 | byte(len(body)>>24)}, be32(len(body))[1:], body)
}

func webmOf(doc string, frames int, more ...[]byte) []byte {
	cluster := ebml(0xE7, []byte{0})
	for i := range frames {
		cluster = join(cluster, ebml(0xA3, []byte{0x81}, be16(i*40), []byte{0x80}, noise(100)))
	}
	return join(ebml(0x1A45DFA3, ebml(0x4282, []byte(doc))), ebml(0x18538067, ebml(0x1549A966, ebml(0x2AD7B1, be32(1_000_000))),
		ebml(0x1654AE6B, ebml(0xAE, ebml(0xD7, []byte{1}), ebml(0x83, []byte{1}), ebml(0xE0, ebml(0xB0, be16(320)), ebml(0xBA, be16(240))))),
		join(more...), ebml(0x1F43B675, cluster)))
}

// live is what recorders in browsers write: without sizes.
func live() []byte {
	none := []byte{0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	return join(ebml(0x1A45DFA3, ebml(0x4282, []byte("webm"))), be32(0x18538067), none,
		ebml(0x1654AE6B, ebml(0xAE, ebml(0xD7, []byte{1}), ebml(0x83, []byte{2}), ebml(0xE1, ebml(0xB5, be32(0x473b8000)), ebml(0x9F, []byte{1})))),
		be32(0x1F43B675), none, ebml(0xE7, []byte{0}), ebml(0xA3, []byte{0x81, 0, 0, 0x80}, noise(50)),
		be32(0x1F43B675), none, ebml(0xE7, be16(2000)), ebml(0xA3, []byte{0x81, 0, 0, 0x80}, noise(50)))
}

func aviOf(frames int) []byte {
	var data []byte
	for range frames {
		data = join(data, chunk("00dc", noise(101)))
	}
	avih := chunk("avih", join(le32(40000), make([]byte, 12), le32(frames), make([]byte, 12), le32(320), le32(240), make([]byte, 16)))
	strh := chunk("strh", join([]byte("vidsMJPG"), make([]byte, 12), le32(1), le32(25), le32(0), le32(frames), make([]byte, 20)))
	strf := chunk("strf", join(le32(40), le32(320), le32(240), make([]byte, 28)))
	return riff("AVI ", chunk("LIST", join([]byte("hdrl"), avih, chunk("LIST", join([]byte("strl"), strh, strf)))), chunk("LIST", join([]byte("movi"), data)))
}

// pdfOf writes a document with pages, and more objects.
func pdfOf(pages int, objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	var offsets []int
	object := func(text string) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(offsets), text)
	}
	catalog := ""
	if len(objects) > 0 {
		catalog = objects[0]
	}
	object("<< /Type /Catalog /Pages 2 0 R " + catalog + " >>")
	kids := ""
	for i := range pages {
		kids += fmt.Sprintf("%d 0 R ", i+3)
	}
	object(fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", kids, pages))
	for range pages {
		object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>")
	}
	for _, o := range objects[min(1, len(objects)):] {
		object(o)
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, at)
	return b.Bytes()
}

// file of an archive.
type file struct{ name, text string }

func zipOf(files ...file) []byte {
	return written(func(out io.Writer) error {
		w := zip.NewWriter(out)
		for _, f := range files {
			h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
			if f.name == "mimetype" {
				h.Method = zip.Store
			}
			if _, err := must(w.CreateHeader(h)).Write([]byte(f.text)); err != nil {
				return err
			}
		}
		return w.Close()
	})
}

func docx(more ...file) []byte {
	return zipOf(append([]file{
		{"[Content_Types].xml", `<Types><Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>`},
		{"_rels/.rels", `<Relationships><Relationship Id="a" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>`},
		{"word/document.xml", "<w:document><w:body>" + strings.Repeat("<w:p>The car was parked.</w:p>", 40) + "</w:body></w:document>"},
		{"docProps/app.xml", "<Properties><Pages>3</Pages></Properties>"},
	}, more...)...)
}

func odt(more ...file) []byte {
	return zipOf(append([]file{{"mimetype", "application/vnd.oasis.opendocument.text"}, {"content.xml", "<office:document-content/>"},
		{"meta.xml", `<meta:document-statistic meta:page-count="4"/>`}}, more...)...)
}

// sample is one valid file, and what it is.
type sample struct {
	name, mediaType string
	data            []byte
}

func samples() []sample {
	return []sample{
		{"PNG", "image/png", pngOf(40, 30)},
		{"APNG", "image/apng", apng(20, 10, 3)},
		{"JPEG", "image/jpeg", jpegOf(40, 30)},
		{"GIF", "image/gif", gifOf(40, 30, 3)},
		{"WebP", "image/webp", riff("WEBP", vp8)},
		{"lossless WebP", "image/webp", riff("WEBP", vp8l)},
		{"extended WebP", "image/webp", webpOf(0, 1, 1, vp8)},
		{"animated WebP", "image/webp", webpOf(2, 4, 4, chunk("ANIM", make([]byte, 6)), chunk("ANMF", join(make([]byte, 16), vp8)), chunk("ANMF", join(make([]byte, 16), vp8l)))},
		{"BMP", "image/bmp", bmpOf(40, 30)},
		{"TIFF", "image/tiff", tiffOf(40, 30)},
		{"AVIF", "image/avif", heif("avif", 40, 30)},
		{"HEIC", "image/heic", heif("heic", 40, 30)},
		{"WAV", "audio/wav", wavOf(16000, 1, 16000)},
		{"RF64", "audio/wav", rf64(16000, 1600)},
		{"MP3", "audio/mpeg", mp3Of(20)},
		{"MP3 with a tag", "audio/mpeg", join(id3(id3Frame("TSSE", []byte("\x03encoder"))), mp3Of(20))},
		{"AAC", "audio/aac", adtsOf(20)},
		{"FLAC", "audio/flac", flacOf(20)},
		{"Opus", "audio/ogg", opusOf(5)},
		{"Vorbis", "audio/ogg", vorbisOf()},
		{"M4A", "audio/mp4", m4aOf()},
		{"MP4", "video/mp4", mp4Of(60)},
		{"fragmented MP4", "video/mp4", fragmented(60)},
		{"QuickTime", "video/quicktime", movie("qt  ", func(at int) []byte { return track(1, "vide", 60, 3000, 90000, at) })},
		{"old QuickTime", "video/quicktime", join(box("wide"), box("mdat", noise(400)), box("moov", full("mvhd", be32(0), be32(0), be32(1000), be32(2000), make([]byte, 80)), track(1, "vide", 60, 3000, 90000, 16)))},
		{"WebM", "video/webm", webmOf("webm", 50)},
		{"live WebM", "audio/webm", live()},
		{"Matroska", "video/x-matroska", webmOf("matroska", 50)},
		{"AVI", "video/x-msvideo", aviOf(25)},
		{"PDF", "application/pdf", pdfOf(3)},
		{"DOCX", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", docx()},
		{"ODT", "application/vnd.oasis.opendocument.text", odt()},
		{"EPUB", "application/epub+zip", zipOf(file{"mimetype", "application/epub+zip"}, file{"a.xhtml", "<html/>"})},
		{"text", "text/plain", []byte(strings.Repeat("Ein Fahrrad lehnt an der Wand – größer als das Auto.\n", 40))},
	}
}

// named returns a sample.
func named(t testing.TB, name string) []byte {
	t.Helper()
	for _, s := range samples() {
		if s.name == name {
			return s.data
		}
	}
	t.Fatalf("no sample %q", name)
	return nil
}
