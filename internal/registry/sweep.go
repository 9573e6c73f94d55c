package registry

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"time"
)

// sweepEvery is how often abandoned uploads are looked for.
const sweepEvery = time.Hour

func (r *Registry) sweepHourly(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.sweep(); err != nil {
				r.log.ErrorContext(ctx, "abandoned uploads could not be removed", "error", err)
			}
		}
	}
}

// sweep removes uploads that nobody continued for Limits.UploadAge, and what
// dead processes left behind.
func (r *Registry) sweep() error {
	principals, err := r.disk.names("uploads")
	if err != nil {
		return err
	}
	for _, p := range principals {
		if err := r.sweepUploads("uploads/" + p); err != nil {
			return err
		}
	}
	left, err := r.disk.names(tmpDir)
	if err != nil {
		return err
	}
	for _, name := range left {
		if r.leftBehind(tmpDir + "/" + name) {
			r.disk.discard(tmpDir + "/" + name)
		}
	}
	return nil
}

func (r *Registry) sweepUploads(dir string) error {
	names, err := r.disk.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		base, isData := strings.CutSuffix(dir+"/"+name, ".data")
		if !isData {
			// A state whose bytes have become a blob or are lost.
			data := strings.TrimSuffix(base, ".json") + ".data"
			if ok, err := r.disk.exists(data); err == nil && !ok && r.leftBehind(base) {
				r.disk.discard(base)
			}
			continue
		}
		if r.abandoned(base) {
			if err := r.dropAbandoned(base); err != nil {
				return err
			}
		}
	}
	return nil
}

// abandoned judges an upload without locking it, so that looking does not
// disturb the client that works on it.
func (r *Registry) abandoned(base string) bool {
	var s state
	raw, err := r.disk.read(base+".json", maxState)
	if err != nil || json.Unmarshal(raw, &s) != nil {
		return r.leftBehind(base + ".data")
	}
	return r.clock.Now().Sub(s.Touched) > r.limits.UploadAge
}

// dropAbandoned removes an upload, unless somebody works on it after all.
func (r *Registry) dropAbandoned(base string) error {
	u, err := r.lockUpload(base)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		u = &upload{r: r, base: base}
	case errors.Is(err, errBusy):
		return nil
	case err != nil:
		return err
	default:
		defer u.close()
		if r.clock.Now().Sub(u.Touched) <= r.limits.UploadAge {
			return nil
		}
	}
	u.drop()
	return nil
}

// leftBehind reports whether a file is so old, by the machine's time that
// stamps files, that the process that made it must have died.
func (r *Registry) leftBehind(name string) bool {
	info, err := r.disk.root.Lstat(name)
	return err == nil && time.Since(info.ModTime()) > tmpAge
}
