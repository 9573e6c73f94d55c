package kube

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// ApplyStatus makes the status of an object hold every field of body's, by
// server-side apply of the status subresource. Body needs apiVersion, kind,
// metadata.name and status; the object has to be there.
func (c *Client) ApplyStatus(ctx context.Context, body map[string]any, manager string) (*Object, error) {
	id := IDOf(&Object{Object: body})
	data, err := applied(body, ApplyOptions{})
	if err == nil && (manager == "" || id.Name == "") {
		err = fmt.Errorf("%w: a name and a field manager are needed", ErrInvalid)
	}
	if err != nil {
		return nil, explain("apply the status of", id, err)
	}
	o, _, err := c.object(ctx, id, func(path []string) *rest.Request {
		return c.objects.Patch(types.ApplyPatchType).AbsPath(append(path, "status")...).
			Param("fieldManager", manager).Param("force", "true").Body(data)
	})
	return o, explain("apply the status of", id, err)
}
