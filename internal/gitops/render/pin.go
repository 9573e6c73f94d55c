package render

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

const (
	// maxReferences bounds the references that are resolved for one revision.
	maxReferences = 5_000
	// resolving is how many registries' answers are waited for at once.
	resolving = 8
	// maxTags is half of what Kubernetes lets an object's annotations have.
	maxTags = 128 << 10
)

// pin replaces every reference that could change its meaning by one that
// cannot, in the places that package manifest knows. What it finds and cannot
// pin is a reason to refuse.
func (r *renderer) pin() error {
	found := make([][]manifest.Ref, len(r.items))
	failed := make([][]verdict.Unresolved, len(r.items))
	g, ctx := errgroup.WithContext(r.ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range r.items {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			found[i], failed[i] = mutable(&r.items[i])
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, reasons := range failed {
		r.reject(reasons...)
	}
	if err := r.refused(); err != nil {
		return err
	}
	digests, err := r.resolve(found)
	if err != nil {
		return err
	}
	for i, refs := range found {
		if len(refs) > 0 {
			r.replace(&r.items[i], refs, digests)
		}
	}
	return r.refused()
}

// mutable returns the references of an object that are to be pinned, and why
// others cannot be.
func mutable(it *item) (refs []manifest.Ref, reasons []verdict.Unresolved) {
	res, err := extract(it.where.File, it.body)
	if err != nil {
		return nil, refuse(verdict.ObjectInvalid, it.where, "%v", err).Reasons
	}
	for _, p := range res.Problems {
		where := it.where
		where.Object = describe(it.body)
		reasons = append(reasons, verdict.Unresolved{Where: where, Code: p.Code, Why: p.Why})
	}
	for _, u := range res.Unresolved {
		u.Where = placed(u.Where, it)
		reasons = append(reasons, u)
	}
	for _, pointer := range runtimeVersions(it.body) {
		reasons = append(reasons, verdict.Unresolved{Where: placed(verdict.Origin{Pointer: pointer, Object: describe(it.body)}, it), Code: verdict.ReferenceUnresolved,
			Why: "runtimeVersion picks a tag of an image that stands elsewhere: remove it, and write the image with its digest beside the model"})
	}
	for _, ref := range res.Refs {
		if ref.Reference.IsZero() || ref.Reference.Digest != "" {
			continue // a model of another kind, or pinned already
		}
		text, _ := lookup(it.body, ref.Where.Pointer).(string)
		ref.Where = placed(ref.Where, it)
		switch {
		case ref.Class == manifest.ClassUnclassified && !isLambdaImage(it.body, ref.Where.Pointer):
			reasons = append(reasons, verdict.Unresolved{Text: ref.Text, Where: ref.Where, Code: verdict.ReferenceUnknown,
				Why: "an image or a model in a place that nothing is known about, where it is not pinned: write it with its digest"})
		case text != ref.Text:
			reasons = append(reasons, verdict.Unresolved{Text: ref.Text, Where: ref.Where, Code: verdict.ReferenceUnresolved,
				Why: "a reference within a longer text is not pinned: write it with its digest"})
		default:
			refs = append(refs, ref)
		}
	}
	return refs, reasons
}

// isLambdaImage says whether the pointer is the image of a function of AWS.
func isLambdaImage(body map[string]any, pointer string) bool {
	return body["apiVersion"] == gitops.LambdaGroup+"/"+gitops.LambdaVersion && pointer == "/spec/image"
}

// placed gives a finding the place that a person finds it at.
func placed(where verdict.Origin, it *item) verdict.Origin {
	at := it.at(where.Pointer)
	where.File, where.Line, where.Column = at.File, at.Line, at.Column
	return where
}

// extract reads what an object names, from the bytes that are applied.
func extract(file string, body map[string]any) (manifest.Result, error) {
	data, err := encode(body)
	if err != nil {
		return manifest.Result{}, err
	}
	return manifest.Extract(file, data, manifest.Limits{Nodes: maxFileValues}), nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// resolve asks for the digest of every reference, each once.
func (r *renderer) resolve(found [][]manifest.Ref) (map[string]verdict.Digest, error) {
	first := map[string]manifest.Ref{}
	for _, refs := range found {
		for _, ref := range refs {
			if _, known := first[ref.Reference.Canonical()]; !known {
				first[ref.Reference.Canonical()] = ref
			}
		}
	}
	if len(first) > maxReferences {
		return nil, refuse(verdict.RenderTooLarge, in(r.dir), "more than %d references without a digest: split the source", maxReferences)
	}
	names := slices.Sorted(maps.Keys(first))
	digests := make([]verdict.Digest, len(names))
	failed := make([]*verdict.Unresolved, len(names))
	g, ctx := errgroup.WithContext(r.ctx)
	g.SetLimit(resolving)
	for i, name := range names {
		g.Go(func() error {
			ref := first[name]
			d, err := r.digest(ctx, ref.Reference)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				failed[i] = &verdict.Unresolved{Text: ref.Text, Where: ref.Where, Code: codeOf(err), Why: err.Error()}
			}
			digests[i] = d
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := make(map[string]verdict.Digest, len(names))
	for i, name := range names {
		if failed[i] != nil {
			r.reject(*failed[i])
		}
		out[name] = digests[i]
	}
	return out, r.refused()
}

func (r *renderer) digest(ctx context.Context, ref reference.Reference) (verdict.Digest, error) {
	if r.o.Resolve == nil {
		return "", errors.New("the reference is not pinned and nothing resolves it here: write it with its digest")
	}
	d, err := r.o.Resolve(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("the reference cannot be resolved to a digest: %w", err)
	}
	return verdict.ParseDigest(string(d))
}

// codeOf is the registry's reason, when there is one.
func codeOf(err error) verdict.Code {
	var e *oci.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return verdict.ReferenceUnresolved
}

// replace writes the digests into the object, and beside them what stood there.
func (r *renderer) replace(it *item, refs []manifest.Ref, digests map[string]verdict.Digest) {
	tags := map[string]string{}
	for _, ref := range refs {
		d := digests[ref.Reference.Canonical()]
		text := ref.Reference.Name() + "@" + string(d)
		if scheme, _, ok := strings.Cut(ref.Text, "://"); ok {
			text = scheme + "://" + text
		}
		if !set(it.body, ref.Where.Pointer, text) {
			r.reject(verdict.Unresolved{Text: ref.Text, Where: ref.Where, Code: verdict.Internal, Why: "the reference is not where it was found"})
			return
		}
		tags[ref.Reference.Canonical()] = string(d)
	}
	data, err := encode(tags)
	if err == nil && len(data) <= maxTags {
		meta := it.body["metadata"].(map[string]any)
		annotations, _ := meta["annotations"].(map[string]any)
		if annotations == nil {
			annotations = map[string]any{}
			meta["annotations"] = annotations
		}
		annotations[TagsAnnotation] = strings.TrimSuffix(string(data), "\n")
	}
	// What was pinned is looked at once more: the gate sees these bytes.
	left, reasons := mutable(it)
	r.reject(reasons...)
	if len(left) > 0 {
		r.reject(verdict.Unresolved{Text: left[0].Text, Where: left[0].Where, Code: verdict.ReferenceUnresolved, Why: "the reference could not be pinned: write it with its digest"})
	}
}

// runtimeVersions finds the fields by which KServe picks an image's tag.
func runtimeVersions(body map[string]any) (pointers []string) {
	apiVersion, _ := body["apiVersion"].(string)
	if group, _ := splitVersion(apiVersion); group != "serving.kserve.io" {
		return nil
	}
	var walk func(v any, pointer string)
	walk = func(v any, pointer string) {
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				// KServe reads JSON without regard to case.
				if strings.EqualFold(key, "runtimeVersion") && v[key] != nil && v[key] != "" {
					pointers = append(pointers, pointer+"/"+escape(key))
				}
				walk(v[key], pointer+"/"+escape(key))
			}
		case []any:
			for i, value := range v {
				walk(value, pointer+"/"+strconv.Itoa(i))
			}
		}
	}
	walk(body["spec"], "/spec")
	return pointers
}

// lookup returns the value that a pointer leads to, nil when nothing is there.
func lookup(v any, pointer string) any {
	for _, step := range steps(pointer) {
		switch parent := v.(type) {
		case map[string]any:
			v = parent[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(parent) {
				return nil
			}
			v = parent[i]
		default:
			return nil
		}
	}
	return v
}

// set replaces the text that a pointer leads to.
func set(v any, pointer, text string) bool {
	i := strings.LastIndexByte(pointer, '/')
	if i < 0 {
		return false
	}
	last := strings.NewReplacer("~1", "/", "~0", "~").Replace(pointer[i+1:])
	switch parent := lookup(v, pointer[:i]).(type) {
	case map[string]any:
		if _, ok := parent[last].(string); ok {
			parent[last] = text
			return true
		}
	case []any:
		if n, err := strconv.Atoi(last); err == nil && n >= 0 && n < len(parent) {
			if _, ok := parent[n].(string); ok {
				parent[n] = text
				return true
			}
		}
	}
	return false
}

func steps(pointer string) []string {
	if pointer == "" {
		return nil
	}
	parts := strings.Split(pointer[1:], "/")
	for i := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[i])
	}
	return parts
}
