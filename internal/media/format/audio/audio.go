// Package audio walks audio files from their first byte to their last.
//
// Start with [Formats]. Each format is one file: WAV (RIFF and RF64), MP3, ADTS
// (bare AAC), FLAC, Ogg (Opus, Vorbis) and M4A. Rates, channels and durations
// are held to the bytes that carry them where the format says how, and to the
// limits; no sample is decoded.
//
// Sources: Multimedia Programming Interface 1.0 and EBU Tech 3306 (WAV, RF64),
// ISO/IEC 11172-3 and 13818-3 (MP3), ID3v2.4, ISO/IEC 14496-3 (ADTS), RFC 9639
// (FLAC), RFC 3533 (Ogg), RFC 7845 (Opus in Ogg), Vorbis I, ISO/IEC 14496-12.
package audio

import (
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// Formats are the formats of audio. Those that are recognised by their frames
// alone come last.
func Formats() []format.Format {
	return []format.Format{
		{Type: "audio/wav", Kind: media.Audio, Match: isWAV, Walk: walkWAV},
		{Type: "audio/flac", Kind: media.Audio, Match: isFLAC, Walk: walkFLAC},
		{Type: "audio/ogg", Kind: media.Audio, Match: isOgg, Walk: walkOgg},
		{Type: "audio/mp4", Kind: media.Audio, Match: isM4A, Walk: walkM4A},
		{Type: "audio/mpeg", Kind: media.Audio, Match: isTagged, Walk: walkTagged},
		{Type: "audio/mpeg", Kind: media.Audio, Match: isMP3, Walk: walkMP3},
		{Type: "audio/aac", Kind: media.Audio, Match: isADTS, Walk: walkADTS},
	}
}
