package controller

import (
	"sync"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/heal"
	"github.com/apexlogic/apex/internal/kube"
)

// holds are the objects that are stopped, for those who keep what Git says: they
// leave them stopped. It is safe for concurrent use.
type holds struct {
	mu  sync.RWMutex
	all map[gitops.ID]bool
}

func held(id kube.ID) gitops.ID {
	return gitops.ID{Group: id.Group, Kind: id.Kind.Kind, Namespace: id.Namespace, Name: id.Name}
}

// Held implements [heal.Holder].
func (h *holds) Held(id gitops.ID) ([]string, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if !h.all[id] {
		return nil, false
	}
	path, _ := heal.Holdable(id)
	return []string{path}, path != ""
}

func (h *holds) hold(id kube.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[gitops.ID]bool{}
	}
	h.all[held(id)] = true
}

func (h *holds) release(id kube.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, held(id))
}

// reset takes over what a memory says: a leader knows it before it heals anything.
func (h *holds) reset(m *memory) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = map[gitops.ID]bool{}
	for _, in := range m.all {
		for id, s := range in {
			if s.stopped != "" {
				h.all[held(id)] = true
			}
		}
	}
}

var _ heal.Holder = (*holds)(nil)
