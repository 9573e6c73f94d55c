package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// resource is how a kind is asked for.
type resource struct {
	plural     string
	namespaced bool
}

// kinds knows what the server serves, one group and version at a time, from the
// first time on that an object of it is asked for. A kind that is not found is
// looked for anew each time: its CRD may have come.
type kinds struct {
	mu       sync.Mutex
	versions map[schema.GroupVersion]map[string]resource
}

// maxVersions bounds what is kept; a cluster serves about 50.
const maxVersions = 4096

func newKinds() *kinds { return &kinds{versions: map[schema.GroupVersion]map[string]resource{}} }

func (k *kinds) find(kind Kind) (resource, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	r, ok := k.versions[schema.GroupVersion{Group: kind.Group, Version: kind.Version}][kind.Kind]
	return r, ok
}

func (k *kinds) store(gv schema.GroupVersion, served map[string]resource) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.versions) >= maxVersions {
		clear(k.versions)
	}
	k.versions[gv] = served
}

// forget makes the next question about the kind's group and version go to the
// server.
func (k *kinds) forget(kind Kind) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.versions, schema.GroupVersion{Group: kind.Group, Version: kind.Version})
}

// resource returns how the kind is asked for, or ErrUnknownKind.
func (c *Client) resource(ctx context.Context, kind Kind) (resource, error) {
	if r, ok := c.kinds.find(kind); ok {
		return r, nil
	}
	gv := schema.GroupVersion{Group: kind.Group, Version: kind.Version}
	path := []string{"apis", gv.Group, gv.Version}
	if gv.Group == "" {
		path = []string{"api", gv.Version}
	}
	for _, segment := range path {
		if !isSegment(segment) {
			return resource{}, fmt.Errorf("%w: %q is no API version", ErrInvalid, kind.APIVersion())
		}
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	result := c.objects.Get().AbsPath(path...).SetHeader("Accept", "application/json").Do(ctx)
	if err := result.Error(); err != nil {
		if apierrors.IsNotFound(err) {
			return resource{}, ErrUnknownKind
		}
		return resource{}, err
	}
	data, err := result.Raw()
	if err != nil {
		return resource{}, err
	}
	served, err := readResources(data)
	if err != nil {
		return resource{}, fmt.Errorf("%w: what it serves of %s: %w", ErrUnavailable, gv, err)
	}
	c.kinds.store(gv, served)
	r, ok := served[kind.Kind]
	if !ok {
		return resource{}, ErrUnknownKind
	}
	return r, nil
}

// maxResources of one group and version; the core group has 40 with subresources.
const maxResources = 10_000

// readResources reads an APIResourceList, without subresources.
func readResources(data []byte) (map[string]resource, error) {
	var list metav1.APIResourceList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, err
	}
	if len(list.APIResources) > maxResources {
		return nil, fmt.Errorf("%d resources in one version", len(list.APIResources))
	}
	served := make(map[string]resource, len(list.APIResources))
	for _, r := range list.APIResources {
		if strings.Contains(r.Name, "/") {
			continue
		}
		if r.Kind == "" || !isSegment(r.Name) {
			return nil, errors.New("a resource without a kind or a name")
		}
		if _, twice := served[r.Kind]; !twice { // the first is the kind's own resource
			served[r.Kind] = resource{r.Name, r.Namespaced}
		}
	}
	return served, nil
}

// isSegment says whether the name stays one segment of a path.
func isSegment(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/%?#\\\x00")
}

// Serves says whether the server serves the kind, and whether its objects are in
// namespaces. The answer for kinds that are served is remembered.
func (c *Client) Serves(ctx context.Context, kind Kind) (namespaced bool, err error) {
	r, err := c.resource(ctx, kind)
	if err != nil {
		return false, explain("look up", ID{Kind: kind}, err)
	}
	return r.namespaced, nil
}

// path returns the segments of the object's address, or those of the collection
// when it has no name.
func (c *Client) path(ctx context.Context, id ID) ([]string, error) {
	r, err := c.resource(ctx, id.Kind)
	if err != nil {
		return nil, err
	}
	path := []string{"apis", id.Group, id.Version}
	if id.Group == "" {
		path = []string{"api", id.Version}
	}
	switch {
	case r.namespaced && id.Namespace == "" && id.Name != "":
		return nil, fmt.Errorf("%w: it needs a namespace", ErrInvalid)
	case !r.namespaced && id.Namespace != "":
		return nil, fmt.Errorf("%w: the kind is cluster-scoped, a namespace was given", ErrInvalid)
	case id.Namespace != "":
		if !isSegment(id.Namespace) {
			return nil, fmt.Errorf("%w: %q is no namespace", ErrInvalid, id.Namespace)
		}
		path = append(path, "namespaces", id.Namespace)
	}
	path = append(path, r.plural)
	if id.Name == "" {
		return path, nil
	}
	if !isSegment(id.Name) {
		return nil, fmt.Errorf("%w: %q is no name", ErrInvalid, id.Name)
	}
	return append(path, id.Name), nil
}

// Versions names the versions in which the server serves the kind, the one that
// it prefers for the group first; none when it does not serve the kind. What is
// not served is not remembered: it may come.
func (c *Client) Versions(ctx context.Context, group, kind string) ([]string, error) {
	all, err := c.groupVersions(ctx, group)
	if err != nil {
		return nil, explain("look up", ID{Kind: Kind{Group: group, Kind: kind}}, err)
	}
	var versions []string
	for _, version := range all {
		k := Kind{group, version, kind}
		switch _, err := c.resource(ctx, k); {
		case err == nil:
			versions = append(versions, version)
		case !errors.Is(err, ErrUnknownKind):
			return nil, explain("look up", ID{Kind: k}, err)
		}
	}
	return versions, nil
}

// maxGroupVersions of one group; autoscaling has had five.
const maxGroupVersions = 100

// groupVersions returns the versions of a group, none when it is not served.
func (c *Client) groupVersions(ctx context.Context, group string) ([]string, error) {
	if group == "" {
		return []string{"v1"}, nil // the core group has had no other
	}
	if !isSegment(group) {
		return nil, fmt.Errorf("%w: %q is no API group", ErrInvalid, group)
	}
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	result := c.objects.Get().AbsPath("apis", group).SetHeader("Accept", "application/json").Do(ctx)
	if err := result.Error(); apierrors.IsNotFound(err) {
		return nil, nil
	}
	data, err := result.Raw()
	if err != nil {
		return nil, err
	}
	var g metav1.APIGroup
	if err := json.Unmarshal(data, &g); err != nil {
		return nil, fmt.Errorf("%w: the versions of %s: %w", ErrUnavailable, group, err)
	}
	if len(g.Versions) > maxGroupVersions {
		return nil, fmt.Errorf("%w: %s has %d versions", ErrUnavailable, group, len(g.Versions))
	}
	versions := make([]string, 0, len(g.Versions))
	for _, v := range g.Versions {
		if v.Version == g.PreferredVersion.Version {
			versions = slices.Insert(versions, 0, v.Version)
		} else {
			versions = append(versions, v.Version)
		}
	}
	return versions, nil
}
