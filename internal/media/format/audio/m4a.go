package audio

import (
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

func isM4A(head []byte) bool {
	if len(head) < 16 || string(head[4:8]) != "ftyp" {
		return false
	}
	switch string(head[8:12]) {
	case "M4A ", "M4B ", "M4P ":
		return true
	}
	return false
}

func walkM4A(r *format.Reader, p *media.Part) error {
	m, err := r.Film(p)
	if err == nil && m.Pictures {
		err = r.Malformed("a file of audio has a track of pictures")
	}
	return err
}
