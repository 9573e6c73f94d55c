package oci

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

const (
	// MaxUnpacked is how many bytes one layer may unpack to. The largest layers
	// in use (CUDA with a framework) have about 12 GB.
	MaxUnpacked = 64 << 30
	// maxRatio is how much larger than it is stored a layer may become, after
	// the first freeRatio bytes. File systems pack 2 to 5 times, a layer of
	// sparse files up to 200 times; DEFLATE cannot do more than 1,032.
	maxRatio  = 300
	freeRatio = 256 << 20
	// maxWindow of zstd decides how much memory a layer costs; the compressors
	// of images stay at 8 MiB even at their highest level.
	maxWindow = 32 << 20
	// layerChunk is how much of a layer is asked of a registry at once.
	layerChunk = 8 << 20
)

// Layers is one image whose layers can be read one after the other, wherever it
// is kept. Make it with [Client.Layers] or [OpenLocal]; close it after use. It
// is safe for concurrent use.
type Layers struct {
	ref   verdict.Ref
	image fact.Image
	// blobs are the layers as they are stored; their digest is "" where nothing
	// names one, as in an archive of "docker save".
	blobs []Descriptor
	raw   func(ctx context.Context, i int) (io.ReadCloser, error)
	close func() error
}

// Ref names the image; the digest is that of its manifest, "" for an archive
// that holds none, and the repository is "" outside of registries.
func (l *Layers) Ref() verdict.Ref { return l.ref }

// Image is what the manifest and the configuration say. It must not be changed.
func (l *Layers) Image() fact.Image { return l.image }

// Len is the number of layers.
func (l *Layers) Len() int { return len(l.blobs) }

// Close releases what the image is read from. Readers that are open fail.
func (l *Layers) Close() error {
	if l.close == nil {
		return nil
	}
	return l.close()
}

// Open reads layer i, lowest first, unpacked: a tar archive. gzip and zstd are
// told by their first bytes, as runtimes do it, and may be named wrongly.
//
// The reader returns io.EOF only when the bytes as they were stored have the
// digest and size that the manifest names, and those that were read the diffID
// of the configuration; until then nothing that was read is proved. It fails
// with the code registry.digest.mismatch otherwise, and with
// registry.answer.too-large beyond [MaxUnpacked] bytes or at a ratio that no
// file system has. Closing early is no error.
func (l *Layers) Open(ctx context.Context, i int) (io.ReadCloser, error) {
	c := &call{op: "read layer", ref: l.image.DiffIDs[i].Short()}
	raw, err := l.raw(ctx, i)
	if err != nil {
		return nil, c.wrap(err)
	}
	r, err := unpack(raw, l.blobs[i], l.image.DiffIDs[i])
	if err != nil {
		raw.Close()
		return nil, c.wrap(err)
	}
	r.call = c
	return r, nil
}

// Layers returns the image with the digest, its layers read from the registry
// in parts. An index is an error, as it is for [Client.Image]; everything that
// is fetched is charged to the context of [Layers.Open].
func (c *Client) Layers(ctx context.Context, repo string, d verdict.Digest) (*Layers, error) {
	img, err := c.Image(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	r, err := parseRepository(repo)
	if err != nil {
		return nil, err
	}
	cl := c.newCall("read image", repo+"@"+string(d), r)
	m, err := cl.manifest(ctx, d) // has just been cached
	if err != nil {
		return nil, cl.wrap(err)
	}
	doc, err := imageManifest(&m)
	if err != nil {
		return nil, cl.wrap(err)
	}
	return &Layers{
		ref:   verdict.Ref{Kind: verdict.KindImage, Repo: repo, Digest: d},
		image: img,
		blobs: doc.Layers,
		raw: func(ctx context.Context, i int) (io.ReadCloser, error) {
			return &parts{ctx: ctx, client: c, repo: repo, blob: doc.Layers[i]}, nil
		},
	}, nil
}

// parts reads a blob of a registry from its start to its end, a chunk at a
// time: a call of the client is bounded in time and bytes, a layer is not.
type parts struct {
	ctx    context.Context
	client *Client
	repo   string
	blob   Descriptor
	off    int64
	chunk  bytes.Reader
}

func (p *parts) Read(b []byte) (int, error) {
	if p.chunk.Len() == 0 {
		if p.off >= p.blob.Size {
			return 0, io.EOF
		}
		data, err := p.client.BlobRange(p.ctx, p.repo, p.blob, p.off, min(layerChunk, p.blob.Size-p.off))
		if err != nil {
			return 0, err
		}
		p.off += int64(len(data))
		p.chunk.Reset(data)
	}
	return p.chunk.Read(b)
}

func (p *parts) Close() error { return nil }

// unpacked is a layer on its way to the reader: stored bytes, decompressor,
// unpacked bytes, each side hashed.
type unpacked struct {
	call   *call
	stored *summed
	in     *bufio.Reader // over stored
	from   io.Reader     // in, decompressed
	stop   func()        // releases the decompressor
	raw    io.Closer
	blob   Descriptor

	diffID verdict.Digest
	sum    hash.Hash
	n      int64
	err    error
}

// summed counts and hashes what is read through it.
type summed struct {
	r   io.Reader
	sum hash.Hash
	n   int64
	max int64
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum.Write(p[:n])
	if s.n += int64(n); s.n > s.max {
		return n, faultf(verdict.RegistryDigest, "the layer has more than the %d bytes that its descriptor names", s.max)
	}
	return n, err
}

func unpack(raw io.ReadCloser, blob Descriptor, diffID verdict.Digest) (*unpacked, error) {
	u := &unpacked{raw: raw, blob: blob, diffID: diffID, sum: sha256.New(), stop: func() {}}
	u.stored = &summed{r: raw, sum: sha256.New(), max: blob.Size}
	u.in = bufio.NewReaderSize(u.stored, 128<<10)
	magic, err := u.in.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(u.in)
		if err != nil {
			return nil, faultf(verdict.RegistryAnswer, "the layer is not the gzip stream that it begins as: %w", err)
		}
		u.from = z
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(magic) == 4 && magic[0]&0xf0 == 0x50 && bytes.Equal(magic[1:], []byte{0x2a, 0x4d, 0x18}):
		// A frame, or one that is skipped (RFC 8878 section 3.1.2).
		z, err := zstd.NewReader(u.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, faultf(verdict.RegistryAnswer, "the layer is not the zstd stream that it begins as: %w", err)
		}
		u.from, u.stop = z, z.Close
	default:
		u.from = u.in
	}
	return u, nil
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.from.Read(p)
	u.sum.Write(p[:n])
	u.n += int64(n)
	switch {
	case u.n > MaxUnpacked:
		err = faultf(verdict.RegistryTooLarge, "the layer: %w of %d bytes unpacked", bounded.ErrTooLarge, int64(MaxUnpacked))
	case u.n > freeRatio && u.n/maxRatio > u.stored.n:
		err = faultf(verdict.RegistryTooLarge, "the layer grows to more than %d times its size: %w", maxRatio, bounded.ErrTooLarge)
	case err == io.EOF:
		if err = u.proved(); err == nil {
			err = io.EOF
		}
	case err != nil:
		if _, ours := asFault(err); !ours {
			err = faultf(verdict.RegistryAnswer, "the layer cannot be unpacked after %d bytes: %w", u.n, err)
		}
	}
	if err != nil && err != io.EOF {
		err = u.call.wrap(err)
		n = 0 // what a failing read brought is not worth having
	}
	u.err = err
	return n, err
}

// proved compares what was read with what was promised.
func (u *unpacked) proved() error {
	// Bytes behind the end of a gzip stream are part of the blob too.
	if _, err := io.Copy(io.Discard, u.in); err != nil {
		return err
	}
	if u.stored.n != u.blob.Size {
		return faultf(verdict.RegistryDigest, "the layer should have %d bytes and has %d", u.blob.Size, u.stored.n)
	}
	if got := hexDigest(u.stored.sum); u.blob.Digest != "" && got != u.blob.Digest {
		return faultf(verdict.RegistryDigest, "the layer should have the digest %s and has %s", u.blob.Digest, got)
	}
	if got := hexDigest(u.sum); got != u.diffID {
		return faultf(verdict.RegistryDigest, "the layer should unpack to %s, as the configuration says, and does to %s", u.diffID, got)
	}
	return nil
}

// Close ends the reading; a second call does nothing.
func (u *unpacked) Close() error {
	if u.stop != nil {
		u.stop()
		u.stop = nil
	}
	if u.err == nil {
		u.err = fmt.Errorf("read layer: %w", io.ErrClosedPipe)
	}
	return u.raw.Close()
}

func hexDigest(h hash.Hash) verdict.Digest {
	return verdict.Digest("sha256:" + hex.EncodeToString(h.Sum(nil)))
}
