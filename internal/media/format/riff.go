package format

import "encoding/binary"

// riffChunks bounds how many chunks one list may hold, so that empty ones do
// not cost more than their bytes.
const riffChunks = 1 << 16

// RIFF walks the chunks of a list that is n bytes long. Each is called behind a
// chunk's header and reads at most its size; what it leaves is skipped, with the
// byte that pads odd sizes.
func (r *Reader) RIFF(n int64, each func(id string, size int64) error) error {
	end := r.Offset() + n
	for count := 0; r.Offset() < end; count++ {
		if count == riffChunks {
			return r.Malformed("there are more than %d chunks", riffChunks)
		}
		if end-r.Offset() < 8 {
			return r.Malformed("a chunk's header at byte %d does not fit in what holds it", r.Offset())
		}
		h, err := r.Next(8)
		if err != nil {
			return err
		}
		size := int64(binary.LittleEndian.Uint32(h[4:]))
		if string(h[:4]) != r.chunk { // most are like the one before
			r.chunk = string(h[:4])
		}
		id := r.chunk
		for _, c := range h[:4] {
			if c < ' ' || c > '~' {
				return r.Malformed("a chunk at byte %d has no name", r.Offset()-8)
			}
		}
		if size > end-r.Offset() {
			return r.Malformed("a chunk at byte %d declares %d bytes, there are %d", r.Offset()-8, size, end-r.Offset())
		}
		body := r.Offset() + size
		if err := each(id, size); err != nil {
			return err
		}
		if r.Offset() > body {
			return r.Malformed("a chunk's content is longer than the %d bytes that it declares", size)
		}
		if err := r.Skip(body - r.Offset()); err != nil {
			return err
		}
		if size&1 == 1 && r.Offset() < end {
			pad, err := r.Next(1)
			if err != nil {
				return err
			}
			if pad[0] != 0 {
				return r.Malformed("the byte that pads a chunk, at byte %d, is not zero", r.Offset()-1)
			}
		}
	}
	return nil
}

// Riff reads the header of a RIFF file of this form and returns how many bytes
// of chunks follow.
func (r *Reader) Riff(form string) (int64, error) {
	h, err := r.Next(12)
	if err != nil {
		return 0, err
	}
	size := int64(binary.LittleEndian.Uint32(h[4:])) - 4
	if string(h[8:12]) != form || size < 0 {
		return 0, r.Malformed("the RIFF header is not that of %s", form)
	}
	return size, nil
}
