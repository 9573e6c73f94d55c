package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// crdKind is what kinds are defined by.
var crdKind = Kind{"apiextensions.k8s.io", "v1", "CustomResourceDefinition"}

// How often AwaitEstablished asks. A server takes 10 to 100 ms.
const establishedFirst, establishedLater = 10 * time.Millisecond, 500 * time.Millisecond

// AwaitEstablished returns when the CustomResourceDefinition is established and
// its served versions can be asked for. It returns ErrInvalid as soon as the
// server says that the names are taken, and the context's error when that ends.
func (c *Client) AwaitEstablished(ctx context.Context, name string) error {
	id := ID{Kind: crdKind, Name: name}
	wait := establishedFirst
	for {
		crd, err := c.Get(ctx, id)
		if err != nil && !errors.Is(err, ErrUnavailable) {
			return err
		}
		if err == nil {
			if ready, err := c.established(ctx, crd); ready || err != nil {
				return explain("wait for", id, err)
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return explain("wait for", id, ctx.Err())
		case <-timer.C:
		}
		wait = min(wait*2, establishedLater)
	}
}

// established looks at the conditions, and then at what the server says it
// serves: that comes a moment later.
func (c *Client) established(ctx context.Context, crd *Object) (bool, error) {
	ready := false
	conditions, _, _ := unstructured.NestedSlice(crd.Object, "status", "conditions")
	for _, each := range conditions {
		condition, _ := each.(map[string]any)
		switch {
		case condition["type"] == "NamesAccepted" && condition["status"] == "False":
			return false, fmt.Errorf("%w: its names are taken: %v", ErrInvalid, condition["message"])
		case condition["type"] == "Established" && condition["status"] == "True":
			ready = true
		}
	}
	if !ready {
		return false, nil
	}
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, each := range versions {
		version, _ := each.(map[string]any)
		if served, _ := version["served"].(bool); !served {
			continue
		}
		name, _ := version["name"].(string)
		k := Kind{group, name, kind}
		c.kinds.forget(k)
		if _, err := c.resource(ctx, k); errors.Is(err, ErrUnknownKind) || reason(err) == ErrUnavailable {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}
