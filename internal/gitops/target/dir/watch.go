package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/apexlogic/apex/internal/gitops"
)

// look returns a file's version and source; ok is false when there is no regular
// file. A file whose stamp is the one that was seen last is not read again.
func (d *Dir) look(dir *os.Root, p place) (k known, ok bool, err error) {
	info, err := dir.Lstat(p.file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		d.forget(p)
		return known{}, false, nil
	}
	if err != nil {
		return known{}, false, err
	}
	d.mu.Lock()
	k, ok = d.known[p]
	d.mu.Unlock()
	if ok && k.stamp == stampOf(info) {
		return k, true, nil
	}
	data, at, err := readRegular(dir, p.file)
	if errors.Is(err, fs.ErrNotExist) {
		return known{}, false, nil
	}
	if err != nil {
		return known{}, false, err
	}
	k = known{stamp: at, version: versionOf(data), source: sourceIn(data)}
	// Two writes within one tick of the file system's clock, which is the
	// machine's, leave one stamp: it counts only when the file was at rest while
	// it was read, and is old enough.
	if time.Since(at.time()) > settled {
		if after, err := dir.Lstat(p.file); err == nil && stampOf(after) == at {
			d.mu.Lock()
			d.known[p] = k
			d.mu.Unlock()
		}
	}
	return k, true, nil
}

func (d *Dir) forget(p place) {
	d.mu.Lock()
	delete(d.known, p)
	d.mu.Unlock()
}

// settled is longer than the tick of any file system's clock that matters here.
const settled = 50 * time.Millisecond

// found is a file of the tree.
type found struct {
	place
	id gitops.ID
	known
}

// walk reports every object's file under the given directories ("" for all), and
// everything else as foreign. Errors of single files do not end it.
func (d *Dir) walk(ctx context.Context, namespace, kind string, each func(found), foreign func(path string)) error {
	var errs []error
	fail := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) && len(errs) < 10 {
			errs = append(errs, err)
		}
	}
	fail(names(d.root, namespace, func(ns fs.DirEntry) {
		if ns.Name() == own {
			return
		}
		sub, err := enter(d.root, ns.Name(), false, 0)
		if err != nil {
			foreign(ns.Name())
			return
		}
		defer sub.Close()
		fail(names(sub, kind, func(k fs.DirEntry) {
			dir, err := enter(sub, k.Name(), false, 0)
			if err != nil {
				foreign(ns.Name() + "/" + k.Name())
				return
			}
			defer dir.Close()
			fail(names(dir, "", func(e fs.DirEntry) {
				if ctx.Err() != nil {
					return
				}
				p := place{ns.Name(), k.Name(), e.Name()}
				f, ok, err := d.file(dir, p)
				fail(err)
				switch {
				case ok:
					each(f)
				case err == nil:
					if _, err := dir.Lstat(p.file); err == nil {
						foreign(p.String())
					}
				}
			}))
		}))
	}))
	return errors.Join(append(errs, context.Cause(ctx))...)
}

// file looks at one file; ok is false when it stands for no object.
func (d *Dir) file(dir *os.Root, p place) (f found, ok bool, err error) {
	f.place = p
	if f.id, ok = idAt(p); !ok {
		// A name that was shortened: the file says whose it is.
		if !strings.Contains(p.file+p.kind, "~") {
			return f, false, nil
		}
		data, _, err := readIn(dir, p.file)
		if err != nil {
			return f, false, err
		}
		body, err := decodeFile(data)
		if err != nil {
			return f, false, nil
		}
		o, err := gitops.NewObject(body, originOf(gitops.ID{Name: p.String()}))
		if err != nil {
			return f, false, nil
		}
		if again, err := placeOf(o.ID); err != nil || again != p {
			return f, false, nil
		}
		f.id = o.ID
	}
	f.known, ok, err = d.look(dir, p)
	return f, ok, err
}

// names calls each for the entries of a directory, or for the one that is named.
func names(r *os.Root, only string, each func(fs.DirEntry)) error {
	dir, err := r.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if only == "" || e.Name() == only {
				each(e)
			}
		}
		if len(entries) == 0 || err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return err
		}
	}
}

// List implements [gitops.Lister].
func (d *Dir) List(ctx context.Context, kind gitops.Kind, each func(gitops.Held)) error {
	p, err := placeOf(gitops.ID{Group: kind.Group, Kind: kind.Kind, Name: "any"})
	if err != nil {
		return err
	}
	return d.walk(ctx, "", p.kind, func(f found) {
		each(gitops.Held{ID: f.id, UID: uidOf(f.id), ResourceVersion: f.version, Source: f.source})
	}, func(string) {})
}

// Foreign lists the files of the tree that stand for no object of any source,
// relative to it.
func (d *Dir) Foreign(ctx context.Context) ([]string, error) {
	var paths []string
	err := d.walk(ctx, "", "", func(f found) {
		if f.source == "" {
			paths = append(paths, f.String())
		}
	}, func(path string) { paths = append(paths, path) })
	return paths, err
}

// watcher is one watch under way.
type watcher struct {
	d      *Dir
	source string
	kinds  map[[2]string]bool
	each   func(gitops.Event)
	notify *fsnotify.Watcher
	seen   map[place]seen
	base   string
	// told are the foreign files that were reported.
	told map[string]bool
}

type seen struct {
	id      gitops.ID
	version string
	stamp   stamp
	pass    int
}

// Watch implements [gitops.Target]. Files that no commit names are reported, and
// removed, as the options say.
func (d *Dir) Watch(ctx context.Context, source string, kinds []gitops.Kind, each func(gitops.Event)) error {
	notify, err := fsnotify.NewBufferedWatcher(4096)
	if err != nil {
		return fmt.Errorf("watch the target: %w", err)
	}
	defer notify.Close()
	w := &watcher{d: d, source: source, kinds: map[[2]string]bool{}, each: each, notify: notify,
		seen: map[place]seen{}, told: map[string]bool{}, base: d.root.Name()}
	for _, k := range kinds {
		w.kinds[[2]string{k.Group, k.Kind}] = true
	}
	if err := notify.Add(w.base); err != nil {
		return fmt.Errorf("watch the target: %w", err)
	}
	pass := 1
	if err := w.scan(ctx, "", "", pass); err != nil {
		return err
	}
	each(gitops.Event{Kind: gitops.Synced})
	timer := time.NewTicker(d.rescan)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e, ok := <-notify.Events:
			if !ok {
				return errors.New("the kernel's notifications ended")
			}
			pass++
			w.events(ctx, e, pass)
		case <-notify.Errors: // more happened than was told
			pass++
			_ = w.scan(ctx, "", "", pass)
		case <-timer.C:
			pass++
			_ = w.scan(ctx, "", "", pass)
		}
	}
}

// maxBatch bounds what is taken at once; the notifications' own buffer is as long.
const maxBatch = 4096

// events looks at what the kernel names by now, once each: a file that is written
// is named for each write, and once more when it is renamed.
func (w *watcher) events(ctx context.Context, first fsnotify.Event, pass int) {
	batch, named := []fsnotify.Event{first}, map[string]struct{}{first.Name: {}}
	for more := true; more && len(batch) < maxBatch; {
		select {
		case e, ok := <-w.notify.Events:
			if more = ok; !ok {
				break // Watch sees it next
			}
			if _, twice := named[e.Name]; !twice {
				named[e.Name] = struct{}{}
				batch = append(batch, e)
			}
		default:
			more = false
		}
	}
	var at open
	for _, e := range batch {
		w.event(ctx, e, pass, &at)
	}
	at.close()
}

// open is a directory that stays open while its files are looked at.
type open struct {
	of  place // without a file
	dir *os.Root
}

func (o *open) parent(d *Dir, p place) (*os.Root, error) {
	p.file = ""
	if o.dir != nil && o.of == p {
		return o.dir, nil
	}
	o.close()
	dir, err := d.parent(p, false)
	if err == nil {
		*o = open{p, dir}
	}
	return dir, err
}

func (o *open) close() {
	if o.dir != nil {
		o.dir.Close()
	}
	*o = open{}
}

// event looks at what the kernel names.
func (w *watcher) event(ctx context.Context, e fsnotify.Event, pass int, at *open) {
	rel, err := filepath.Rel(w.base, e.Name)
	if err != nil || rel == "." || !filepath.IsLocal(rel) {
		return
	}
	parts := strings.Split(filepath.ToSlash(rel), "/")
	if parts[0] == own {
		return
	}
	switch len(parts) {
	case 1, 2:
		parts = append(parts, "")
		at.close() // it may be another one by now
		_ = w.scan(ctx, parts[0], parts[1], pass)
	case 3:
		p := place{parts[0], parts[1], parts[2]}
		dir, err := at.parent(w.d, p)
		if err != nil {
			w.gone(p)
			return
		}
		f, ok, err := w.d.file(dir, p)
		if err == nil && ok {
			w.file(f, pass, true)
			return
		}
		w.gone(p)
		if _, err := dir.Lstat(p.file); err == nil {
			w.foreign(p.String())
		}
	}
}

// scan walks a part of the tree; what was seen there and is not there is gone.
func (w *watcher) scan(ctx context.Context, namespace, kind string, pass int) error {
	w.follow(namespace, kind)
	err := w.d.walk(ctx, namespace, kind, func(f found) { w.file(f, pass, false) }, w.foreign)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	for p, s := range w.seen {
		if s.pass != pass && (namespace == "" || p.namespace == namespace) && (kind == "" || p.kind == kind) {
			w.gone(p)
		}
	}
	return nil
}

// follow adds the directories to what the kernel notifies of. Adding one that is
// followed already changes nothing; one that is gone is an error that the scan
// after it sees as well. Directories are added before they are read, so that
// nothing falls between.
func (w *watcher) follow(namespace, kind string) {
	_ = names(w.d.root, namespace, func(ns fs.DirEntry) {
		if ns.Name() == own || !ns.IsDir() {
			return
		}
		_ = w.notify.Add(filepath.Join(w.base, ns.Name()))
		sub, err := enter(w.d.root, ns.Name(), false, 0)
		if err != nil {
			return
		}
		defer sub.Close()
		_ = names(sub, kind, func(k fs.DirEntry) {
			if k.IsDir() {
				_ = w.notify.Add(filepath.Join(w.base, ns.Name(), k.Name()))
			}
		})
	})
}

// file reports a file that is the source's. One that the kernel named is reported
// whatever it holds: it may have been put in order since it was reported last, and
// tampered with in the same way again, between two looks.
func (w *watcher) file(f found, pass int, named bool) {
	if f.source == "" || w.d.named != nil {
		w.stranger(f)
	}
	if f.source != w.source || !w.kinds[[2]string{f.id.Group, f.id.Kind}] {
		w.gone(f.place)
		return
	}
	before, ok := w.seen[f.place]
	w.seen[f.place] = seen{f.id, f.version, f.stamp, pass}
	if !ok || named || before.version != f.version || before.stamp != f.stamp {
		w.each(gitops.Event{Kind: gitops.Changed, ID: f.id, UID: uidOf(f.id), ResourceVersion: f.version})
	}
}

// gone reports a file that was seen, and is not there or not the source's.
func (w *watcher) gone(p place) {
	s, ok := w.seen[p]
	if !ok {
		return
	}
	delete(w.seen, p)
	w.d.forget(p)
	w.each(gitops.Event{Kind: gitops.Gone, ID: s.id, UID: uidOf(s.id), ResourceVersion: s.version})
}

// stranger is a file in an object's place that may be nobody's.
func (w *watcher) stranger(f found) {
	if w.d.named == nil {
		w.tell(f.String(), false)
		return
	}
	if named, err := w.d.named(f.id); err != nil || named {
		return // a named object that lost its label is drift: the healer's
	}
	defer w.d.hold(f.place).Unlock()
	if named, err := w.d.named(f.id); err != nil || named {
		return // by now a commit names it, and what is there may be what was applied
	}
	w.remove(f.String())
}

// foreign is something in the tree that stands for no object.
func (w *watcher) foreign(path string) {
	if w.d.named == nil {
		w.tell(path, false)
		return
	}
	// A directory may be on its way to hold objects, and Named is asked for those.
	w.remove(path)
}

func (w *watcher) remove(path string) {
	if !filepath.IsLocal(path) || path == own {
		return
	}
	removed := w.d.removeAll(strings.Split(path, "/")) == nil
	if removed {
		delete(w.told, path)
	}
	w.tell(path, removed)
}

// removeAll removes what the parts name, without following links.
func (d *Dir) removeAll(parts []string) error {
	r, err := d.root.OpenRoot(".")
	for ; err == nil && len(parts) > 1; parts = parts[1:] {
		var sub *os.Root
		sub, err = enter(r, parts[0], false, 0)
		r.Close()
		r = sub
	}
	if err != nil {
		return err
	}
	defer r.Close()
	return r.RemoveAll(parts[0])
}

// tell reports a foreign file; one that stays is reported once.
func (w *watcher) tell(path string, removed bool) {
	if !removed {
		// Whoever plants files decides how many: of more than these only the
		// first are remembered, and the rest is reported at each walk.
		if w.told[path] {
			return
		}
		if len(w.told) < 10_000 {
			w.told[path] = true
		}
	}
	w.d.foreign(path, removed)
}
