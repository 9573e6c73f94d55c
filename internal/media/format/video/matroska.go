package video

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/format"
)

func isEBML(head []byte) bool {
	return len(head) >= 4 && binary.BigEndian.Uint32(head) == idEBML
}

// Elements (RFC 9559 section 5).
const (
	idEBML        = 0x1A45DFA3
	idDocType     = 0x4282
	idSegment     = 0x18538067
	idSeekHead    = 0x114D9B74
	idInfo        = 0x1549A966
	idTracks      = 0x1654AE6B
	idCluster     = 0x1F43B675
	idCues        = 0x1C53BB6B
	idChapters    = 0x1043A770
	idTags        = 0x1254C367
	idAttachments = 0x1941A469
	idVoid        = 0xEC
	idCRC         = 0xBF
	idScale       = 0x2AD7B1
	idDuration    = 0x4489
	idTitle       = 0x7BA9
	idDate        = 0x4461
	idTrack       = 0xAE
	idNumber      = 0xD7
	idKind        = 0x83
	idVideo       = 0xE0
	idAudio       = 0xE1
	idWidth       = 0xB0
	idHeight      = 0xBA
	idRate        = 0xB5
	idChannels    = 0x9F
	idTime        = 0xE7
	idSimpleBlock = 0xA3
	idBlockGroup  = 0xA0
	idBlock       = 0xA1
)

const (
	kindVideo, kindAudio = 1, 2
	matroskaElements     = 1 << 20 // of one file: a block of 20 ms each in an hour needs 180,000
	unknown              = -1
)

// matroska is the walk of one file.
type matroska struct {
	*format.Reader
	part     *media.Part
	elements int

	scale    int64 // nanoseconds of a tick
	duration float64
	webm     bool
	kinds    map[uint64]uint64 // of tracks, by number
	pictures bool
	sounds   bool

	width, height  int64
	rate, channels int64
	number, kind   uint64 // of the track at hand

	time   int64 // of the cluster, in ticks
	latest int64
	frames int64
	blocks int64
}

// element is one element's header. Size is unknown where it is not told.
type element struct {
	id   uint64
	size int64
}

func walkMatroska(r *format.Reader, p *media.Part) error {
	w := &matroska{Reader: r, part: p, scale: 1_000_000, kinds: map[uint64]uint64{}}
	e, err := w.next()
	if err != nil {
		return err
	}
	if e.size == unknown || e.size > format.Reach {
		return r.Malformed("the header of the file is not one")
	}
	if err := w.each(e.size, w.header); err != nil {
		return err
	}
	if e, err = w.next(); err != nil {
		return err
	}
	if e.id != idSegment {
		return r.Malformed("behind the header stands no segment")
	}
	if err := w.segment(e.size); err != nil {
		return err
	}
	return w.close()
}

// next reads an element's header: an id of 1 to 4 bytes, a size of 1 to 8.
func (w *matroska) next() (e element, err error) {
	if w.elements++; w.elements > matroskaElements {
		return e, w.Malformed("there are more than %d elements", matroskaElements)
	}
	at := w.Offset()
	b, err := w.Peek(12)
	if err != nil {
		return e, err
	}
	if len(b) < 2 {
		return e, w.Truncated()
	}
	n := bits.LeadingZeros8(b[0]) + 1
	if n > 4 || len(b) <= n {
		return e, w.Malformed("at byte %d stands no element", at)
	}
	for _, c := range b[:n] {
		e.id = e.id<<8 | uint64(c)
	}
	m := bits.LeadingZeros8(b[n]) + 1
	if m > 8 || len(b) < n+m {
		return e, w.Malformed("an element at byte %d has no size", at)
	}
	size := uint64(b[n]) &^ (0x80 >> (m - 1))
	for _, c := range b[n+1 : n+m] {
		size = size<<8 | uint64(c)
	}
	e.size = int64(size)
	if size == 1<<(7*m)-1 {
		e.size = unknown
	}
	w.Advance(n + m)
	return e, nil
}

// each walks the elements that fill n bytes. What f leaves is skipped.
func (w *matroska) each(n int64, f func(element) error) error {
	end := w.Offset() + n
	for w.Offset() < end {
		e, err := w.next()
		if err != nil {
			return err
		}
		if e.size == unknown || e.size > end-w.Offset() {
			return w.Malformed("an element at byte %d does not fit in what holds it", w.Offset())
		}
		behind := w.Offset() + e.size
		if err := f(e); err != nil {
			return err
		}
		if w.Offset() > behind {
			return w.Malformed("an element's content is longer than it declares")
		}
		if err := w.Skip(behind - w.Offset()); err != nil {
			return err
		}
	}
	if w.Offset() > end {
		return w.Malformed("an element's content is longer than it declares")
	}
	return nil
}

func (w *matroska) header(e element) error {
	if e.id != idDocType {
		return nil
	}
	if e.size > 16 {
		return w.Malformed("the kind of document is not one of Matroska")
	}
	name, err := w.Next(int(e.size))
	if err != nil {
		return err
	}
	switch string(name) {
	case "webm":
		w.webm = true
	case "matroska":
	default:
		return w.Malformed("the kind of document is not one of Matroska")
	}
	return nil
}

// segment walks the elements of the segment. Live recorders do not tell its
// size, nor that of clusters: those end where an element of the level above
// begins, so both are walked as one level.
func (w *matroska) segment(size int64) error {
	end := w.Offset() + size
	for {
		if size != unknown && w.Offset() >= end {
			break
		}
		if size == unknown {
			if done, err := w.Ended(); done || err != nil {
				return err
			}
		}
		at := w.Offset()
		e, err := w.next()
		if err != nil {
			return err
		}
		if e.size == unknown {
			if e.id != idCluster {
				return w.Malformed("an element at byte %d has no size", at)
			}
			continue
		}
		if size != unknown && e.size > end-w.Offset() {
			return w.Malformed("an element at byte %d does not fit in what holds it", at)
		}
		behind := w.Offset() + e.size
		if err := w.top(e, at); err != nil {
			return err
		}
		if w.Offset() > behind {
			return w.Malformed("an element's content is longer than it declares")
		}
		if err := w.Skip(behind - w.Offset()); err != nil {
			return err
		}
	}
	return w.End()
}

// top reads an element of a segment, or of a cluster without a size.
func (w *matroska) top(e element, at int64) error {
	switch e.id {
	case idInfo:
		return w.each(e.size, w.info)
	case idTracks:
		return w.each(e.size, w.track)
	case idCluster:
		return w.each(e.size, w.cluster)
	case idTime, idSimpleBlock, idBlockGroup, 0xA7, 0xAB: // Position, PrevSize
		return w.cluster(e)
	case idTags:
		text, whole, err := w.Keep(e.size)
		if !whole {
			format.Unread(w.part)
		}
		format.Comment(w.part, text)
		return err
	case idAttachments:
		if e.size > 0 {
			w.part.Carries |= media.Attachment
		}
	case idSeekHead, idCues, idChapters, idVoid, idCRC:
	default:
		return w.Polyglot("at byte %d stands an element that is none of a segment", at)
	}
	return nil
}

func (w *matroska) info(e element) error {
	switch e.id {
	case idScale:
		v, err := w.integer(e)
		if v == 0 || v > 1e9 {
			return w.Malformed("the duration has no scale")
		}
		w.scale = int64(v)
		return err
	case idDuration:
		v, err := w.float(e)
		w.duration = v
		return err
	case idTitle, idDate:
		w.part.Carries |= media.Personal
	}
	return nil
}

func (w *matroska) integer(e element) (v uint64, err error) {
	if e.size > 8 {
		return 0, w.Malformed("a number has %d bytes", e.size)
	}
	b, err := w.Next(int(e.size))
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v, err
}

func (w *matroska) float(e element) (float64, error) {
	bits, err := w.integer(e)
	v := math.Float64frombits(bits)
	if e.size == 4 {
		v = float64(math.Float32frombits(uint32(bits)))
	}
	if err == nil && (!(v >= 0) || v > 1<<53) {
		err = w.Malformed("a number is none")
	}
	return v, err
}

func (w *matroska) track(e element) error {
	if e.id != idTrack {
		return nil
	}
	const most = 64
	if len(w.kinds) == most {
		return w.Over("there are more than %d tracks", most)
	}
	w.number, w.kind = 0, 0
	if err := w.each(e.size, w.trackField); err != nil {
		return err
	}
	if w.number == 0 {
		return w.Malformed("a track has no number")
	}
	w.kinds[w.number] = w.kind
	w.pictures = w.pictures || w.kind == kindVideo
	w.sounds = w.sounds || w.kind == kindAudio
	if w.kind == kindVideo {
		return w.Picture(w.part, w.width, w.height, 0)
	}
	return nil
}

func (w *matroska) trackField(e element) (err error) {
	switch e.id {
	case idNumber:
		w.number, err = w.integer(e)
	case idKind:
		w.kind, err = w.integer(e)
	case idVideo:
		var width, height uint64
		err = w.each(e.size, func(e element) (err error) {
			switch e.id {
			case idWidth:
				width, err = w.integer(e)
			case idHeight:
				height, err = w.integer(e)
			}
			return err
		})
		if width >= 1<<31 || height >= 1<<31 {
			return w.Malformed("a track of pictures has no size")
		}
		if int64(width*height) > w.width*w.height {
			w.width, w.height = int64(width), int64(height)
		}
	case idAudio:
		rate, channels := 8000.0, uint64(1) // when they are not told
		err = w.each(e.size, func(e element) (err error) {
			switch e.id {
			case idRate:
				rate, err = w.float(e)
			case idChannels:
				channels, err = w.integer(e)
			}
			return err
		})
		if err == nil {
			w.rate, w.channels = int64(rate), int64(min(channels, 1<<16))
			err = w.Sound(w.part, w.rate, w.channels, 0)
		}
	}
	return err
}

func (w *matroska) cluster(e element) error {
	switch e.id {
	case idTime:
		v, err := w.integer(e)
		if v > 1<<53 {
			return w.Malformed("a cluster's time is none")
		}
		w.time = int64(v)
		return err
	case idSimpleBlock, idBlock:
		return w.block(e.size)
	case idBlockGroup:
		return w.each(e.size, w.cluster)
	}
	return nil
}

// block reads the header of a block: its track, and when it is shown.
func (w *matroska) block(size int64) error {
	b, err := w.Peek(12)
	if err != nil {
		return err
	}
	if size < 4 || len(b) < 4 || b[0] == 0 {
		return w.Malformed("a block has no header")
	}
	n := bits.LeadingZeros8(b[0]) + 1
	if len(b) < n+4 || size < int64(n)+3 {
		return w.Malformed("a block has no header")
	}
	number := uint64(b[0]) &^ (0x80 >> (n - 1))
	for _, c := range b[1:n] {
		number = number<<8 | uint64(c)
	}
	kind, known := w.kinds[number]
	if !known {
		return w.Malformed("a block is of a track that was not described")
	}
	w.blocks++
	w.latest = max(w.latest, w.time+int64(int16(binary.BigEndian.Uint16(b[n:]))))
	if kind != kindVideo {
		return nil
	}
	w.frames++
	if b[n+2]&6 != 0 { // lacing: several frames in one block
		w.frames += int64(b[n+3])
	}
	return w.Picture(w.part, w.width, w.height, w.frames)
}

func (w *matroska) close() error {
	if w.blocks == 0 {
		return w.Malformed("there are no samples")
	}
	ticks := max(w.duration, float64(w.latest))
	seconds := ticks * float64(w.scale) / 1e9
	if !(seconds < 1<<40) {
		return w.Over("the content lasts longer than anything")
	}
	if err := w.Lasts(w.part, int64(seconds*1000), 1000); err != nil {
		return err
	}
	if w.sounds {
		if err := w.Sound(w.part, w.rate, w.channels, int64(seconds*float64(w.rate))); err != nil {
			return err
		}
	}
	switch {
	case w.pictures && !w.webm:
		w.part.Type = "video/x-matroska"
	case w.pictures:
	case w.sounds:
		w.part.Kind, w.part.Type = media.Audio, "audio/webm"
		if !w.webm {
			w.part.Type = "audio/x-matroska"
		}
	default:
		return w.Malformed("there is neither a track of pictures nor one of audio")
	}
	return nil
}
