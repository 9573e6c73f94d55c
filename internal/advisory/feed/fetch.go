package feed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/verdict"
)

const (
	// maxFeed bounds one archive: all of OSV's ecosystems together have 1 GiB.
	maxFeed = 1 << 30
	// quiet is how long a server may send nothing.
	quiet = time.Minute
)

// fetched is a feed's file as it was last fetched.
type fetched struct {
	path    string
	digest  verdict.Digest
	changed bool // since the fetch before
}

// mark is what is kept beside a file, to ask only for what has changed.
type mark struct {
	URL, ETag, Modified string
	Digest              verdict.Digest
}

// fetch downloads the feed into the cache unless what is there is current.
func fetch(ctx context.Context, client *http.Client, f Feed, cache string) (*fetched, error) {
	if f.Path != "" {
		digest, err := digestOf(f.Path)
		return &fetched{f.Path, digest, true}, err
	}
	if err := secure(f.URL); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(f.Name + " " + f.URL))
	file := filepath.Join(cache, hex.EncodeToString(sum[:8]))
	var old mark
	if data, err := bounded.ReadFile(file+".mark", 1<<16); err == nil && json.Unmarshal(data, &old) == nil && old.URL == f.URL {
		if digest, err := digestOf(file); err != nil || digest != old.Digest {
			old = mark{} // what is there is not what was fetched
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.URL, nil)
	if err != nil {
		return nil, err
	}
	if old.Digest != "" {
		if old.ETag != "" {
			req.Header.Set("If-None-Match", old.ETag)
		}
		if old.Modified != "" {
			req.Header.Set("If-Modified-Since", old.Modified)
		}
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotModified && old.Digest != "" {
		return &fetched{file, old.Digest, false}, nil
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", f.URL, res.Status)
	}
	digest, err := save(file, &watched{r: res.Body, timer: time.AfterFunc(quiet, cancel)}, res.ContentLength)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", f.URL, err)
	}
	data, err := json.Marshal(mark{f.URL, res.Header.Get("ETag"), res.Header.Get("Last-Modified"), digest})
	if err == nil {
		err = os.WriteFile(file+".mark", data, 0o600)
	}
	return &fetched{file, digest, digest != old.Digest}, err
}

// secure refuses a feed that anybody on the way could change.
func secure(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return err
	}
	if u.User != nil {
		return errors.New("a feed's URL holds a password; give it in another way")
	}
	if u.Scheme == "https" {
		return nil
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && (ip != nil && ip.IsLoopback() || u.Hostname() == "localhost") {
		return nil
	}
	return fmt.Errorf("%s: advisories are fetched over https, or from this machine", u.Redacted())
}

// watched ends a download that stands still.
type watched struct {
	r     io.Reader
	timer *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Reset(quiet)
	n, err := w.r.Read(p)
	if err != nil {
		w.timer.Stop()
	}
	return n, err
}

// save writes the file whole or not at all.
func save(file string, r io.Reader, length int64) (verdict.Digest, error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name()) // nothing is there once it was renamed
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(tmp, h), io.LimitReader(r, maxFeed+1))
	switch {
	case err != nil:
	case n > maxFeed:
		err = fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, maxFeed)
	case length >= 0 && n != length:
		err = fmt.Errorf("only %d of %d bytes came", n, length)
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return "", err
	}
	return verdict.Digest("sha256:" + hex.EncodeToString(h.Sum(nil))), nil
}

func digestOf(path string) (verdict.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxFeed+1))
	if err == nil && n > maxFeed {
		err = fmt.Errorf("%s: %w of %d bytes", path, bounded.ErrTooLarge, maxFeed)
	}
	if err != nil {
		return "", err
	}
	return verdict.Digest("sha256:" + strings.ToLower(hex.EncodeToString(h.Sum(nil)))), nil
}
