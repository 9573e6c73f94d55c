// Package image walks image files from their first byte to their last.
//
// Start with [Formats]. Each format is one file: PNG and APNG, JPEG, GIF, WebP,
// BMP, TIFF, and the header of AVIF and HEIC. Sizes, frames and everything that
// stands beside the picture (places, names, second pictures) are noted; nothing
// is unfolded. [StripMetadata] writes PNG, JPEG and WebP without what they
// carry, pixel data byte for byte. ICO is refused: its pictures are files in a
// file, and nothing that infers reads it. SVG is a program, see package
// document for markup.
//
// Sources: PNG (W3C, third edition), ITU-T T.81 (JPEG), CIPA DC-008 (Exif),
// CIPA DC-007 (MPF), GIF89a, RFC 9649 (WebP), TIFF 6.0, ISO/IEC 23008-12 (HEIF).
package image

import (
	"bytes"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
	"github.com/apexlogic/apex/verdict"
)

// Formats are the formats of images. JPEG is recognised by two bytes: some
// decoders pass over what follows them up to a marker, so the walk has to refuse
// that.
func Formats() []format.Format {
	return []format.Format{
		{Type: "image/png", Kind: media.Image, Match: begins(pngMagic), Walk: walkPNG},
		{Type: "image/jpeg", Kind: media.Image, Match: begins("\xff\xd8"), Walk: walkJPEG},
		{Type: "image/gif", Kind: media.Image, Match: begins("GIF87a", "GIF89a"), Walk: walkGIF},
		{Type: "image/webp", Kind: media.Image, Match: isWebP, Walk: walkWebP},
		{Type: "image/bmp", Kind: media.Image, Match: isBMP, Walk: walkBMP},
		{Type: "image/tiff", Kind: media.Image, Match: begins("II*\x00", "MM\x00*"), Walk: walkTIFF},
		{Type: "image/heic", Kind: media.Image, Match: isHEIF, Walk: walkHEIF},
		{Type: "image/x-icon", Kind: media.Image, Match: isIcon, Walk: refuseIcon},
	}
}

func begins(magics ...string) func([]byte) bool {
	return func(head []byte) bool {
		for _, m := range magics {
			if bytes.HasPrefix(head, []byte(m)) {
				return true
			}
		}
		return false
	}
}

// isIcon recognises ICO and CUR: their magic is weak, so the first entry has to
// make sense too.
func isIcon(head []byte) bool {
	return len(head) >= 22 && head[0] == 0 && head[1] == 0 && (head[2] == 1 || head[2] == 2) && head[3] == 0 &&
		head[4] != 0 && head[5] == 0 && head[9] == 0 && head[18] >= 6 && head[20] == 0 && head[21] == 0
}

func refuseIcon(r *format.Reader, _ *media.Part) error {
	return media.Refuse(verdict.MediaKind, r.Where, "icons (ICO, CUR) are not taken: send the picture as PNG")
}
