// Package dir is a target that is a directory of manifests, one file per object:
//
//	<namespace or _cluster>/<Kind.group>/<name>.yaml
//	.apex/                                            what Apex remembers, mode 0700
//
// Start with [Open]. [Dir] implements [gitops.Target] and [gitops.Lister], and
// [Dir.State] is its [gitops.Store]. [Options.Named] makes the directory belong
// to Apex alone.
//
// A file holds exactly what was applied: nobody else owns fields in it, so an
// apply removes whatever was added. The resource version is the hash of the
// file's bytes; the UID follows from the object's name, since a file has no
// identity but its path. A file is written under .apex, synced, renamed to its
// place, and its directory synced: readers see the old one or the new one whole.
// Changes are seen through the kernel's notifications and confirmed by the hash;
// a slow walk finds what the notifications missed.
//
// All access goes through [os.Root], directory by directory, without following
// links: a link or a file that somebody planted in place of a directory is
// replaced, never followed.
package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/dir/state"
)

const (
	own  = ".apex"
	temp = "new" // within own: files on their way to their places
	// DefaultRescan is how often the whole tree is walked for what the kernel did
	// not report. 10,000 files that did not change cost a stat each.
	DefaultRescan = time.Minute
)

// ours are the fields that Apex shows and does not write into a file.
var ours = []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"}

// Options say which directory, and how it is watched.
type Options struct {
	Path string
	// Rescan is the time between two walks; 0: DefaultRescan.
	Rescan time.Duration
	// Named says whether a commit names the object. When it is given, the
	// directory belongs to Apex: a watch removes files that are not named. On an
	// error nothing is removed. Nil: they stay.
	Named func(id gitops.ID) (bool, error)
	// Foreign is told of files that no commit names and no source applied, and
	// whether they were removed. May be nil.
	Foreign func(path string, removed bool)
}

// Dir is the target. It is safe for concurrent use; several processes may use
// one directory.
type Dir struct {
	root    *os.Root // of the tree
	inner   *os.Root // of .apex
	temp    *os.Root // of .apex/new
	state   *state.Store
	lock    *os.File
	rescan  time.Duration
	named   func(gitops.ID) (bool, error)
	foreign func(string, bool)
	seed    maphash.Seed
	writes  [64]sync.Mutex

	mu    sync.Mutex
	known map[place]known
	syncs map[place]*syncing // by directory, which is a place without a file
}

// syncing lets those who changed a directory at the same time share an fsync.
type syncing struct {
	asked atomic.Uint64
	mu    sync.Mutex
	done  uint64
}

// known is what a file was when it was read last.
type known struct {
	stamp   stamp
	version string
	source  string
}

// Open opens the directory and makes it (mode 0700) when it is not there.
func Open(opt Options) (*Dir, error) {
	if err := os.MkdirAll(opt.Path, 0o700); err != nil {
		return nil, fmt.Errorf("open the target: %w", err)
	}
	root, err := os.OpenRoot(opt.Path)
	if err != nil {
		return nil, fmt.Errorf("open the target: %w", err)
	}
	d := &Dir{root: root, rescan: opt.Rescan, named: opt.Named, foreign: opt.Foreign,
		seed: maphash.MakeSeed(), known: map[place]known{}, syncs: map[place]*syncing{}}
	if d.rescan <= 0 {
		d.rescan = DefaultRescan
	}
	if d.foreign == nil {
		d.foreign = func(string, bool) {}
	}
	if err := d.openOwn(); err != nil {
		d.Close()
		return nil, fmt.Errorf("open the target %s: %w", opt.Path, err)
	}
	return d, nil
}

// openOwn opens .apex and the store in it.
func (d *Dir) openOwn() error {
	var err error
	if d.inner, err = enter(d.root, own, true, 0o700); err != nil {
		return err
	}
	if info, err := d.inner.Stat("."); err != nil || info.Mode().Perm()&0o077 != 0 {
		return errors.Join(err, fmt.Errorf("%s can be read by others: chmod 700 it", own))
	}
	if d.temp, err = enter(d.inner, temp, true, 0o700); err != nil {
		return err
	}
	// Whoever is alone takes away what killed writers left.
	if d.lock, err = d.inner.OpenFile("open", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600); err != nil {
		return err
	}
	if flock(d.lock, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		left, err := fs.ReadDir(d.temp.FS(), ".")
		if err != nil {
			return err
		}
		for _, e := range left {
			if err := d.temp.RemoveAll(e.Name()); err != nil {
				return err
			}
		}
	}
	if err := flock(d.lock, syscall.LOCK_SH); err != nil {
		return err
	}
	inner, err := d.inner.OpenRoot(".")
	if err != nil {
		return err
	}
	if d.state, err = state.In(inner); err != nil {
		inner.Close()
	}
	return err
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// State is the store of the directory's sources. It ends with the target.
func (d *Dir) State() *state.Store { return d.state }

// Close ends the target and its store.
func (d *Dir) Close() error {
	var errs []error
	if d.state != nil {
		errs = append(errs, d.state.Close())
	}
	for _, c := range []io.Closer{d.lock, d.temp, d.inner, d.root} {
		switch c := c.(type) {
		case *os.File:
			if c != nil {
				errs = append(errs, c.Close())
			}
		case *os.Root:
			if c != nil {
				errs = append(errs, c.Close())
			}
		}
	}
	return errors.Join(errs...)
}

func versionOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// uidOf derives a UID from the name (RFC 9562, version 8).
func uidOf(id gitops.ID) string {
	u := sha256.Sum256([]byte("apex dir\n" + id.Group + "\n" + id.Kind + "\n" + id.Namespace + "\n" + id.Name))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// live is what a file stands for. What is no object, or another one than its
// place says, is the object with nothing in it: all of it is to be written again.
func live(id gitops.ID, version string, data []byte) *gitops.Live {
	body, err := decodeFile(data)
	var meta map[string]any
	if err == nil {
		o, err := gitops.NewObject(body, originOf(id))
		meta, _ = body["metadata"].(map[string]any)
		if err != nil || o.ID != id {
			body = nil
		}
	}
	if body == nil || meta == nil {
		meta = map[string]any{"name": id.Name}
		if id.Namespace != "" {
			meta["namespace"] = id.Namespace
		}
		body = map[string]any{"apiVersion": apiVersion(id, version), "kind": id.Kind, "metadata": meta}
	}
	l := &gitops.Live{UID: uidOf(id), ResourceVersion: versionOf(data), Body: body}
	meta["uid"], meta["resourceVersion"] = l.UID, l.ResourceVersion
	return l
}

func apiVersion(id gitops.ID, version string) string {
	if id.Group == "" {
		return version
	}
	return id.Group + "/" + version
}

// Get implements [gitops.Target].
func (d *Dir) Get(ctx context.Context, id gitops.ID, version string) (*gitops.Live, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := placeOf(id)
	if err != nil {
		return nil, err
	}
	data, _, err := d.read(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", id, gitops.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return live(id, version, data), nil
}

// hold is held from looking at a file until it is replaced.
func (d *Dir) hold(p place) *sync.Mutex {
	m := &d.writes[maphash.Comparable(d.seed, p)%uint64(len(d.writes))]
	m.Lock()
	return m
}

// Apply implements [gitops.Target].
func (d *Dir) Apply(ctx context.Context, o *gitops.Object, opt gitops.ApplyOptions) (*gitops.Live, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := placeOf(o.ID)
	if err != nil {
		return nil, err
	}
	next, err := encodeFile(fileBody(o.Body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.ID, err)
	}
	defer d.hold(p).Unlock()
	var data []byte
	dir, err := d.parent(p, false)
	if err == nil {
		defer dir.Close()
		data, _, err = readIn(dir, p.file)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", o.ID, err)
	}
	if opt.ResourceVersion != "" && (err != nil || versionOf(data) != opt.ResourceVersion) {
		return nil, fmt.Errorf("%s: %w", o.ID, gitops.ErrConflict)
	}
	if !opt.DryRun && (err != nil || string(data) != string(next)) {
		if err := d.write(dir, p, o.ID, next); err != nil {
			return nil, fmt.Errorf("%s: %w", o.ID, err)
		}
	}
	l := answer(o, next)
	l.Made = err != nil // there was no file
	return l, nil
}

// answer is live without parsing what was just written.
func answer(o *gitops.Object, data []byte) *gitops.Live {
	body := clone(fileBody(o.Body)).(map[string]any)
	l := &gitops.Live{UID: uidOf(o.ID), ResourceVersion: versionOf(data), Body: body}
	meta := body["metadata"].(map[string]any)
	meta["uid"], meta["resourceVersion"] = l.UID, l.ResourceVersion
	return l
}

// fileBody is a body as it goes into a file.
func fileBody(body map[string]any) map[string]any {
	body = maps.Clone(body)
	delete(body, "status")
	meta, _ := body["metadata"].(map[string]any)
	if meta = maps.Clone(meta); meta == nil {
		meta = map[string]any{}
	}
	for _, field := range ours {
		delete(meta, field)
	}
	body["metadata"] = meta
	return body
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// Patch implements [gitops.Target].
func (d *Dir) Patch(ctx context.Context, id gitops.ID, version string, patch []byte) (*gitops.Live, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(patch) > gitops.MaxObjectBytes {
		return nil, fmt.Errorf("%s: a patch may have %d bytes", id, gitops.MaxObjectBytes)
	}
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, fmt.Errorf("%s: read the patch: %w", id, err)
	}
	p, err := placeOf(id)
	if err != nil {
		return nil, err
	}
	defer d.hold(p).Unlock()
	data, _, err := d.read(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", id, gitops.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	text, err := json.Marshal(live(id, version, data).Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	opt := jsonpatch.NewApplyOptions()
	opt.AccumulatedCopySizeLimit = gitops.MaxObjectBytes
	text, err = operations.ApplyWithOptions(text, opt)
	switch {
	case errors.Is(err, jsonpatch.ErrTestFailed):
		return nil, fmt.Errorf("%s: %w: %w", id, gitops.ErrConflict, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	var body map[string]any
	if err := utiljson.Unmarshal(text, &body); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	o, err := gitops.NewObject(body, originOf(id))
	if err != nil || o.ID != id {
		return nil, fmt.Errorf("%s: the patch makes it another object: %w", id, errors.Join(err, gitops.ErrForbidden))
	}
	next, err := encodeFile(fileBody(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	if err := d.write(nil, p, id, next); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return answer(&o, next), nil
}

// Delete implements [gitops.Target].
func (d *Dir) Delete(ctx context.Context, id gitops.ID, _ string, only gitops.Precondition) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := placeOf(id)
	if err != nil {
		return err
	}
	defer d.hold(p).Unlock()
	data, _, err := d.read(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	if only.UID != "" && only.UID != uidOf(id) || only.ResourceVersion != "" && only.ResourceVersion != versionOf(data) {
		return fmt.Errorf("%s: %w", id, gitops.ErrConflict)
	}
	dir, err := d.parent(p, false)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	defer dir.Close()
	if err := dir.Remove(p.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", id, err)
	}
	return d.sync(dir, p)
}

// Healthy says whether the file is there: a directory runs nothing.
func (d *Dir) Healthy(ctx context.Context, o *gitops.Object) (bool, string, error) {
	_, err := d.Get(ctx, o.ID, o.Version)
	return err == nil, "", err
}

var (
	_ gitops.Target = (*Dir)(nil)
	_ gitops.Lister = (*Dir)(nil)
)
