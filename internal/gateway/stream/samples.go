package stream

import (
	"crypto/sha256"
	"io"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

// samples describes audio without a header: its length and its digest are all
// that can be known of it.
func samples(r io.Reader, where string, l *media.Limits) (media.Part, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, l.PartBytes+1))
	if err != nil {
		return media.Part{}, media.Refuse(verdict.MediaEncoding, where, "the content is not base64")
	}
	if n > l.PartBytes {
		return media.Part{}, media.Refuse(verdict.BodyLimit, where, "a part has more than %d bytes", l.PartBytes)
	}
	part := media.Part{Kind: media.Audio, Where: where, Declared: body.PCM, Type: body.PCM, Bytes: n}
	h.Sum(part.Digest[:0])
	return part, nil
}
