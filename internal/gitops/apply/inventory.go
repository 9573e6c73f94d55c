package apply

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// AnnotationPrune on an object in Git says what becomes of it when it leaves Git:
// "allow" lets the guarded kinds be deleted too, "never" keeps any object.
const AnnotationPrune = "apexlogic.com/prune"

// Item is an object that the source has put into the target, or is about to.
type Item struct {
	gitops.Owned
	// ResourceVersion after the last apply.
	ResourceVersion string `json:"resourceVersion,omitempty"`
	// Desired is the hash of what was applied last; "" while that is not known:
	// before the first apply, and while one is under way.
	Desired string `json:"desired,omitempty"`
	// Prune is the object's AnnotationPrune while it was in Git.
	Prune string `json:"prune,omitempty"`
	// Kept is set on an object that left Git and was not deleted; it says why.
	Kept string `json:"kept,omitempty"`
	// Found is set on an object that was there before, and nobody's, until a
	// revision that holds it is applied whole: going back does not delete it.
	Found bool `json:"found,omitempty"`
}

// inventory is one that was read; nobody changes it.
type inventory struct {
	digest verdict.Digest
	items  []Item
}

// hashOf names what is applied: the body as it is sent.
func hashOf(body map[string]any) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(body); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

func pruneOf(body map[string]any) string {
	meta, _ := body["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	s, _ := annotations[AnnotationPrune].(string)
	return s
}

// encodeInventory writes the items, ordered, one per line.
func encodeInventory(items []Item) ([]byte, error) {
	slices.SortFunc(items, func(a, b Item) int { return compareIDs(a.ID, b.ID) })
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for i := range items {
		if err := e.Encode(&items[i]); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// readInventory reads what encodeInventory wrote.
func readInventory(data []byte) ([]Item, error) {
	var items []Item
	for line := range bytes.Lines(data) {
		// What is retained, and what a crash left, comes on top of a set.
		if len(items) == 2*gitops.MaxObjects {
			return nil, fmt.Errorf("an inventory holds at most %d objects", 2*gitops.MaxObjects)
		}
		var item Item
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&item); err != nil {
			return nil, fmt.Errorf("line %d of the inventory: %w", len(items)+1, err)
		}
		if item.Kind == "" || item.Name == "" || item.Version == "" {
			return nil, fmt.Errorf("line %d of the inventory names no object", len(items)+1)
		}
		items = append(items, item)
	}
	return items, nil
}

func digestOf(data []byte) verdict.Digest {
	sum := sha256.Sum256(data)
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func compareIDs(a, b gitops.ID) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind),
		cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
