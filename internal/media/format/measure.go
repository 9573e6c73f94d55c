package format

import (
	"math"
	"time"

	"github.com/apexlogic/apex/internal/media"
)

// Picture notes the size of an image or a video, within the limits. Frames is 1
// for a still image.
func (r *Reader) Picture(p *media.Part, width, height, frames int64) error {
	const most = math.MaxInt32
	allFrames, allPixels := int64(r.Limits.Frames), r.Limits.AllPixels
	if p.Kind == media.Video {
		allFrames, allPixels = int64(r.Limits.FilmFrames), r.Limits.FilmPixels
	}
	switch {
	case width <= 0 || height <= 0 || width > most || height > most || frames < 0:
		return r.Malformed("the picture has no size: %d × %d pixels", width, height)
	case width*height > r.Limits.Pixels:
		return r.Over("a picture has %d × %d pixels, allowed are %d", width, height, r.Limits.Pixels)
	case frames > allFrames:
		return r.Over("there are %d frames, allowed are %d", frames, allFrames)
	case frames > 0 && width*height > allPixels/frames:
		return r.Over("all frames together have %d × %d pixels, allowed are %d", frames, width*height, allPixels)
	}
	p.Width, p.Height, p.Frames = int(width), int(height), int(frames)
	return nil
}

// Sound notes the measures of audio, within the limits. Samples are those of
// one channel.
func (r *Reader) Sound(p *media.Part, rate, channels, samples int64) error {
	const (
		mostRate     = 3 << 20 // DSD aside, nothing samples faster
		mostChannels = 255
	)
	if rate <= 0 || rate > mostRate || channels <= 0 || channels > mostChannels || samples < 0 {
		return r.Malformed("the audio declares %d channels at %d samples a second", channels, rate)
	}
	if samples > r.Limits.Samples/channels {
		return r.Over("the audio has %d samples on %d channels, allowed are %d", samples, channels, r.Limits.Samples)
	}
	p.Rate, p.Channels = int(rate), int(channels)
	return r.Lasts(p, samples, rate)
}

// Lasts notes a duration of units/scale seconds, within the limits. The longest
// one that was noted counts.
func (r *Reader) Lasts(p *media.Part, units, scale int64) error {
	if units < 0 || scale <= 0 {
		return r.Malformed("the duration has no scale")
	}
	seconds := units / scale
	if seconds > int64(r.Limits.Duration/time.Second) {
		return r.Over("the content lasts %d s, allowed are %s", seconds, r.Limits.Duration)
	}
	d := time.Duration(seconds)*time.Second + time.Duration(float64(units%scale)/float64(scale)*float64(time.Second))
	if d > r.Limits.Duration {
		return r.Over("the content lasts %s, allowed are %s", d, r.Limits.Duration)
	}
	p.Duration = max(p.Duration, d)
	return nil
}

// Paged notes the number of pages, within the limit.
func (r *Reader) Paged(p *media.Part, pages int) error {
	if pages > r.Limits.Pages {
		return r.Over("the document has %d pages, allowed are %d", pages, r.Limits.Pages)
	}
	p.Pages = pages
	return nil
}
