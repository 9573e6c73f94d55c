package image

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	stdpng "image/png"
	"testing"
	"testing/iotest"

	xwebp "golang.org/x/image/webp"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
	"github.com/apexlogic/apex/verdict"
)

func limits() *media.Limits {
	l := media.Defaults()
	return &l
}

// exifBlock holds an orientation, an author, a place, and a thumbnail's directory.
func exifBlock(turn uint16) []byte {
	b := binary.BigEndian
	d := []byte("MM\x00*\x00\x00\x00\x08")
	tag := func(id, typ uint16, n, v uint32) {
		d = b.AppendUint32(b.AppendUint32(b.AppendUint16(b.AppendUint16(d, id), typ), n), v)
	}
	d = b.AppendUint16(d, 3)
	tag(0x0112, 3, 1, uint32(turn)<<16)
	tag(0x013b, 2, 4, 0x41646100) // "Ada"
	tag(0x8825, 4, 1, 50)
	d = b.AppendUint32(d, 80)
	d = b.AppendUint16(d, 2) // at 50
	tag(0, 1, 4, 0x02030000)
	tag(1, 2, 2, 0x4e000000)
	d = b.AppendUint32(d, 0)
	d = b.AppendUint16(d, 1) // at 80
	tag(0x0201, 4, 1, 98)
	d = b.AppendUint32(d, 0)
	return append(d, 0xff, 0xd8, 0xff, 0xd9)
}

func pixels() *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, 97, 61))
	for i := range img.Pix {
		img.Pix[i] = byte(i * i >> 3)
	}
	return img
}

func chunk(id string, data []byte) []byte {
	c := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	c = append(append(c, id...), data...)
	return binary.BigEndian.AppendUint32(c, crc32.ChecksumIEEE(c[4:]))
}

func segment(m byte, data string) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xff, m}, uint16(len(data)+2)), data...)
}

// carrying are images with everything that there is to strip.
func carrying(t *testing.T) map[string][]byte {
	t.Helper()
	var png, jpeg bytes.Buffer
	if err := errors.Join(stdpng.Encode(&png, pixels()), stdjpeg.Encode(&jpeg, pixels(), nil)); err != nil {
		t.Fatal(err)
	}
	p := png.Bytes()
	p = bytes.Join([][]byte{p[:33], chunk("eXIf", exifBlock(6)), chunk("tEXt", []byte("Author\x00Ada")), chunk("prVt", []byte("own")),
		chunk("iTXt", []byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00<exif:GPSLatitude>")), p[33:]}, nil)
	j := jpeg.Bytes()
	j = bytes.Join([][]byte{j[:2], segment(0xe0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x01\x01abc"), segment(0xe1, "Exif\x00\x00"+string(exifBlock(6))),
		segment(0xe1, nameXMP+"<dc:creator>"), segment(0xed, namePhotos+"8BIM\x04\x04\x00\x00\x00\x00\x00\x08\x1c\x02\x50\x00\x03Ada"), segment(0xfe, "by Ada"), j[2:]}, nil)
	lossy, err := base64.StdEncoding.DecodeString("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	var body, w bytes.Buffer
	riffHeader(&body, "VP8X", 10)
	body.Write([]byte{webpExif | webpXMP, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	body.Write(lossy[12:])
	e := exifBlock(6)
	riffHeader(&body, "EXIF", int64(len(e)))
	body.Write(e)
	riffHeader(&body, "XMP ", 12)
	body.WriteString("<dc:creator>")
	riffHeader(&w, "RIFF", int64(body.Len()+4))
	w.WriteString("WEBP")
	w.Write(body.Bytes())
	return map[string][]byte{"PNG": p, "JPEG": j, "WebP": w.Bytes()}
}

func decode(t *testing.T, name string, data []byte) (image.Image, []byte) {
	t.Helper()
	var img image.Image
	var err error
	var packed []byte // the compressed pixels
	switch name {
	case "PNG":
		img, err = stdpng.Decode(bytes.NewReader(data))
		packed = data[bytes.Index(data, []byte("IDAT")):]
	case "JPEG":
		img, err = stdjpeg.Decode(bytes.NewReader(data))
		packed = data[bytes.Index(data, []byte{0xff, 0xda}):]
		packed = packed[:bytes.Index(packed, []byte{0xff, 0xd9})]
	default:
		img, err = xwebp.Decode(bytes.NewReader(data))
		packed = data[bytes.Index(data, []byte("VP8 ")):]
		packed = packed[:30]
	}
	if err != nil {
		t.Fatal(err)
	}
	return img, packed
}

func walked(t *testing.T, data []byte) media.Part {
	t.Helper()
	for _, f := range Formats() {
		if f.Match(data) {
			r := format.Open(bytes.NewReader(data), "", limits())
			defer r.Close()
			p := media.Part{}
			if err := f.Walk(r, &p); err != nil {
				t.Fatal(err)
			}
			return p
		}
	}
	t.Fatal("no format")
	return media.Part{}
}

func TestStrippingTakesEverythingButThePixels(t *testing.T) {
	for name, data := range carrying(t) {
		t.Run(name, func(t *testing.T) {
			if p := walked(t, data); p.Carries != media.Location|media.Personal|media.Thumbnail {
				t.Fatalf("the sample carries %b", p.Carries)
			}
			before, packed := decode(t, name, data)
			for _, turned := range []bool{false, true} {
				var out bytes.Buffer
				if err := StripMetadata(&out, iotest.HalfReader(bytes.NewReader(data)), Keep{Orientation: turned}, limits()); err != nil {
					t.Fatal(err)
				}
				if p := walked(t, out.Bytes()); p.Carries != 0 {
					t.Errorf("what is left carries %b", p.Carries)
				}
				if bytes.Contains(out.Bytes(), []byte("Ada")) || bytes.Contains(out.Bytes(), []byte("creator")) {
					t.Error("an author is left")
				}
				after, same := decode(t, name, out.Bytes())
				if !bytes.Equal(packed, same) {
					t.Error("the compressed pixels are others")
				}
				for y := range before.Bounds().Dy() {
					for x := range before.Bounds().Dx() {
						if color.NRGBAModel.Convert(before.At(x, y)) != color.NRGBAModel.Convert(after.At(x, y)) {
							t.Fatalf("the pixel %d, %d is another", x, y)
						}
					}
				}
				at := bytes.Index(out.Bytes(), []byte("MM\x00*"))
				if (at >= 0) != turned || turned && orientation(out.Bytes()[at:]) != 6 {
					t.Error("the orientation is kept where it should not be, or the other way round")
				}
			}
		})
	}
}

func TestStrippingTakesWhatFollowsTheImage(t *testing.T) {
	data := carrying(t)["JPEG"]
	second := withSecond(data, data)
	walked(t, second)
	var out bytes.Buffer
	if err := StripMetadata(&out, bytes.NewReader(second), Keep{}, limits()); err != nil {
		t.Fatal(err)
	}
	walked(t, out.Bytes())
}

func TestWhatCannotBeStrippedIsRefused(t *testing.T) {
	for name, data := range carrying(t) {
		for i := range 20 {
			var out bytes.Buffer
			if err := StripMetadata(&out, bytes.NewReader(data[:len(data)*i/20]), Keep{}, limits()); err == nil {
				t.Errorf("%s: %d twentieths were taken for all", name, i)
			}
		}
		full := errors.New("full")
		if err := StripMetadata(failing{full}, bytes.NewReader(data), Keep{}, limits()); !errors.Is(err, full) {
			t.Errorf("%s: the writer's error is %v", name, err)
		}
	}
	if err := StripMetadata(&bytes.Buffer{}, bytes.NewReader([]byte("GIF89a")), Keep{}, limits()); media.CodeOf(err) != verdict.MediaMalformed {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// FuzzStripMetadata holds that what is left of any image can be walked, and
// carries nothing.
func FuzzStripMetadata(f *testing.F) {
	var t testing.T
	for _, data := range carrying(&t) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		if StripMetadata(&out, bytes.NewReader(data), Keep{Orientation: true}, limits()) != nil {
			return
		}
		r := format.Open(bytes.NewReader(out.Bytes()), "", limits())
		defer r.Close()
		for _, w := range Formats() {
			p := media.Part{}
			if w.Match(out.Bytes()) && w.Walk(r, &p) == nil && p.Carries&(media.Location|media.Thumbnail) != 0 {
				t.Fatalf("what is left carries %b", p.Carries)
			}
		}
	})
}
