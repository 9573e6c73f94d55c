package cluster_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/target/cluster"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
	"github.com/apexlogic/apex/verdict"
)

var secretKind = kube.Kind{Version: "v1", Kind: "Secret"}

// noise does not compress.
func noise(n int, seed byte) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}

func digest(data []byte) verdict.Digest {
	sum := sha256.Sum256(data)
	return verdict.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

func secrets(t *testing.T, c *kube.Client, namespace string) []kube.Object {
	t.Helper()
	all, err := c.List(t.Context(), secretKind, namespace, "")
	must(t, err)
	return all
}

func TestARecordThatIsTooLargeForASecretLiesBesideItAndLeavesNothingBehind(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := admin(t, s), s.Namespace(t)
	store := cluster.NewStore(c, namespace, nil)
	version := ""
	for i, size := range []int{3 << 20, 2 << 20, 10, 3 << 20, 0} {
		record := noise(size, byte(i))
		next, err := store.Save(t.Context(), "vision", record, version)
		must(t, err)
		got, loaded, err := store.Load(t.Context(), "vision")
		if err != nil || !bytes.Equal(got, record) || loaded != next {
			t.Fatalf("%d bytes: got %d, %v", size, len(got), err)
		}
		version = next
	}
	if left := secrets(t, c, namespace); len(left) != 1 {
		t.Errorf("%d Secrets are left", len(left))
	}
	// A save that loses takes nothing away from the one that won.
	large := noise(2<<20, 9)
	won, err := store.Save(t.Context(), "vision", large, version)
	must(t, err)
	if _, err := store.Save(t.Context(), "vision", noise(2<<20, 10), version); !errors.Is(err, gitops.ErrConflict) {
		t.Errorf("the loser: %v", err)
	}
	if got, v, err := store.Load(t.Context(), "vision"); err != nil || v != won || !bytes.Equal(got, large) {
		t.Errorf("the winner's record: %d bytes, %v", len(got), err)
	}
}

func TestASetIsCompleteOrNotThereAndIsWhatItsDigestSays(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := admin(t, s), s.Namespace(t)
	store := cluster.NewStore(c, namespace, nil)
	set := noise(2<<20, 1)
	must(t, store.PutSet(t.Context(), digest(set), set))
	parts := secrets(t, c, namespace)
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	first, last := kube.IDOf(&parts[0]), kube.IDOf(&parts[2])
	if !strings.HasSuffix(first.Name, "-000") {
		t.Fatalf("the first is %s", first)
	}
	// A process that died before the first part was written left the others.
	must(t, c.Delete(t.Context(), first, kube.Precondition{}))
	if _, err := store.GetSet(t.Context(), digest(set)); !errors.Is(err, gitops.ErrNotFound) {
		t.Errorf("an incomplete set: %v", err)
	}
	must(t, store.PutSet(t.Context(), digest(set), set))
	// Somebody puts other bytes in its place; immutable Secrets are replaced to do so.
	must(t, c.Delete(t.Context(), last, kube.Precondition{}))
	forged := parts[2].DeepCopy()
	forged.SetResourceVersion("")
	forged.SetUID("")
	forged.Object["data"] = map[string]any{"part": "AAAA", "parts": "Mw=="}
	_, err := c.Create(t.Context(), forged)
	must(t, err)
	if got, err := store.GetSet(t.Context(), digest(set)); err == nil {
		t.Errorf("%d forged bytes were taken for the set", len(got))
	}
	must(t, store.PutSet(t.Context(), digest(set), set)) // which mends it
	if got, err := store.GetSet(t.Context(), digest(set)); err != nil || !bytes.Equal(got, set) {
		t.Errorf("after it was put again: %v", err)
	}
	must(t, c.Delete(t.Context(), first, kube.Precondition{}))
	must(t, store.DropSet(t.Context(), digest(set))) // of an incomplete one, too
	if left := secrets(t, c, namespace); len(left) != 0 {
		t.Errorf("%d Secrets are left", len(left))
	}
}

func TestASetThatIsTooLargeForTheClusterGoesElsewhere(t *testing.T) {
	s := kubetest.Start(t)
	c, namespace := admin(t, s), s.Namespace(t)
	set := noise(9<<20, 1)
	if err := cluster.NewStore(c, namespace, nil).PutSet(t.Context(), digest(set), set); err == nil || !strings.Contains(err.Error(), "registry") {
		t.Errorf("with no place to go: %v", err)
	}
	place := &elsewhere{kept: map[verdict.Digest][]byte{}}
	store := cluster.NewStore(c, namespace, place)
	must(t, store.PutSet(t.Context(), digest(set), set))
	if left := secrets(t, c, namespace); len(left) != 0 || len(place.kept) != 1 {
		t.Errorf("%d Secrets, %d elsewhere", len(left), len(place.kept))
	}
	if got, err := store.GetSet(t.Context(), digest(set)); err != nil || !bytes.Equal(got, set) {
		t.Error(err)
	}
	place.kept[digest(set)] = []byte("something else")
	if _, err := store.GetSet(t.Context(), digest(set)); err == nil {
		t.Error("what is kept elsewhere was believed")
	}
	must(t, store.DropSet(t.Context(), digest(set)))
	if _, err := store.GetSet(t.Context(), digest(set)); !errors.Is(err, gitops.ErrNotFound) {
		t.Errorf("after it was dropped: %v", err)
	}
}

type elsewhere struct{ kept map[verdict.Digest][]byte }

func (e *elsewhere) PutSet(_ context.Context, d verdict.Digest, data []byte) error {
	e.kept[d] = data
	return nil
}

func (e *elsewhere) GetSet(_ context.Context, d verdict.Digest) ([]byte, error) {
	if data, ok := e.kept[d]; ok {
		return data, nil
	}
	return nil, gitops.ErrNotFound
}

func (e *elsewhere) DropSet(_ context.Context, d verdict.Digest) error {
	delete(e.kept, d)
	return nil
}

func TestAStoreWithoutItsNamespaceSaysHowToMakeIt(t *testing.T) {
	s := kubetest.Start(t)
	store := cluster.NewStore(admin(t, s), "not-there", nil)
	if _, err := store.Save(t.Context(), "vision", []byte("x"), ""); err == nil || !strings.Contains(err.Error(), "apex install") {
		t.Errorf("a record: %v", err)
	}
	if err := store.PutSet(t.Context(), digest([]byte("x")), []byte("x")); err == nil || !strings.Contains(err.Error(), "apex install") {
		t.Errorf("a set: %v", err)
	}
}
