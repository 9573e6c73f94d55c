package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/rest"
)

// Object is an object of any kind. Its numbers are int64 and float64.
type Object = unstructured.Unstructured

// IDOf returns the ID of an object as it is written.
func IDOf(o *Object) ID {
	gvk := o.GroupVersionKind()
	return ID{Kind{gvk.Group, gvk.Version, gvk.Kind}, o.GetNamespace(), o.GetName()}
}

// ApplyOptions change a server-side apply.
type ApplyOptions struct {
	// Manager of the fields. It has to be given.
	Manager string
	// DryRun answers as if it had been applied and changes nothing.
	DryRun bool
	// ResourceVersion, when not empty, has to be the object's: else ErrConflict,
	// also when the object is not there. Without UID it costs a request more: the
	// server looks at the version of what is there, and makes what is not.
	ResourceVersion string
	// UID, when not empty, has to be the object's: else ErrConflict.
	UID string
	// Made, when not nil, is set to whether nothing was there before: the server
	// answers 201 and not 200.
	Made *bool
}

// maxAttempts of an apply without a resource version, whose own write the server
// lost against others; it has tried five times by then.
const maxAttempts = 5

// Apply makes or changes an object by server-side apply with force, in one
// request, and returns what the server holds afterwards. The body is not changed;
// a resource version and managed fields in it do not count.
func (c *Client) Apply(ctx context.Context, body map[string]any, opt ApplyOptions) (*Object, error) {
	id := IDOf(&Object{Object: body})
	if opt.ResourceVersion != "" && opt.UID == "" {
		o, err := c.Get(ctx, id)
		if errors.Is(err, ErrNotFound) || err == nil && o.GetResourceVersion() != opt.ResourceVersion {
			return nil, explain("apply", id, ErrConflict)
		}
		if err != nil {
			return nil, err
		}
		opt.UID = string(o.GetUID())
	}
	data, err := applied(body, opt)
	if err != nil {
		return nil, explain("apply", id, err)
	}
	if opt.Manager == "" || id.Name == "" {
		return nil, explain("apply", id, fmt.Errorf("%w: a name and a field manager are needed", ErrInvalid))
	}
	for attempt := 1; ; attempt++ {
		o, status, err := c.object(ctx, id, func(path []string) *rest.Request {
			req := c.objects.Patch(types.ApplyPatchType).AbsPath(path...).
				Param("fieldManager", opt.Manager).Param("force", "true").Body(data)
			if opt.DryRun {
				req.Param("dryRun", "All")
			}
			return req
		})
		if err != nil && opt.ResourceVersion == "" && apierrors.IsConflict(err) && attempt < maxAttempts && ctx.Err() == nil {
			continue
		}
		if opt.UID != "" && isAbout(err, "metadata.uid") {
			err = ErrConflict // it was deleted and made again
		}
		if opt.Made != nil {
			*opt.Made = err == nil && status == http.StatusCreated
		}
		return o, explain("apply", id, err)
	}
}

// applied returns the body as it is sent.
func applied(body map[string]any, opt ApplyOptions) ([]byte, error) {
	meta, ok := body["metadata"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: the object has no metadata", ErrInvalid)
	}
	_, versioned := meta["resourceVersion"]
	_, managed := meta["managedFields"]
	if versioned || managed || opt.ResourceVersion != "" || opt.UID != "" {
		body, meta = maps.Clone(body), maps.Clone(meta)
		delete(meta, "resourceVersion")
		delete(meta, "managedFields")
		if opt.ResourceVersion != "" {
			meta["resourceVersion"] = opt.ResourceVersion
		}
		if opt.UID != "" {
			meta["uid"] = opt.UID
		}
		body["metadata"] = meta
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return data, nil
}

// Get returns an object, or ErrNotFound.
func (c *Client) Get(ctx context.Context, id ID) (*Object, error) {
	o, err := c.named(ctx, id, func(path []string) *rest.Request { return c.objects.Get().AbsPath(path...) })
	return o, explain("get", id, err)
}

// Patch applies an RFC 6902 patch under a field manager. A test of it that does
// not hold, or a path that is not there, is ErrConflict.
func (c *Client) Patch(ctx context.Context, id ID, manager string, patch []byte) (*Object, error) {
	o, err := c.named(ctx, id, func(path []string) *rest.Request {
		return c.objects.Patch(types.JSONPatchType).AbsPath(path...).Param("fieldManager", manager).Body(patch)
	})
	if patchDoesNotApply(err) {
		err = ErrConflict
	}
	return o, explain("patch", id, err)
}

// Create makes an object, or returns ErrExists.
func (c *Client) Create(ctx context.Context, o *Object) (*Object, error) {
	id := IDOf(o)
	made, err := c.sent(ctx, ID{Kind: id.Kind, Namespace: id.Namespace}, o, func(path []string) *rest.Request { return c.objects.Post().AbsPath(path...) })
	return made, explain("create", id, err)
}

// Update replaces an object. Its resource version, when it has one, has to be
// the present one: else ErrConflict.
func (c *Client) Update(ctx context.Context, o *Object) (*Object, error) {
	id := IDOf(o)
	made, err := c.sent(ctx, id, o, func(path []string) *rest.Request { return c.objects.Put().AbsPath(path...) })
	return made, explain("update", id, err)
}

func (c *Client) sent(ctx context.Context, id ID, o *Object, request func([]string) *rest.Request) (*Object, error) {
	data, err := json.Marshal(o.Object)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	made, _, err := c.object(ctx, id, func(path []string) *rest.Request {
		return request(path).SetHeader("Content-Type", "application/json").Body(data)
	})
	return made, err
}

// Precondition protects a deletion; empty parts are not compared.
type Precondition struct{ UID, ResourceVersion string }

// Delete asks for the deletion of an object, its dependents after it. It is no
// error when the object is not there. Finalizers may keep it for a while.
func (c *Client) Delete(ctx context.Context, id ID, only Precondition) error {
	options := map[string]any{"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
	conditions := map[string]any{}
	if only.UID != "" {
		conditions["uid"] = only.UID
	}
	if only.ResourceVersion != "" {
		conditions["resourceVersion"] = only.ResourceVersion
	}
	if len(conditions) > 0 {
		options["preconditions"] = conditions
	}
	data, err := json.Marshal(options)
	if err != nil {
		return explain("delete", id, err)
	}
	_, err = c.named(ctx, id, func(path []string) *rest.Request {
		return c.objects.Delete().AbsPath(path...).SetHeader("Content-Type", "application/json").Body(data)
	})
	if apierrors.IsNotFound(err) || errors.Is(err, ErrUnknownKind) {
		return nil
	}
	return explain("delete", id, err)
}

// maxList bounds how many objects [Client.List] returns. What has more is watched.
const maxList = 10_000

// List returns the objects of a kind in a namespace ("" for all) that a label
// selector selects. More than 10,000 are an error.
func (c *Client) List(ctx context.Context, kind Kind, namespace, selector string) ([]Object, error) {
	id := ID{Kind: kind, Namespace: namespace}
	var all []Object
	next := ""
	for {
		data, err := c.raw(ctx, id, func(path []string) *rest.Request {
			return c.objects.Get().AbsPath(path...).Param("labelSelector", selector).Param("limit", "500").Param("continue", next)
		})
		if err != nil {
			return nil, explain("list", id, err)
		}
		var page struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []map[string]any `json:"items"`
		}
		if err := utiljson.Unmarshal(data, &page); err != nil {
			return nil, explain("list", id, fmt.Errorf("%w: the answer: %w", ErrUnavailable, err))
		}
		if len(all)+len(page.Items) > maxList {
			return nil, explain("list", id, fmt.Errorf("%w: more than %d objects", ErrInvalid, maxList))
		}
		for _, body := range page.Items {
			o := Object{Object: body}
			if o.GetKind() == "" { // items of lists do not say what they are
				o.SetAPIVersion(kind.APIVersion())
				o.SetKind(kind.Kind)
			}
			all = append(all, o)
		}
		if next = page.Metadata.Continue; next == "" {
			return all, nil
		}
	}
}

// named is object for requests about one object: without a name they would be
// about all of them.
func (c *Client) named(ctx context.Context, id ID, request func(path []string) *rest.Request) (*Object, error) {
	if id.Name == "" {
		return nil, fmt.Errorf("%w: it has no name", ErrInvalid)
	}
	o, _, err := c.object(ctx, id, request)
	return o, err
}

// object makes a request that answers with an object, and with the status of HTTP.
func (c *Client) object(ctx context.Context, id ID, request func(path []string) *rest.Request) (*Object, int, error) {
	data, status, err := c.answer(ctx, id, request)
	if err != nil {
		return nil, status, err
	}
	var body map[string]any
	if err := utiljson.Unmarshal(data, &body); err != nil {
		return nil, status, fmt.Errorf("%w: the answer: %w", ErrUnavailable, err)
	}
	return &Object{Object: body}, status, nil
}

// raw makes a request whose status says no more than its error does.
func (c *Client) raw(ctx context.Context, id ID, request func(path []string) *rest.Request) ([]byte, error) {
	data, _, err := c.answer(ctx, id, request)
	return data, err
}

// answer makes a request. When the server does not know the address of the kind any
// more, it is looked up anew, once.
func (c *Client) answer(ctx context.Context, id ID, request func(path []string) *rest.Request) (data []byte, status int, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	for again := false; ; again = true {
		path, err := c.path(ctx, id)
		if err != nil {
			return nil, status, err
		}
		result := request(path).SetHeader("Accept", "application/json").Do(ctx)
		err = result.StatusCode(&status).Error()
		if err == nil {
			data, err = result.Raw()
			return data, status, err
		}
		if !kindIsGone(err) {
			return nil, status, err
		}
		c.kinds.forget(id.Kind)
		if again {
			return nil, status, fmt.Errorf("%w (%s)", ErrUnknownKind, strings.Join(path, "/"))
		}
	}
}
