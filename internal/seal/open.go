package seal

import (
	"bufio"
	"crypto/hpke"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"time"
)

// Expected is what whoever opens an envelope knows of it.
type Expected struct {
	// Context and AAD are those that it was sealed with.
	Context string
	AAD     []byte
	// Now is the time, by which an expired envelope is refused, unless Expired says
	// that it is to be opened all the same.
	Now     time.Time
	Expired bool
}

// Open returns the content of an envelope, and its verified header. Nothing of the
// content has been read when it returns: the reader returns [ErrChanged] where it
// is not as it was sealed, and io.EOF once all of it was. It is one goroutine's.
func Open(r io.Reader, key *PrivateKey, want Expected) (io.Reader, Header, error) {
	if want.Now.IsZero() && !want.Expired {
		return nil, Header{}, errors.New("seal: to open an envelope, say the time, or that it may have expired")
	}
	h, err := ReadHeader(r)
	if err != nil {
		return nil, Header{}, err
	}
	data, err := h.unwrap(key)
	if err != nil {
		return nil, Header{}, err
	}
	aead, commitment, err := derive(data, h.all, want.AAD)
	if err != nil {
		return nil, Header{}, err
	}
	if subtle.ConstantTimeCompare(commitment, h.commitment) != 1 || h.Context != want.Context {
		return nil, Header{}, ErrChanged
	}
	if !h.Expires.IsZero() && !want.Expired && !want.Now.Before(h.Expires) {
		return nil, Header{}, fmt.Errorf("%w: on %s", ErrExpired, h.Expires.Format(time.RFC3339))
	}
	return &reader{from: bufio.NewReaderSize(r, chunkSize+tagSize+1), aead: aead, buffer: make([]byte, chunkSize+tagSize)}, h, nil
}

// unwrap returns the data key.
func (h *Header) unwrap(key *PrivateKey) ([]byte, error) {
	for i, id := range h.Recipients {
		if id != key.ID() {
			continue
		}
		data, err := hpke.Open(key.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(h.plain), h.wrapped[i])
		if err != nil || len(data) != dataKey {
			return nil, ErrChanged
		}
		return data, nil
	}
	return nil, ErrKey
}
