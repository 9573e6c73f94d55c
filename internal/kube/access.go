package kube

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Can asks the API server whether the client's user may do the verb ("create",
// "patch", "watch", …) to the object; without a name, to all of the kind. Why is
// the server's reason, which may be empty.
func (c *Client) Can(ctx context.Context, verb string, id ID) (ok bool, why string, err error) {
	r, err := c.resource(ctx, id.Kind)
	if err != nil {
		return false, "", explain("ask for the right to "+verb, id, err)
	}
	answer, err := c.Create(ctx, &Object{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"metadata": map[string]any{}, "spec": map[string]any{"resourceAttributes": map[string]any{
			"verb": verb, "group": id.Group, "version": id.Version, "resource": r.plural,
			"namespace": id.Namespace, "name": id.Name,
		}},
	}})
	if err != nil {
		return false, "", err
	}
	ok, _, _ = unstructured.NestedBool(answer.Object, "status", "allowed")
	why, _, _ = unstructured.NestedString(answer.Object, "status", "reason")
	return ok, why, nil
}
