package screen

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	_ "image/gif" // decoders register themselves
	_ "image/jpeg"
	_ "image/png"
	"io"
	"io/fs"
	"math"
	"strings"
)

// Bounds of one picture.
const (
	maxPicture = 16 << 20 // bytes of a file
	maxSide    = 4096     // pixels
	keptSide   = 64       // what is kept of a picture is not larger
)

// picture is one image, of interleaved channels or as it was decoded.
type picture struct {
	w, h, c int
	pix     []byte
	img     image.Image
}

// at writes the channels of one pixel to out.
func (p *picture) at(x, y int, out []byte) {
	if p.img != nil {
		b := p.img.Bounds()
		red, green, blue, _ := p.img.At(b.Min.X+x, b.Min.Y+y).RGBA()
		out[0], out[1], out[2] = byte(red>>8), byte(green>>8), byte(blue>>8)
		return
	}
	copy(out, p.pix[(y*p.w+x)*p.c:][:p.c])
}

func readPicture(from fs.FS, name string) ([]byte, error) {
	f, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPicture+1))
	if err == nil && len(data) > maxPicture {
		err = fmt.Errorf("%s has more than %d bytes", name, maxPicture)
	}
	return data, err
}

func fromBase64(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	if strings.ContainsAny(text, "-_") {
		return base64.RawURLEncoding.DecodeString(text)
	}
	return base64.RawStdEncoding.DecodeString(text)
}

func recognised(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\x89PNG")) || bytes.HasPrefix(data, []byte("\xff\xd8\xff")) || bytes.HasPrefix(data, []byte("GIF8"))
}

// decode reads an image file, or raw pixels of that size; 0: square.
func decode(data []byte, w, h int) (*picture, error) {
	if !recognised(data) {
		return rawPixels(data, w, h)
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: image: %v", ErrShape, err)
	}
	if config.Width > maxSide || config.Height > maxSide || config.Width < 1 || config.Height < 1 {
		return nil, fmt.Errorf("%w: an image of %d×%d pixels; at most %d×%d", ErrShape, config.Width, config.Height, maxSide, maxSide)
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: image: %v", ErrShape, err)
	}
	b := img.Bounds()
	if b.Empty() {
		return nil, fmt.Errorf("%w: an image without pixels", ErrShape)
	}
	return &picture{w: b.Dx(), h: b.Dy(), c: 3, img: img}, nil
}

func rawPixels(data []byte, w, h int) (*picture, error) {
	if w < 0 || h < 0 || w > maxSide || h > maxSide {
		return nil, fmt.Errorf("%w: an image of %d×%d pixels; at most %d×%d", ErrShape, w, h, maxSide, maxSide)
	}
	for _, c := range []int{3, 1, 4} {
		switch {
		case w > 0 && h > 0:
			if w*h*c == len(data) {
				return &picture{w: w, h: h, c: c, pix: data}, nil
			}
		case len(data) > 0 && len(data)%c == 0:
			if side := int(math.Sqrt(float64(len(data) / c))); side*side*c == len(data) && side <= maxSide {
				return &picture{w: side, h: side, c: c, pix: data}, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: %d bytes are no raw pixels of that size, nor PNG, JPEG or GIF", ErrShape, len(data))
}

// nestedPixels reads [[…]] (grey) or [[[r,g,b]…]…], or one flat list; values
// from 0 to 1 are taken for shares of 255.
func nestedPixels(raw []byte) (*picture, error) {
	var flat []float32
	var deep [][][]float32
	var grey [][]float32
	p := &picture{c: 1}
	switch {
	case json.Unmarshal(raw, &flat) == nil:
		data := bytesOf(flat)
		return rawPixels(data, 0, 0)
	case json.Unmarshal(raw, &grey) == nil:
		p.h = len(grey)
		for _, row := range grey {
			if p.w == 0 {
				p.w = len(row)
			}
			if len(row) != p.w {
				return nil, fmt.Errorf("%w: the rows of an image differ in length", ErrShape)
			}
			flat = append(flat, row...)
		}
	case json.Unmarshal(raw, &deep) == nil:
		p.h, flat = len(deep), nil
		for _, row := range deep {
			if p.w == 0 && len(row) > 0 {
				p.w, p.c = len(row), len(row[0])
			}
			for _, pixel := range row {
				if len(row) != p.w || len(pixel) != p.c {
					return nil, fmt.Errorf("%w: the rows of an image differ in length", ErrShape)
				}
				flat = append(flat, pixel...)
			}
		}
		if p.c > 4 && p.h <= 4 { // planes first
			return nil, fmt.Errorf("%w: an image whose channels come first; put them last", ErrShape)
		}
	default:
		return nil, fmt.Errorf("%w: the image is neither a text nor lists of numbers", ErrShape)
	}
	if len(flat) == 0 || len(flat) != p.w*p.h*p.c || p.w > maxSide || p.h > maxSide {
		return nil, fmt.Errorf("%w: an image of no usable size", ErrShape)
	}
	p.pix = bytesOf(flat)
	return p, nil
}

func bytesOf(v []float32) []byte {
	var top float32
	for _, x := range v {
		top = max(top, x)
	}
	scale := float32(1)
	if top <= 1 {
		scale = 255
	}
	out := make([]byte, len(v))
	for i, x := range v {
		out[i] = byte(max(0, min(255, x*scale+0.5)))
	}
	return out
}

// album collects pictures in one size: that of the first one, as far as memory
// goes. Others are brought to it by taking the nearest pixel, which leaves
// constant patches constant.
type album struct {
	want    int // pictures
	w, h, c int
	pix     []byte
}

func (a *album) add(p *picture) error {
	if a.w == 0 {
		a.c = min(p.c, 3)
		if p.c == 2 {
			a.c = 1
		}
		side := min(keptSide, int(math.Sqrt(float64(maxPixels/max(a.want, 1)/a.c))))
		if side < 8 {
			return fmt.Errorf("%w: %d pictures are too many; screen them in parts", ErrShape, a.want)
		}
		a.w, a.h = min(p.w, side), min(p.h, side)
		a.pix = make([]byte, 0, a.w*a.h*a.c*a.want) // at most maxPixels, by side
	}
	var pixel [4]byte
	for y := range a.h {
		for x := range a.w {
			p.at(x*p.w/a.w, y*p.h/a.h, pixel[:])
			for k := range a.c {
				a.pix = append(a.pix, pixel[min(k, p.c-1)])
			}
		}
	}
	return nil
}

func (a *album) into(s *Set) { s.Width, s.Height, s.Channels, s.Pixels = a.w, a.h, a.c, a.pix }
