package heal

import "github.com/apexlogic/apex/internal/gitops"

// Desires says whether the object is desired: a target that belongs to one source
// alone asks it about what it finds.
func (h *Healer) Desires(id gitops.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.entries[id]
	return ok
}
