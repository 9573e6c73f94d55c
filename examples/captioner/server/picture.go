package server

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	_ "image/jpeg" // the two formats that are read
	_ "image/png"
	"strings"

	"github.com/apexlogic/apex/examples/captioner/tiny"
)

// maxPoints bounds what a small file may unfold to: 16 million points are 64 MiB.
const maxPoints = 16 << 20

// pictureOf reads a data: URL with a PNG or a JPEG and scales it to what the
// model sees. Other URLs are not fetched: a caller could reach with them what
// only the server reaches. The errors repeat nothing of the URL.
func pictureOf(url string) ([]float32, error) {
	kind, text, ok := strings.Cut(url, ";base64,")
	if !ok || kind != "data:image/png" && kind != "data:image/jpeg" {
		return nil, errors.New("a picture is a data: URL with a PNG or a JPEG in base64; other URLs are not fetched")
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("the picture is not base64")
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, errors.New("the picture is no PNG or JPEG")
	}
	if config.Width < tiny.Side || config.Height < tiny.Side || config.Width > maxPoints/config.Height {
		return nil, errors.New("the picture has fewer than 16 by 16 points, or more than 16 million")
	}
	decoded, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, errors.New("the picture is damaged")
	}
	return shrink(decoded), nil
}

// shrink averages what falls into each of the model's points.
func shrink(m image.Image) []float32 {
	b := m.Bounds()
	out := make([]float32, 0, tiny.Input)
	for y := range tiny.Side {
		for x := range tiny.Side {
			x0, x1 := b.Min.X+x*b.Dx()/tiny.Side, b.Min.X+(x+1)*b.Dx()/tiny.Side
			y0, y1 := b.Min.Y+y*b.Dy()/tiny.Side, b.Min.Y+(y+1)*b.Dy()/tiny.Side
			var sum [3]uint64
			for v := y0; v < y1; v++ {
				for u := x0; u < x1; u++ {
					red, green, blue, _ := m.At(u, v).RGBA()
					sum[0], sum[1], sum[2] = sum[0]+uint64(red), sum[1]+uint64(green), sum[2]+uint64(blue)
				}
			}
			n := float32((x1-x0)*(y1-y0)) * 0xffff
			for _, s := range sum {
				out = append(out, float32(s)/n)
			}
		}
	}
	return out
}
