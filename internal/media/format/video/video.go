// Package video walks video files from their first byte to their last.
//
// Start with [Formats]. Each format is one file: MP4 and QuickTime, WebM and
// Matroska, AVI. Sizes, frames and durations are counted from the tables and
// blocks that a player reads, held to the limits, and compared to the bytes
// that there are; no frame is decoded.
//
// Sources: ISO/IEC 14496-12 (ISO base media), QuickTime File Format, RFC 8794
// (EBML), RFC 9559 (Matroska), the OpenDML AVI file format extensions.
package video

import (
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

// Formats are the formats of video.
func Formats() []format.Format {
	return []format.Format{
		{Type: "video/mp4", Kind: media.Video, Match: isMP4, Walk: walkMP4},
		{Type: "video/quicktime", Kind: media.Video, Match: isQuickTime, Walk: walkMP4},
		{Type: "video/webm", Kind: media.Video, Match: isEBML, Walk: walkMatroska},
		{Type: "video/x-msvideo", Kind: media.Video, Match: isAVI, Walk: walkAVI},
	}
}
