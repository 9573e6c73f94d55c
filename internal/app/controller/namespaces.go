package controller

import (
	"context"
	"maps"
	"sync"

	"github.com/apexlogic/apex/internal/kube"
)

// namespaces keeps the labels of all namespaces: they say which ones enforce.
type namespaces struct {
	client *kube.Client

	mu   sync.RWMutex
	all  map[string]map[string]string
	done bool
}

func newNamespaces(client *kube.Client) *namespaces {
	return &namespaces{client: client, all: map[string]map[string]string{}}
}

var namespaceKind = kube.Kind{Version: "v1", Kind: "Namespace"}

func (n *namespaces) run(ctx context.Context) error {
	return n.client.Watch(ctx, kube.Selection{Kind: namespaceKind}, func(e kube.Event) {
		switch e.Kind {
		case kube.Synced:
			n.mu.Lock()
			n.done = true
			n.mu.Unlock()
		case kube.Gone:
			n.mu.Lock()
			delete(n.all, e.Name)
			n.mu.Unlock()
		case kube.Changed:
			o, err := n.client.Get(ctx, kube.ID{Kind: namespaceKind, Name: e.Name})
			n.mu.Lock()
			defer n.mu.Unlock()
			if err != nil {
				delete(n.all, e.Name) // one that is not known counts as one that enforces
				return
			}
			n.all[e.Name] = maps.Clone(o.GetLabels())
		}
	})
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
