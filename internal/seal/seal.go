// Package seal makes envelopes: content that only those can open for whom it was
// sealed, of which nobody can change or cut off anything, and that expires.
//
// Start with [GenerateKey], with [To], which seals while it is written to, and
// with [Open]. Who seals needs public keys only, so that a process that stores
// what is dear to others holds nothing that opens it. An envelope does not say who
// sealed it: everybody can who has the public key. Where that matters, keep its
// digest in a place of which the writers are known.
//
// An envelope is a header and chunks of 64 KiB. Each content has a random data
// key; it is wrapped for each recipient by HPKE with MLKEM768-X25519, so that
// what is stored today is not opened by a quantum computer of tomorrow. From the
// data key and the whole header come the key of the chunks, and a commitment to it,
// which is part of the header: it can be opened in one way only, and a changed
// header opens nothing. Chunks are AES-256-GCM in the STREAM construction: their
// nonce is their number and whether they are the last.
//
// Sources: RFC 9180 (HPKE), draft-ietf-hpke-pq (the hybrid KEM), RFC 5869 (HKDF),
// Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its
// Nonce-Reuse Misuse-Resistance" (STREAM), and Albertini et al., "How to Abuse and
// Fix Authenticated Encryption Without Key Commitment".
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"
)

// MediaType of an envelope.
const MediaType = "application/vnd.apex.sealed"

// MaxRecipients is for how many keys one envelope can be sealed.
const MaxRecipients = 32

const (
	chunkSize = 64 << 10
	tagSize   = 16
	dataKey   = 32
	// maxChunks bounds an envelope to a tebibyte, far below what one key of
	// AES-GCM may be used for with nonces that are counted.
	maxChunks = 1 << 24
)

// What keys are derived for.
const (
	forWrapping   = "apex-seal/1 data key"
	forChunks     = "apex-seal/1 chunks"
	forCommitment = "apex-seal/1 commitment"
)

// Errors of [Open] and of the reader that it returns.
var (
	// ErrMalformed is wrapped by the error of what is no envelope.
	ErrMalformed = errors.New("not an envelope")
	// ErrKey says that the envelope was sealed for other keys.
	ErrKey = errors.New("the envelope was not sealed for this key")
	// ErrExpired is wrapped by the error of an envelope that is not to be opened any more.
	ErrExpired = errors.New("the envelope has expired")
	// ErrChanged says that the envelope is not as it was sealed, not whole, or not
	// for what it is opened for.
	ErrChanged = errors.New("the envelope was changed, is not whole, or belongs to something else")
)

// Options say what an envelope is for.
type Options struct {
	// Context says what the content is, for example apex.capture/v1: up to 255 bytes,
	// which everybody can read in the envelope.
	Context string
	// AAD is what the envelope belongs to. It is not in the envelope: who opens it
	// has to say the same.
	AAD []byte
	// Expires is when it is to be opened no more, in whole seconds; zero: never.
	Expires time.Time
}

// To returns a writer that seals what is written to it, and writes the envelope to
// w. Close writes the end, without which nobody opens the envelope; it does not
// close w. The writer is one goroutine's.
func To(w io.Writer, recipients []*PublicKey, o Options) (io.WriteCloser, error) {
	if len(recipients) == 0 || len(recipients) > MaxRecipients {
		return nil, fmt.Errorf("seal: %d recipients; an envelope has 1 to %d", len(recipients), MaxRecipients)
	}
	h := Header{Context: o.Context, Expires: o.Expires}
	plain, err := h.append(nil, len(recipients))
	if err != nil {
		return nil, err
	}
	var data [dataKey]byte
	rand.Read(data[:]) // which never fails
	all := plain
	for i, r := range recipients {
		for _, other := range recipients[:i] {
			if other.id == r.id {
				return nil, fmt.Errorf("seal: the key %s is a recipient twice", r.ID())
			}
		}
		wrapped, err := hpke.Seal(r.key, hpke.HKDFSHA256(), hpke.AES256GCM(), info(plain), data[:])
		if err != nil {
			return nil, fmt.Errorf("seal: wrap the data key for %s: %w", r.ID(), err)
		}
		all = append(append(all, r.id[:]...), wrapped...)
	}
	aead, commitment, err := derive(data[:], all, o.AAD)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(append(all, commitment...)); err != nil {
		return nil, err
	}
	return &writer{to: w, aead: aead, chunk: make([]byte, 0, chunkSize+tagSize)}, nil
}

// info binds a wrapped key to the beginning of its header.
func info(plain []byte) []byte {
	sum := sha256.Sum256(plain)
	return append([]byte(forWrapping), sum[:]...)
}

// derive returns what seals chunks, and the commitment to it, of an envelope with
// this header.
func derive(data, header, aad []byte) (cipher.AEAD, []byte, error) {
	about := sha256.Sum256(aad)
	hash := sha256.New()
	hash.Write(header)
	hash.Write(about[:])
	salt := hash.Sum(nil)
	key, err := hkdf.Key(sha256.New, data, salt, forChunks, dataKey)
	if err != nil {
		return nil, nil, err
	}
	commitment, err := hkdf.Key(sha256.New, data, salt, forCommitment, commitmentSize)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	return aead, commitment, err
}
