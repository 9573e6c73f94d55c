package registry

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"github.com/apexlogic/apex/verdict"
)

// An upload is two files in the directory of its principal: the bytes so far,
// and its state. Nothing about it is kept in memory between requests, so it
// goes on in another process or after a restart. The bytes' file is locked
// while a request works on the upload, and becomes the blob by a rename.
type upload struct {
	r    *Registry
	base string   // path without .data or .json
	file *os.File // locked
	state
	hash hash.Hash // of the first Offset bytes
}

// state is written after the bytes that it speaks of are synchronised, so it
// never claims more than is on the disk. Bytes beyond Offset were never
// acknowledged and are cut off.
type state struct {
	Repo    string    `json:"repo"`
	Touched time.Time `json:"touched"`
	Offset  int64     `json:"offset"`
	Hash    []byte    `json:"hash"` // sha256's state after Offset bytes
}

// maxState bounds a state file.
const maxState = 4096

// copyBuffer is how much is read from a client at a time.
const copyBuffer = 128 << 10

// newUploadID returns a random UUID (RFC 9562, version 4): whoever does not
// know it cannot continue the upload.
func newUploadID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func validUploadID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') {
			return false
		} else if !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// uploadDir is the directory of a principal's uploads.
func uploadDir(p Principal) string {
	sum := sha256.Sum256([]byte(p.Name))
	return "uploads/" + hex.EncodeToString(sum[:16])
}

func uploadUnknown() *problem {
	return refuse(http.StatusNotFound, codeUploadUnknown, "there is no such upload; begin a new one")
}

// newUpload begins an upload, unless the principal has too many.
func (r *Registry) newUpload(p Principal, repo string) (*upload, string, error) {
	dir := uploadDir(p)
	if err := r.disk.ensureDir(dir); err != nil {
		return nil, "", err
	}
	r.opening.Lock()
	defer r.opening.Unlock()
	open, err := r.openUploads(dir)
	if err != nil {
		return nil, "", err
	}
	if open >= r.limits.UploadsPerPrincipal {
		return nil, "", refuse(http.StatusTooManyRequests, codeTooManyRequests,
			"%d uploads are open: finish or cancel some (DELETE their location), or wait until they are %v old", open, r.limits.UploadAge)
	}
	id := newUploadID()
	u := &upload{r: r, base: dir + "/" + id, hash: sha256.New(), state: state{Repo: repo}}
	u.file, err = r.disk.root.OpenFile(u.base+".data", os.O_RDWR|os.O_CREATE|os.O_EXCL, privateFile)
	if err != nil {
		return nil, "", err
	}
	if err := errors.Join(flock(u.file, lockTry), u.writeState()); err != nil {
		u.drop()
		u.close()
		return nil, "", err
	}
	return u, id, nil
}

func (r *Registry) openUploads(dir string) (int, error) {
	names, err := r.disk.names(dir)
	n := 0
	for _, name := range names {
		if strings.HasSuffix(name, ".data") {
			n++
		}
	}
	return n, err
}

// takeUpload opens and locks an upload of the principal in the repository.
func (r *Registry) takeUpload(p Principal, repo, id string) (*upload, error) {
	u, err := r.lockUpload(uploadDir(p) + "/" + id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, uploadUnknown()
	case errors.Is(err, errBusy):
		return nil, refuse(http.StatusConflict, codeUploadInvalid, "another request is working on this upload")
	case err != nil:
		return nil, err
	case u.Repo != repo:
		u.close()
		return nil, uploadUnknown()
	}
	return u, nil
}

// lockUpload opens an upload at its last acknowledged byte. An upload whose
// state is lost is fs.ErrNotExist.
func (r *Registry) lockUpload(base string) (*upload, error) {
	f, err := r.disk.root.OpenFile(base+".data", os.O_RDWR, privateFile)
	if err != nil {
		return nil, err
	}
	u := &upload{r: r, base: base, file: f, hash: sha256.New()}
	if err := u.load(); err != nil {
		f.Close()
		return nil, err
	}
	return u, nil
}

func (u *upload) load() error {
	if err := flock(u.file, lockTry); err != nil {
		return err
	}
	// Whoever held the lock before may have turned this very file into a blob:
	// it is ours only if it still has the upload's name.
	info, err := u.file.Stat()
	if err != nil {
		return err
	}
	named, err := u.r.disk.root.Lstat(u.base + ".data")
	if err != nil {
		return err
	}
	if !os.SameFile(info, named) {
		return fs.ErrNotExist
	}
	raw, err := u.r.disk.read(u.base+".json", maxState)
	if err != nil {
		return err
	}
	if json.Unmarshal(raw, &u.state) != nil || u.Offset < 0 || u.Offset > info.Size() ||
		u.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(u.Hash) != nil {
		return fs.ErrNotExist // a power failure took it; the client begins anew
	}
	return u.file.Truncate(u.Offset)
}

// write appends bytes. What it wrote is acknowledged only by save.
func (u *upload) write(p []byte) error {
	if _, err := u.file.WriteAt(p, u.Offset); err != nil {
		return err
	}
	u.hash.Write(p)
	u.Offset += int64(len(p))
	return nil
}

// save synchronises the bytes and then says so in the state.
func (u *upload) save() error {
	if err := u.r.disk.fsync(u.file); err != nil {
		return err
	}
	return u.writeState()
}

func (u *upload) writeState() error {
	sum, err := u.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return err
	}
	u.Hash, u.Touched = sum, u.r.clock.Now().UTC()
	raw, err := json.Marshal(u.state)
	if err != nil {
		return err
	}
	return u.r.disk.scribble(u.base+".json", raw)
}

// commit turns the upload into the blob d of its repository. The upload is
// gone afterwards, whatever the result.
func (u *upload) commit(d verdict.Digest) error {
	if found := hex.EncodeToString(u.hash.Sum(nil)); found != d.Hex() {
		u.drop()
		return refuse(http.StatusBadRequest, codeDigestInvalid, "the %d bytes that came are sha256:%s", u.Offset, found)
	}
	place := blobPath(d)
	err := u.r.disk.ensureDir(path.Dir(place))
	if err == nil {
		err = u.r.disk.fsync(u.file)
	}
	if err == nil {
		// Over an existing blob too: these bytes have just been verified.
		err = u.r.disk.root.Rename(u.base+".data", place)
	}
	if err != nil {
		// After a failed fsync the kernel may call lost pages clean, so the
		// file cannot be trusted a second time.
		u.drop()
		return err
	}
	u.r.disk.discard(u.base + ".json")
	if err := u.r.disk.syncDir(path.Dir(place)); err != nil {
		return err
	}
	return u.r.disk.touch(repoPath(u.Repo, "_blobs", d.Hex()))
}

// drop removes the upload.
func (u *upload) drop() {
	u.r.disk.discard(u.base + ".data")
	u.r.disk.discard(u.base + ".json")
}

// close unlocks the upload.
func (u *upload) close() { u.file.Close() }

// progress is the Range header of an upload. There is no way to write "none";
// 0-0 is what clients expect of an empty one.
func (u *upload) progress() string { return fmt.Sprintf("0-%d", max(u.Offset-1, 0)) }
