package render

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// maxLists bounds lists of objects in lists of objects.
const maxLists = 3

// folder reads all manifests of a folder.
func (r *renderer) folder(dir string) error {
	return r.files.walk(dir, func(name string) error {
		switch base := path.Base(name); {
		case base == "Chart.yaml":
			return refuse(verdict.RenderChart, in(name), "a Helm chart is not rendered here, its templates are programs: commit the output of helm template and name its folder")
		case slices.Contains(kustomizations[:], base):
			return refuse(verdict.RenderFeature, in(name), "a kustomization below a folder of plain manifests: name its folder as the source's path, or write a kustomization for the whole")
		case isManifest(name):
			return r.file(name)
		}
		return nil
	})
}

// file reads one file, whatever its documents are.
func (r *renderer) file(name string) error {
	data, err := r.files.read(name)
	if err != nil {
		return err
	}
	docs, err := r.files.documents(name, data)
	if err != nil {
		return err
	}
	for _, d := range docs {
		_, version := d.Field("apiVersion")
		_, kind := d.Field("kind")
		if !version && !kind {
			// A file that declares functions is one document.
			return r.functions(name, data, d)
		}
		if err := r.document(d, d.Where); err != nil {
			return err
		}
	}
	return nil
}

// document adds the objects of a Kubernetes document.
func (r *renderer) document(d manifest.Document, at func(pointer string) verdict.Origin) error {
	v, err := d.Value()
	if err != nil {
		return invalid(err)
	}
	return r.unfold(v, "", at, "", "", 0)
}

// unfold adds an object, or those of a list of objects. apiVersion and kind are
// those that the list implies.
func (r *renderer) unfold(v any, pointer string, at func(string) verdict.Origin, apiVersion, kind string, depth int) error {
	where := at(pointer)
	body, ok := v.(map[string]any)
	if !ok {
		return refuse(verdict.ObjectInvalid, where, "not an object: write apiVersion, kind and metadata")
	}
	for _, f := range []struct {
		key    string
		stands *string
	}{{"apiVersion", &apiVersion}, {"kind", &kind}} {
		if text, there := body[f.key]; there {
			if *f.stands, ok = text.(string); !ok {
				return refuse(verdict.ObjectInvalid, at(pointer+"/"+f.key), "%s is not a string: quote it", f.key)
			}
		} else if *f.stands != "" {
			body[f.key] = *f.stands
		}
	}
	if items, there := body["items"]; there && strings.HasSuffix(kind, "List") {
		list, ok := items.([]any)
		if !ok && items != nil {
			return refuse(verdict.ObjectInvalid, at(pointer+"/items"), "items of a list of objects is not a list")
		}
		if depth >= maxLists {
			return refuse(verdict.ObjectInvalid, where, "lists of objects in lists of objects, more than %d deep: write the objects themselves", maxLists)
		}
		if kind = strings.TrimSuffix(kind, "List"); kind == "" {
			apiVersion = ""
		}
		for i, element := range list {
			if element == nil {
				continue
			}
			if err := r.unfold(element, pointer+"/items/"+strconv.Itoa(i), at, apiVersion, kind, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	within := func(p string) verdict.Origin { return at(pointer + p) }
	return r.add(item{body: body, where: verdict.Origin{File: where.File, Line: where.Line}, at: within})
}

// describe names an object in a refusal.
func describe(body map[string]any) string {
	text := func(m map[string]any, key string) string { s, _ := m[key].(string); return s }
	meta, _ := body["metadata"].(map[string]any)
	name := text(meta, "name")
	if ns := text(meta, "namespace"); ns != "" {
		name = ns + "/" + name
	}
	return clip(strings.TrimSpace(fmt.Sprintf("%s/%s %s", text(body, "apiVersion"), text(body, "kind"), name)))
}
