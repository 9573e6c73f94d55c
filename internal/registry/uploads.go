package registry

import (
	"errors"
	"io"
	"net/http"

	"github.com/apexlogic/apex/verdict"
)

// beginUpload answers POST: mount a blob from another repository, take a whole
// blob, or open an upload.
func (r *Registry) beginUpload(x *exchange) error {
	q := x.req.URL.Query()
	if a := q.Get("digest-algorithm"); a != "" && a != "sha256" {
		return refuse(http.StatusBadRequest, codeDigestInvalid, "digests are sha256 here")
	}
	if q.Has("mount") {
		done, err := r.mount(x, q.Get("mount"), q.Get("from"))
		if done || err != nil {
			return err
		}
	}
	var whole verdict.Digest
	if q.Has("digest") {
		var prob *problem
		if whole, prob = digestParam(q.Get("digest")); prob != nil {
			return prob
		}
	}
	u, id, err := r.newUpload(x.who.principal, x.repo)
	if err != nil {
		return err
	}
	defer u.close()
	if whole == "" {
		x.upload = id
		accepted(x, u)
		return nil
	}
	if err := r.receive(x, u); err != nil {
		u.drop()
		return err
	}
	return r.finish(x, u, whole)
}

// mount links a blob of another repository into this one. A source that the
// caller may not pull from looks like one that does not have the blob: an
// upload is opened instead.
func (r *Registry) mount(x *exchange, mount, from string) (done bool, err error) {
	d, prob := digestParam(mount)
	if prob != nil {
		return false, prob
	}
	if !ValidRepository(from) || !r.may(x.who, from, Pull) {
		return false, nil
	}
	if _, ok, err := r.hasBlob(from, d); !ok || err != nil {
		return false, err
	}
	if err := r.disk.touch(repoPath(x.repo, "_blobs", d.Hex())); err != nil {
		return false, err
	}
	created(x, "/blobs/", d)
	return true, nil
}

func digestParam(text string) (verdict.Digest, *problem) {
	d, err := verdict.ParseDigest(text)
	if err != nil {
		return "", refuse(http.StatusBadRequest, codeDigestInvalid, "%v", verdict.ErrDigest)
	}
	return d, nil
}

// receive appends the request's body to the upload. When the client breaks
// off, what came so far is kept and can be resumed; when the disk fails,
// everything since the last acknowledged byte is taken back.
func (r *Registry) receive(x *exchange, u *upload) error {
	before := u.Offset
	first, last, ranged := int64(0), int64(0), false
	if text := x.req.Header.Get("Content-Range"); text != "" {
		if first, last, ranged = parseContentRange(text); !ranged {
			return refuse(http.StatusBadRequest, codeUploadInvalid, "Content-Range must be first-last, for example 0-1023")
		}
		if first != before {
			return refuse(http.StatusRequestedRangeNotSatisfiable, codeUploadInvalid, "the next byte of this upload is %d", before).
				with("Location", uploadLocation(x)).with("Range", u.progress())
		}
	}
	err := r.copyBody(x, u)
	var broken *bodyError
	switch {
	case errors.As(err, &broken):
		return errors.Join(err, u.save())
	case err == nil && ranged && u.Offset-before != last-first+1:
		err = refuse(http.StatusBadRequest, codeSizeInvalid, "Content-Range says %d bytes and %d came", last-first+1, u.Offset-before)
		fallthrough
	case err != nil:
		// The room is given back; the next request begins where this one did.
		return errors.Join(err, u.file.Truncate(before))
	}
	return nil
}

func (r *Registry) copyBody(x *exchange, u *upload) error {
	tooLarge := refuse(http.StatusRequestEntityTooLarge, codeSizeInvalid, "a blob has at most %d bytes here", r.limits.Blob)
	if x.req.ContentLength > r.limits.Blob-u.Offset {
		return tooLarge
	}
	body := r.paced(x)
	buf := r.buffers.Get().(*[copyBuffer]byte)
	defer r.buffers.Put(buf)
	for {
		n, err := body.Read(buf[:])
		if int64(n) > r.limits.Blob-u.Offset {
			return tooLarge
		}
		if n > 0 {
			if err := u.write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *Registry) uploadStatus(x *exchange) error {
	u, err := r.takeUpload(x.who.principal, x.repo, x.upload)
	if err != nil {
		return err
	}
	defer u.close()
	x.w.Header().Set("Location", uploadLocation(x))
	x.w.Header().Set("Range", u.progress())
	x.w.Header().Set("Docker-Upload-UUID", x.upload)
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (r *Registry) uploadChunk(x *exchange) error {
	u, err := r.takeUpload(x.who.principal, x.repo, x.upload)
	if err != nil {
		return err
	}
	defer u.close()
	if err := r.receive(x, u); err != nil {
		return err
	}
	if err := u.save(); err != nil {
		// After a failed fsync nobody knows what the file holds.
		u.drop()
		return err
	}
	accepted(x, u)
	return nil
}

func (r *Registry) finishUpload(x *exchange) error {
	d, prob := digestParam(x.req.URL.Query().Get("digest"))
	if prob != nil {
		return prob
	}
	u, err := r.takeUpload(x.who.principal, x.repo, x.upload)
	if err != nil {
		return err
	}
	defer u.close()
	if err := r.receive(x, u); err != nil {
		return err
	}
	return r.finish(x, u, d)
}

func (r *Registry) finish(x *exchange, u *upload, d verdict.Digest) error {
	if err := u.commit(d); err != nil {
		return err
	}
	created(x, "/blobs/", d)
	return nil
}

func (r *Registry) cancelUpload(x *exchange) error {
	u, err := r.takeUpload(x.who.principal, x.repo, x.upload)
	if err != nil {
		return err
	}
	defer u.close()
	u.drop()
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

func uploadLocation(x *exchange) string { return "/v2/" + x.repo + "/blobs/uploads/" + x.upload }

// accepted answers 202: the upload is open and has what Range says.
func accepted(x *exchange, u *upload) {
	h := x.w.Header()
	h.Set("Location", uploadLocation(x))
	h.Set("Range", u.progress())
	h.Set("Docker-Upload-UUID", x.upload)
	h.Set("Content-Length", "0")
	x.w.WriteHeader(http.StatusAccepted)
}

// created answers 201: d is durable and can be pulled.
func created(x *exchange, under string, d verdict.Digest) {
	h := x.w.Header()
	h.Set("Location", "/v2/"+x.repo+under+string(d))
	h.Set("Docker-Content-Digest", string(d))
	h.Set("Content-Length", "0")
	x.w.WriteHeader(http.StatusCreated)
}
