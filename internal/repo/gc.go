package repo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/apexlogic/apex/internal/bounded"
)

// Each fetch adds a pack. Small ones are put together, so that there are never
// many; what nothing needs any more, after histories were rewritten, goes when
// the mirror is half full.

// manyPacks is how many packs may gather before they are put together. Each is
// looked into for each object.
const manyPacks = 16

// tidy bounds the number of packs and what is kept for nothing.
func (m *Mirror) tidy(ctx context.Context) error {
	used, err := m.repo.packBytes()
	if err != nil {
		return err
	}
	if _, err := m.repo.dot.Lstat(mirrorLoose); err == nil && used > m.remote.limits.Disk/2 {
		return m.collect(ctx)
	}
	packs, err := openPacks(m.repo.dot)
	if err != nil {
		return err
	}
	defer func() { _ = closeAll(packs) }()
	if len(packs) <= manyPacks {
		return nil
	}
	// Those that are larger than all smaller ones together stay as they are: a
	// byte is then copied as often as the size doubles, not at each fetch.
	slices.SortFunc(packs, func(a, b *pack) int { return cmp.Compare(a.size, b.size) })
	n, sum := 2, packs[0].size+packs[1].size
	for ; n < len(packs) && packs[n].size <= sum; n++ {
		sum += packs[n].size
	}
	return m.repack(ctx, packs[:n], func(plumbing.Hash) bool { return true })
}

// collect drops what neither the reference nor the accepted commit needs.
func (m *Mirror) collect(ctx context.Context) error {
	needed := map[plumbing.Hash]struct{}{}
	var starts []plumbing.Hash
	for _, ref := range []string{m.ref, acceptedRef} {
		h, err := m.repo.reference(ref)
		if errors.Is(err, plumbing.ErrReferenceNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		starts = append(starts, h)
	}
	all := Limits{Objects: 4 * m.remote.limits.Objects, Unpacked: 1 << 62, Object: maxBase} // they were let in
	err := walk{m.repo, all,
		func(l linked) (bool, error) {
			if l.kind == plumbing.BlobObject { // names nothing, so it need not be read
				needed[l.hash] = struct{}{}
				return true, nil
			}
			return false, nil
		},
		func(_ plumbing.ObjectType, h plumbing.Hash, _ []byte) error {
			needed[h] = struct{}{}
			return nil
		}}.from(ctx, starts...)
	if err != nil {
		return fmt.Errorf("collect garbage: %w", err)
	}
	packs, err := openPacks(m.repo.dot)
	if err != nil {
		return err
	}
	defer func() { _ = closeAll(packs) }()
	if err := m.repack(ctx, packs, func(h plumbing.Hash) bool { _, ok := needed[h]; return ok }); err != nil {
		return err
	}
	return m.repo.dot.Remove(mirrorLoose)
}

func (m *Mirror) noteGarbage() error { return m.repo.writeSync(mirrorLoose, nil) }

// repack copies the objects of packs that keep is true for into one pack, and
// removes the packs. Compressed content is copied as it is.
func (m *Mirror) repack(ctx context.Context, packs []*pack, keep func(plumbing.Hash) bool) (err error) {
	lists := make([][]indexed, len(packs))
	from := map[plumbing.Hash]int{} // the pack that an object is taken from
	for n, p := range packs {
		if lists[n], err = p.list(); err != nil {
			return fmt.Errorf("pack %s: %w", p.name, err)
		}
		for _, o := range lists[n] {
			if _, twice := from[o.hash]; !twice && keep(o.hash) {
				from[o.hash] = n
			}
		}
	}
	w, err := newPackWriter(m.repo.dot)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	for n, p := range packs {
		for i, o := range lists[n] {
			if err := ctx.Err(); err != nil {
				return err
			}
			if at, ok := from[o.hash]; !ok || at != n {
				continue
			}
			end := p.size - packTrailer
			if i+1 < len(lists[n]) {
				end = lists[n][i+1].offset
			}
			sameBase := func(h plumbing.Hash) bool { at, ok := from[h]; return ok && at == n }
			if err := w.copy(p, lists[n], o, end, sameBase); err != nil {
				return fmt.Errorf("pack %s: object %s: %w", p.name, o.hash, err)
			}
		}
	}
	name, err := w.finish()
	if err != nil {
		return err
	}
	var old []string
	for _, p := range packs {
		if p.name != name {
			old = append(old, p.name)
		}
	}
	if err := m.drop(old); err != nil {
		return err
	}
	m.repo.mu.Lock()
	defer m.repo.mu.Unlock()
	return m.repo.reopenPacks()
}

// copy adds one entry of another pack. A difference stays one when its base
// comes along from the same pack, where nothing is its own base.
func (w *packWriter) copy(p *pack, list []indexed, o indexed, end int64, comesAlong func(plumbing.Hash) bool) error {
	if end-o.offset > 2*maxBase {
		return fmt.Errorf("%w: its entry has %d bytes", ErrTooLarge, end-o.offset)
	}
	raw := make([]byte, end-o.offset)
	if _, err := p.data.ReadAt(raw, o.offset); err != nil {
		return err
	}
	if crc32.ChecksumIEEE(raw) != o.crc {
		return fmt.Errorf("%w: it changed on the disk", ErrCorrupt)
	}
	e, err := p.entry(o.offset)
	if err != nil {
		return err
	}
	if !e.kind.IsDelta() {
		return w.add(o.hash, nil, bytes.NewReader(raw))
	}
	i, ok := slices.BinarySearchFunc(list, e.base, func(o indexed, at int64) int { return cmp.Compare(o.offset, at) })
	if !ok {
		return fmt.Errorf("%w: its base is not in the index", ErrCorrupt)
	}
	if base := list[i].hash; comesAlong(base) {
		header := append(entryHeader(plumbing.REFDeltaObject, e.size), base[:]...)
		return w.add(o.hash, header, bytes.NewReader(raw[e.body-o.offset:]))
	}
	kind, data, err := p.read(o.offset, maxBase)
	if err != nil {
		return err
	}
	return w.whole(kind, o.hash, data)
}

// drop removes packs. What is about to go is written down first: when only some
// of them are gone, what is left of the others may not be whole.
func (m *Mirror) drop(names []string) error {
	if len(names) == 0 {
		return nil
	}
	if err := m.repo.writeSync(scratch, []byte(strings.Join(names, "\n")+"\n")); err != nil {
		return err
	}
	if err := m.repo.dot.Rename(scratch, mirrorDrop); err != nil {
		return err
	}
	if err := syncDir(m.repo.dot, "."); err != nil {
		return err
	}
	return m.finishDrop()
}

// finishDrop removes the packs that were written down.
func (m *Mirror) finishDrop() error {
	dot := m.repo.dot
	f, err := dot.Open(mirrorDrop)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := bounded.ReadAll(f, maxHead*maxPacks)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(text)) {
		if path.Base(name) != name || !strings.HasPrefix(name, "pack-") {
			return fmt.Errorf("%w: %s lists %.60q", ErrCorrupt, mirrorDrop, name)
		}
		for _, suffix := range []string{".idx", ".pack"} { // without its index it does not count
			if err := dot.Remove(path.Join(packDir, name+suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := syncDir(dot, packDir); err != nil {
		return err
	}
	return dot.Remove(mirrorDrop)
}

// packBytes is how much room the packs take.
func (r *Repo) packBytes() (int64, error) {
	list, err := fs.ReadDir(r.dot.FS(), packDir)
	if err != nil {
		return 0, err
	}
	total := int64(0)
	for _, e := range list {
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		total += info.Size()
	}
	return total, nil
}

func closeAll(packs []*pack) error {
	var errs []error
	for _, p := range packs {
		errs = append(errs, p.close())
	}
	return errors.Join(errs...)
}
