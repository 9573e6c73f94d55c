package registry

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// hasBlob reports whether repo may serve the blob d, and the blob's size. The
// link in the repository decides, not whether the bytes are on the disk.
func (r *Registry) hasBlob(repo string, d verdict.Digest) (size int64, ok bool, err error) {
	if ok, err := r.disk.exists(repoPath(repo, "_blobs", d.Hex())); !ok || err != nil {
		return 0, false, err
	}
	info, err := r.disk.root.Lstat(blobPath(d))
	if err != nil {
		return 0, false, fmt.Errorf("blob %s is linked into %s and cannot be read: %w", d, repo, err)
	}
	return info.Size(), true, nil
}

func (r *Registry) getBlob(x *exchange) error {
	_, ok, err := r.hasBlob(x.repo, x.digest)
	if err != nil {
		return err
	}
	if !ok {
		return refuse(http.StatusNotFound, codeBlobUnknown, "this repository has no blob %s", x.digest)
	}
	f, err := r.disk.root.Open(blobPath(x.digest))
	if err != nil {
		return err
	}
	defer f.Close()
	return serveContent(x, f, x.digest, "application/octet-stream")
}

// serveContent answers GET and HEAD with ranges and conditions (RFC 9110).
// Content never changes under a digest, so the digest is a strong ETag.
func serveContent(x *exchange, content io.ReadSeeker, d verdict.Digest, mediaType string) error {
	size, err := content.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Docker-Content-Digest", string(d))
	h.Set("ETag", `"`+string(d)+`"`)
	if text := x.req.Header.Get("Range"); text != "" {
		switch kind := judgeRange(text, size); {
		case kind == rangeIgnored:
			x.req.Header.Del("Range")
		case kind == rangeUnsatisfiable && x.req.Header.Get("If-Range") == "":
			return refuse(http.StatusRequestedRangeNotSatisfiable, codeSizeInvalid, "the blob has %d bytes", size).
				with("Content-Range", fmt.Sprintf("bytes */%d", size))
		}
	}
	if err := extendWrite(x, size); err != nil {
		return err
	}
	h.Set("Content-Type", mediaType)
	http.ServeContent(x.w, x.req, "", time.Time{}, content)
	return nil
}

func (r *Registry) deleteBlob(x *exchange) error {
	if err := r.mustKnow(x.repo); err != nil {
		return err
	}
	unlock, err := r.disk.lock(repoPath(x.repo, "_lock"), lockExclusive)
	if err != nil {
		return err
	}
	defer unlock()
	if ok, err := r.disk.exists(repoPath(x.repo, "_blobs", x.digest.Hex())); err != nil {
		return err
	} else if !ok {
		return refuse(http.StatusNotFound, codeBlobUnknown, "this repository has no blob %s", x.digest)
	}
	user, err := r.userOf(x.repo, x.digest)
	if err != nil {
		return err
	}
	if user != "" {
		return refuse(http.StatusMethodNotAllowed, codeUnsupported, "manifest %s consists of this blob: delete the manifest first", user)
	}
	if err := r.disk.remove(repoPath(x.repo, "_blobs", x.digest.Hex())); err != nil {
		return err
	}
	x.w.WriteHeader(http.StatusAccepted)
	return nil
}

// storeBytes puts small content at its digest's place.
func (r *Registry) storeBytes(d verdict.Digest, data []byte) error {
	return r.disk.replace(blobPath(d), data)
}
