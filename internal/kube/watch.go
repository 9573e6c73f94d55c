package kube

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
)

// EventKind says what a watch saw.
type EventKind uint8

// The kinds of events.
const (
	Changed EventKind = iota + 1 // it is there: made, changed, or seen by a listing
	Gone                         // it was deleted, or is selected no longer
	Synced                       // the first listing is complete
)

// Event is a change of an object that is selected.
type Event struct {
	Kind                                  EventKind
	Namespace, Name, UID, ResourceVersion string // empty for Synced
}

// Selection says what is watched.
type Selection struct {
	Kind      Kind
	Namespace string // "" for all
	Labels    string // a label selector; "" for all
}

// How a watch deals with the server.
const (
	listPage = 500 // objects per request of a listing, so that neither side holds many
	// quiet is how long a watch may be silent. Servers send a bookmark each
	// minute; a connection that something on the way forgot says nothing.
	quiet = 5 * time.Minute
	// Waits between two tries grow from the first to the second, and are spread,
	// so that all watches do not come back at once.
	firstWait, longestWait = 50 * time.Millisecond, 30 * time.Second
)

// Watch reports the selected objects: those that are there, Synced once, and then
// each change, until the context ends, whose error it returns. Only metadata is
// asked for. It resumes after lost connections where it was; when the server has
// forgotten that point (410), it lists again and reports each object that is
// there as Changed and each that went meanwhile as Gone. A kind that is not served
// counts as one without objects until it is.
//
// Two things end it before: the right to list or watch is missing at the first
// try (ErrForbidden), and a selector that the server refuses (ErrInvalid). Each
// is called from one goroutine and holds the watch up while it runs.
func (c *Client) Watch(ctx context.Context, s Selection, each func(Event)) error {
	w := &watcher{client: c, selection: s, each: each, known: map[key]string{}}
	wait := firstWait
	for ctx.Err() == nil {
		before := w.progress
		err := w.run(ctx)
		if ctx.Err() != nil {
			break
		}
		kind := reason(err)
		if !w.synced && (kind == ErrForbidden || kind == ErrInvalid || kind == ErrUnauthorized) {
			return explain("watch", ID{Kind: s.Kind, Namespace: s.Namespace}, err)
		}
		switch {
		case kind == ErrUnknownKind:
			c.kinds.forget(s.Kind)
			w.replace(nil) // with the kind, its objects are gone
			w.version = ""
		case kind == ErrConflict: // 410: that version is forgotten
			w.version = ""
		}
		if w.progress != before {
			wait = firstWait
		}
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait = min(wait*2, longestWait)
	}
	return ctx.Err()
}

type key struct{ namespace, name string }

// watcher is one watch across its connections.
type watcher struct {
	client    *Client
	selection Selection
	each      func(Event)

	version  string         // to watch from; "" when a listing is needed
	known    map[key]string // what was reported as there, with its UID
	synced   bool
	progress int // grows with whatever the server says
}

// run lists, if needed, and follows one connection to its end.
func (w *watcher) run(ctx context.Context) error {
	setup, cancel := w.client.bounded(ctx)
	r, err := w.client.resource(setup, w.selection.Kind)
	cancel()
	if err != nil {
		return err
	}
	from := w.client.collection(w.selection, r)
	if w.version == "" {
		if err := w.list(ctx, from); err != nil {
			return gone(err)
		}
	}
	connection, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := from.Watch(connection, metav1.ListOptions{
		LabelSelector: w.selection.Labels, ResourceVersion: w.version, AllowWatchBookmarks: true,
	})
	if err != nil {
		return gone(err)
	}
	defer stream.Stop()
	silence := time.NewTimer(quiet)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-silence.C:
			return nil
		case e, ok := <-stream.ResultChan():
			if !ok {
				return nil // the server ends each watch after a while
			}
			silence.Reset(quiet)
			if e.Type == watch.Error {
				return gone(apierrors.FromObject(e.Object))
			}
			if err := w.see(e); err != nil {
				return err
			}
		}
	}
}

// Meta is the metadata of an object that is listed.
type Meta struct {
	Namespace, Name, UID, ResourceVersion string
	Labels                                map[string]string
	Leaving                               bool // it is being deleted
}

// ListMeta reports the metadata of the selected objects, page by page.
func (c *Client) ListMeta(ctx context.Context, s Selection, each func(Meta)) error {
	id := ID{Kind: s.Kind, Namespace: s.Namespace}
	setup, cancel := c.bounded(ctx)
	r, err := c.resource(setup, s.Kind)
	cancel()
	if err != nil {
		return explain("list", id, err)
	}
	return explain("list", id, gone(c.pages(ctx, c.collection(s, r), s.Labels, func(page *metav1.PartialObjectMetadataList) {
		for i := range page.Items {
			o := &page.Items[i].ObjectMeta
			each(Meta{o.Namespace, o.Name, string(o.UID), o.ResourceVersion, o.Labels, o.DeletionTimestamp != nil})
		}
	})))
}

// pages lists in requests that are bounded one by one.
func (c *Client) pages(ctx context.Context, from metadata.ResourceInterface, labels string, each func(*metav1.PartialObjectMetadataList)) error {
	next := ""
	for {
		bounded, cancel := c.bounded(ctx)
		page, err := from.List(bounded, metav1.ListOptions{LabelSelector: labels, Limit: listPage, Continue: next})
		cancel()
		if err != nil {
			return err
		}
		each(page)
		if next = page.Continue; next == "" {
			return nil
		}
	}
}

// collection is where the selected objects are asked for.
func (c *Client) collection(s Selection, r resource) metadata.ResourceInterface {
	from := c.meta.Resource(schema.GroupVersionResource{Group: s.Kind.Group, Version: s.Kind.Version, Resource: r.plural})
	if s.Namespace == "" {
		return from
	}
	return from.Namespace(s.Namespace)
}

// gone makes of a 404 about a whole collection that the kind is not served.
func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return ErrUnknownKind
	}
	return err
}

// list reports what is there. It goes page by page, each of the same version.
func (w *watcher) list(ctx context.Context, from metadata.ResourceInterface) error {
	found := make(map[key]string, len(w.known))
	version := ""
	err := w.client.pages(ctx, from, w.selection.Labels, func(page *metav1.PartialObjectMetadataList) {
		w.progress++
		version = page.ResourceVersion
		for i := range page.Items {
			o := &page.Items[i].ObjectMeta
			k := key{o.Namespace, o.Name}
			if old, ok := w.known[k]; ok && old != string(o.UID) {
				w.each(Event{Gone, o.Namespace, o.Name, old, ""})
			}
			found[k] = string(o.UID)
			w.known[k] = string(o.UID)
			w.each(Event{Changed, o.Namespace, o.Name, string(o.UID), o.ResourceVersion})
		}
	})
	if err != nil {
		return err
	}
	w.replace(found)
	w.version = version
	return nil
}

// replace reports what is known and not among the found, and that a first
// listing is complete.
func (w *watcher) replace(found map[key]string) {
	for k, uid := range w.known {
		if _, ok := found[k]; !ok {
			delete(w.known, k)
			w.each(Event{Gone, k.namespace, k.name, uid, ""})
		}
	}
	if !w.synced {
		w.synced = true
		w.each(Event{Kind: Synced})
	}
}

// see reports one event of a stream.
func (w *watcher) see(e watch.Event) error {
	o, ok := e.Object.(*metav1.PartialObjectMetadata)
	if !ok || o.ResourceVersion == "" {
		return errors.New("the watch sent something that is no object")
	}
	w.progress++
	w.version = o.ResourceVersion
	k := key{o.Namespace, o.Name}
	switch e.Type {
	case watch.Added, watch.Modified:
		w.known[k] = string(o.UID)
		w.each(Event{Changed, o.Namespace, o.Name, string(o.UID), o.ResourceVersion})
	case watch.Deleted:
		delete(w.known, k)
		w.each(Event{Gone, o.Namespace, o.Name, string(o.UID), o.ResourceVersion})
	}
	return nil
}
