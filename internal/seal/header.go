package seal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// magic begins an envelope, and says its version.
const magic = "apex-seal/1\n"

const (
	idSize         = 8
	commitmentSize = 32
	// wrappedSize is a data key wrapped for one recipient: what MLKEM768-X25519
	// encapsulates, which is a ciphertext of ML-KEM-768 and a key of X25519, and the
	// sealed data key.
	wrappedSize = 1088 + 32 + dataKey + tagSize
	maxContext  = 255
)

// Header is what everybody can read of an envelope:
//
//	"apex-seal/1\n"
//	expires     8 bytes, seconds since 1970, big-endian; 0: never
//	context     1 byte of length, and as many bytes
//	recipients  1 byte, 1 to 32; for each
//	    key id  8 bytes
//	    key     1168 bytes, by HPKE
//	commitment  32 bytes
type Header struct {
	Context string
	Expires time.Time // zero: never
	// Recipients are the ids of the keys that open it.
	Recipients []string

	plain      []byte // up to the recipients
	all        []byte // up to the commitment
	wrapped    [][]byte
	commitment []byte
}

// append appends the header up to its recipients.
func (h *Header) append(b []byte, recipients int) ([]byte, error) {
	if len(h.Context) > maxContext {
		return nil, fmt.Errorf("seal: the context has %d bytes, allowed are %d", len(h.Context), maxContext)
	}
	var expires int64
	if !h.Expires.IsZero() {
		if expires = h.Expires.Unix(); expires <= 0 {
			return nil, errors.New("seal: the envelope would expire before 1970")
		}
	}
	b = binary.BigEndian.AppendUint64(append(b, magic...), uint64(expires))
	b = append(append(b, byte(len(h.Context))), h.Context...)
	return append(b, byte(recipients)), nil
}

// ReadHeader reads an envelope up to its content, at most 38 KB. Nothing of it is
// verified: whoever could write the envelope could write anything there. [Open]
// verifies it.
func ReadHeader(r io.Reader) (Header, error) {
	var h Header
	var read bytes.Buffer
	// take reads on; what it returns lasts until it is called again.
	take := func(n int) ([]byte, error) {
		_, err := io.CopyN(&read, r, int64(n))
		if err == io.EOF {
			err = fmt.Errorf("%w: it ends within its header", ErrMalformed)
		}
		return read.Bytes()[max(0, read.Len()-n):], err
	}
	b, err := take(len(magic) + 8 + 1)
	if err != nil {
		return Header{}, err
	}
	b, ours := bytes.CutPrefix(b, []byte(magic))
	if !ours {
		return Header{}, fmt.Errorf("%w of a known version", ErrMalformed)
	}
	switch seconds := int64(binary.BigEndian.Uint64(b)); {
	case seconds < 0:
		return Header{}, fmt.Errorf("%w: its time cannot be read", ErrMalformed)
	case seconds > 0:
		h.Expires = time.Unix(seconds, 0).UTC()
	}
	length := int(b[8])
	if b, err = take(length + 1); err != nil {
		return Header{}, err
	}
	h.Context = string(b[:length])
	count := int(b[length])
	if count == 0 || count > MaxRecipients {
		return Header{}, fmt.Errorf("%w: it has %d recipients", ErrMalformed, count)
	}
	h.plain = bytes.Clone(read.Bytes())
	for range count {
		if b, err = take(idSize + wrappedSize); err != nil {
			return Header{}, err
		}
		h.Recipients = append(h.Recipients, hex.EncodeToString(b[:idSize]))
		h.wrapped = append(h.wrapped, bytes.Clone(b[idSize:]))
	}
	h.all = bytes.Clone(read.Bytes())
	if b, err = take(commitmentSize); err != nil {
		return Header{}, err
	}
	h.commitment = bytes.Clone(b)
	return h, nil
}
