package video

import (
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// isMP4 leaves out the brands of images and of audio, which have formats of
// their own.
func isMP4(head []byte) bool {
	if len(head) < 16 || string(head[4:8]) != "ftyp" {
		return false
	}
	switch string(head[8:12]) {
	case "isom", "iso2", "iso3", "iso4", "iso5", "iso6", "iso7", "iso8", "iso9", "mp41", "mp42", "avc1", "M4V ", "M4VH", "M4VP", "MSNV", "dash", "msdh", "3gp4", "3gp5", "3gp6", "3g2a", "f4v ", "mmp4", "qt  ":
		return true
	}
	return false
}

// isQuickTime recognises files from before there was a box for the type: they
// begin with the movie, its data, or room for a larger size of those.
func isQuickTime(head []byte) bool {
	if len(head) < 16 || head[0] != 0 {
		return false
	}
	switch string(head[4:8]) {
	case "moov", "mdat", "wide", "free", "skip", "pnot":
		return true
	}
	return false
}

func walkMP4(r *format.Reader, p *media.Part) error {
	head, err := r.Peek(12)
	if err != nil {
		return err
	}
	if string(head[8:]) == "qt  " {
		p.Type = "video/quicktime"
	}
	m, err := r.Film(p)
	if err != nil {
		return err
	}
	if !m.Pictures { // many writers of audio do not use its brand
		p.Kind, p.Type = media.Audio, "audio/mp4"
	}
	return nil
}
