package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/gateway/fetch"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/internal/media/format/image"
	"github.com/apexlogic/apex/verdict"
)

// Bounds of what one message may have fetched. All of it together also has to
// fit, inlined, into the bytes that the route allows a message.
const (
	maxAddresses  = 16 // more pictures than models take at once
	fetchesAtOnce = 4
	fetchWithin   = 15 * time.Second // all of them
)

// Addresses say what becomes of content that is named by its address.
type Addresses struct {
	Fetcher *fetch.Fetcher
	// Pass has the address judged and passed on: the server behind fetches, and
	// what it gets is not looked at. Otherwise the content is fetched here, and
	// stands in the address's place.
	Pass bool
}

// replaceContent puts into the message what its addresses name, and takes the
// metadata out of its images, where the route says so. It comes after all who
// could refuse the message: nothing is fetched for somebody who may not ask.
//
// The new message is parsed like the first, so that what is passed on is what was
// looked at, and has to have the same pieces in the same places.
func replaceContent(x *Exchange) error {
	if x.Body == nil || x.call != nil { // of a stream's messages nothing is replaced: see takes
		return nil
	}
	fetched, err := x.fetch()
	if err != nil {
		return err
	}
	changes, err := x.changes(fetched)
	if err != nil || len(changes) == 0 {
		return err
	}
	if err := x.rewrite(changes); err != nil {
		return err
	}
	if len(fetched) > 0 { // the policies were told what the message said of it
		return decide(x)
	}
	return nil
}

// fetch returns, by part, what stands at the message's addresses; nil when there
// is none, or when they are passed on.
func (x *Exchange) fetch() (map[int]*fetch.Content, error) {
	var parts []int
	for i := range x.Body.Parts {
		if x.Body.Parts[i].URL != "" {
			parts = append(parts, i)
		}
	}
	if len(parts) == 0 {
		return nil, nil
	}
	if len(parts) > maxAddresses {
		return nil, media.Refuse(verdict.FetchLimit, "", "the message names %d contents by their addresses, allowed are %d", len(parts), maxAddresses)
	}
	w := &fetching{x: x, found: map[string]*fetch.Content{}, left: (x.Route.Media.Bytes - int64(len(x.Raw))) / 4 * 3}
	until := time.Now().Add(fetchWithin)
	if x.until.Before(until) {
		until = x.until
	}
	ctx, cancel := context.WithDeadline(x.Request.Context(), until)
	defer cancel()
	if err := w.all(ctx, cancel, parts); err != nil {
		return nil, err
	}
	if x.Route.Addresses.Pass {
		for _, i := range parts {
			x.Decision.Parts[i].From = hostOf(x.Body.Parts[i].URL)
		}
		return nil, nil
	}
	by := make(map[int]*fetch.Content, len(parts))
	for _, i := range parts {
		by[i] = w.found[x.Body.Parts[i].URL]
	}
	return by, nil
}

// fetching is the fetching for one message.
type fetching struct {
	x *Exchange

	mu    sync.Mutex
	found map[string]*fetch.Content // by address: the same one is asked for once
	left  int64                     // bytes that still fit
	err   error                     // the first
}

func (w *fetching) all(ctx context.Context, cancel func(), parts []int) error {
	var running sync.WaitGroup
	places := make(chan struct{}, fetchesAtOnce)
	asked := map[string]bool{}
	for _, i := range parts {
		p := &w.x.Body.Parts[i]
		if asked[p.URL] {
			continue
		}
		asked[p.URL] = true
		running.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if err := w.one(ctx, p); err != nil {
				w.mu.Lock()
				if w.err == nil {
					w.err = err
				}
				w.mu.Unlock()
				cancel()
			}
		})
	}
	running.Wait()
	return w.err
}

// one fetches or judges one address. A panic refuses: this goroutine is none
// that a stage's guard sees.
func (w *fetching) one(ctx context.Context, p *media.Part) (err error) {
	x := w.x
	defer func() {
		if failure := recover(); failure != nil {
			x.gateway.options.Log.Error("fetching panicked", "request", x.ID, "stack", string(debug.Stack()))
			err = Refuse(verdict.GatewayFailed, "the stage content failed")
		}
	}()
	if x.Route.Addresses.Pass {
		return x.Route.Addresses.Fetcher.Check(ctx, p.Where, p.URL)
	}
	w.mu.Lock()
	limits := x.Route.Media
	limits.PartBytes = min(limits.PartBytes, w.left)
	w.mu.Unlock()
	c, err := x.Route.Addresses.Fetcher.Inline(ctx, p.Where, p.URL, &limits, x.roomFor(ctx))
	if err != nil {
		return err
	}
	x.Route.Units.Fetched.Add(uint64(len(c.Data)))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left -= int64(len(c.Data)); w.left < 0 {
		return media.Refuse(verdict.FetchLimit, p.Where, "the message and all that it names have more than the %d bytes that a message may have", x.Route.Media.Bytes)
	}
	w.found[p.URL] = c
	return nil
}

// personal is what metadata carry that are taken out.
const personal = media.Location | media.Personal | media.Thumbnail

// changes are what was fetched, and the images without their metadata where the
// route wants them so.
func (x *Exchange) changes(fetched map[int]*fetch.Content) ([]body.Change, error) {
	var all []body.Change
	for i := range x.Body.Parts {
		p := &x.Body.Parts[i]
		var data []byte // where it is another than the message's
		if c := fetched[i]; c != nil {
			x.Decision.Parts[i] = recordOf(&c.Part)
			x.Decision.Parts[i].From = hostOf(p.URL)
			p, data = &c.Part, c.Data
		}
		if x.Route.Strip && p.URL == "" {
			stripped, err := x.strip(i, p, data)
			if err != nil {
				return nil, err
			}
			if stripped != nil {
				data = stripped
			}
		}
		if data != nil {
			all = append(all, body.Change{Part: i, Type: p.Type, Data: data})
		}
	}
	return all, nil
}

// strip returns an image without its metadata, nil when it has none. Data are
// its bytes, nil for those of the message. What carries metadata that cannot be
// taken out without touching the content is refused.
func (x *Exchange) strip(i int, p *media.Part, data []byte) ([]byte, error) {
	if !image.Strippable(p.Type) {
		if p.Carries&personal != 0 {
			return nil, media.Refuse(verdict.MediaMetadata, p.Where, "the content carries metadata, and they are taken out of PNG, JPEG and WebP only")
		}
		return nil, nil
	}
	if data == nil {
		var err error
		if data, err = x.Body.Content(x.Raw, i); err != nil {
			return nil, media.Refuse(verdict.MediaMetadata, p.Where, "the content stands where its metadata cannot be taken out")
		}
	}
	var out bytes.Buffer
	out.Grow(len(data))
	err := image.StripMetadata(&out, media.InMemory(data), image.Keep{Orientation: true}, &x.Route.Media)
	if r, is := errors.AsType[*media.Refusal](err); is {
		return nil, &media.Refusal{Code: r.Code, Where: p.Where, Detail: r.Detail}
	}
	if err != nil || bytes.Equal(out.Bytes(), data) {
		return nil, err
	}
	return out.Bytes(), nil
}

// rewrite makes the message anew, and looks at it like at the first.
func (x *Exchange) rewrite(changes []body.Change) error {
	if err := x.room(sizeOf(x.Raw, changes)); err != nil {
		return err
	}
	raw, err := x.Body.Rewrite(x.Raw, changes)
	if err != nil {
		return err
	}
	before := countsOf(x.Body)
	if err := x.parse(raw); err != nil {
		return err
	}
	if countsOf(x.Body) != before {
		return media.Refuse(verdict.BodyAmbiguous, "", "the message would hold other pieces once its content is replaced")
	}
	for i := range x.Body.Parts {
		p := &x.Body.Parts[i]
		if err := judgePart(x.Route, p); err != nil {
			return err
		}
		if x.Route.Strip && p.Carries&personal != 0 {
			return media.Refuse(verdict.MediaMetadata, p.Where, "the content carries metadata that could not be taken out")
		}
		if d := digestOf(p); d != x.Decision.Parts[i].Digest {
			x.Decision.Parts[i].Forwarded = d
		}
	}
	sum := x.Body.Digest(raw)
	x.Decision.Forwarded = hex.EncodeToString(sum[:])
	return nil
}

// sizeOf is how long the new message is at most: content stands in it as base64.
func sizeOf(raw []byte, changes []body.Change) int64 {
	n := int64(len(raw))
	for i := range changes {
		n += int64(base64.StdEncoding.EncodedLen(len(changes[i].Data)))
	}
	return n
}

// counts are of the pieces of a message.
type counts struct{ texts, controls, parts int }

func countsOf(b *body.Body) counts { return counts{len(b.Texts), len(b.Controls), len(b.Parts)} }

// hostOf is the host of an address that was judged: what a record says of it,
// since paths and queries may hold credentials.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}
