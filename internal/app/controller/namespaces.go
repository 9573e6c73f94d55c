package controller

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/apexlogic/apex/internal/kube"
)

// namespaces keeps the labels of all namespaces: they say which ones enforce. One
// whose labels cannot be read counts as one that enforces, and is read again.
type namespaces struct {
	client namespaceReader

	reading sync.Mutex // one at a time, so that what is read later is what is kept

	mu     sync.RWMutex
	all    map[string]map[string]string
	unread map[string]bool // they changed, and could not be read since
	done   bool
}

// namespaceReader is what namespaces asks of a [kube.Client].
type namespaceReader interface {
	Watch(context.Context, kube.Selection, func(kube.Event)) error
	Get(context.Context, kube.ID) (*kube.Object, error)
}

func newNamespaces(client namespaceReader) *namespaces {
	return &namespaces{client: client, all: map[string]map[string]string{}, unread: map[string]bool{}}
}

var namespaceKind = kube.Kind{Version: "v1", Kind: "Namespace"}

func (n *namespaces) run(ctx context.Context) error {
	var again sync.WaitGroup
	defer again.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	again.Go(func() { n.readAgain(ctx) })
	return n.client.Watch(ctx, kube.Selection{Kind: namespaceKind}, func(e kube.Event) {
		switch e.Kind {
		case kube.Synced:
			n.mu.Lock()
			n.done = true
			n.mu.Unlock()
		case kube.Gone:
			n.reading.Lock()
			defer n.reading.Unlock()
			n.keep(e.Name, nil, kube.ErrNotFound)
		case kube.Changed:
			n.read(ctx, e.Name)
		}
	})
}

// read reads the labels of a namespace.
func (n *namespaces) read(ctx context.Context, name string) {
	n.reading.Lock()
	defer n.reading.Unlock()
	o, err := n.client.Get(ctx, kube.ID{Kind: namespaceKind, Name: name})
	n.keep(name, o, err)
}

func (n *namespaces) keep(name string, o *kube.Object, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, name)
	delete(n.unread, name)
	switch {
	case err == nil:
		n.all[name] = maps.Clone(o.GetLabels())
	case !errors.Is(err, kube.ErrNotFound):
		n.unread[name] = true // the watch says nothing more of it until it changes again
	}
}

// readAgain reads what could not be read, until the context ends.
func (n *namespaces) readAgain(ctx context.Context) {
	tick := time.NewTicker(retryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n.mu.RLock()
		names := slices.Sorted(maps.Keys(n.unread))
		n.mu.RUnlock()
		for _, name := range names {
			n.read(ctx, name)
		}
	}
}

func (n *namespaces) synced() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.done
}

// labels returns a namespace's labels; nobody changes the map.
func (n *namespaces) labels(name string) (map[string]string, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	labels, ok := n.all[name]
	return labels, ok
}
