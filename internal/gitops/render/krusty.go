package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// kustomize keeps the schemas of Kubernetes in variables of its package, which
// every build resets: two builds at a time are a race, in whatever goroutines.
var oneBuild sync.Mutex

// The places within the memory that is built from: the repository, and beside
// it a kustomization of ours around the one that is asked for, which has
// kustomize note which file every object comes from.
const (
	repository = "/r"
	around     = "/w"
)

// built is an object that came out of a build, and the file it comes from: "" when
// that is not known.
type built struct {
	file, kind, name string
	text             []byte
}

// build builds the kustomization of a folder from what was read.
func (k *kustomizer) build(dir string) error {
	objects, err := k.divided(dir)
	if err == nil && objects == nil {
		objects, err = k.made(dir, k.content)
	}
	if err != nil {
		return err
	}
	for i := range objects {
		if err := k.ctx.Err(); err != nil {
			return err
		}
		if err := k.take(&objects[i]); err != nil {
			return err
		}
	}
	return nil
}

// divided builds the kustomization of a folder in parts. It returns nothing when
// it has to be built as a whole.
func (k *kustomizer) divided(dir string) ([]built, error) {
	parts := k.parts()
	if len(parts) < 2 {
		return nil, nil
	}
	var out []built
	for _, p := range parts {
		content, err := k.only(dir, p.present)
		if err != nil {
			return nil, err
		}
		objects, err := k.made(dir, content)
		if k.ctx.Err() != nil {
			return nil, k.ctx.Err()
		}
		if err != nil {
			return nil, nil
		}
		for _, o := range objects {
			if o.file == "" {
				return nil, nil // nobody knows whose it is
			}
			if p.take[o.file] {
				out = append(out, o)
			}
		}
	}
	return out, nil
}

// made builds the kustomization of a folder from the content, or knows the result.
func (k *kustomizer) made(dir string, content map[string][]byte) ([]built, error) {
	key := keyOf(dir, content, k.sums)
	if objects, known := k.o.Cache.get(key); known {
		return objects, nil
	}
	fsys := filesys.MakeFsInMemory()
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if err := fsys.WriteFile(path.Join(repository, name), content[name]); err != nil {
			return nil, refuse(verdict.RenderFailed, in(name), "%v", err)
		}
	}
	outer, err := json.Marshal(&types.Kustomization{Resources: []string{path.Join("../r", dir)}, BuildMetadata: []string{types.OriginAnnotations}})
	if err != nil {
		return nil, fmt.Errorf("write a kustomization: %w", err)
	}
	if err := fsys.WriteFile(path.Join(around, kustomizations[0]), outer); err != nil {
		return nil, fmt.Errorf("write a kustomization: %w", err)
	}
	if err := k.ctx.Err(); err != nil {
		return nil, err
	}
	m, err := run(fsys)
	if err != nil {
		return nil, refuse(verdict.RenderFailed, in(path.Join(dir, kustomizations[0])), "the kustomization cannot be built: %s", cause(err))
	}
	objects := make([]built, 0, m.Size())
	for _, res := range m.Resources() {
		o := built{file: k.origin(res), kind: res.GetKind(), name: res.GetName()}
		if err = res.SetOrigin(nil); err == nil {
			var text string
			text, err = res.RNode.String()
			o.text = []byte(text)
		}
		if err != nil {
			return nil, refuse(verdict.RenderFailed, k.place(&o), "%v", err)
		}
		objects = append(objects, o)
	}
	k.o.Cache.put(key, objects)
	return objects, nil
}

// run builds; a panic of kustomize is an error like any other.
func run(fsys filesys.FileSystem) (built resmap.ResMap, err error) {
	oneBuild.Lock()
	defer oneBuild.Unlock()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("kustomize gave up: %v", p)
		}
	}()
	o := krusty.MakeDefaultOptions() // plugins off, files within their kustomization's folder
	return krusty.MakeKustomizer(o).Run(fsys, around)
}

// cause is what kustomize says, without our places in it.
func cause(err error) string {
	text := strings.NewReplacer("'"+repository+"/", "'", "../r/", "", repository+"/", "", around+"/", "", "\n", " ").Replace(err.Error())
	const most = 600
	if len(text) > most {
		// The innermost reason stands last.
		text = "… " + strings.ToValidUTF8(text[len(text)-most:], "")
	}
	return text
}

// take adds an object that came out.
func (k *kustomizer) take(o *built) error {
	where := k.place(o)
	docs, err := manifest.Documents(where.File, o.text, manifest.Limits{Nodes: maxFileValues})
	if err != nil {
		e := invalid(err)
		e.Reasons[0].Where = where
		return e
	}
	for _, d := range docs {
		if k.files.values += d.Values(); k.files.values > MaxValues {
			return refuse(verdict.RenderTooLarge, where, "more than %d values in all objects: split the source", MaxValues)
		}
		// What people wrote was read strictly; kustomize drops quotes of keys.
		v, err := d.Value12()
		if err != nil {
			e := invalid(err)
			e.Reasons[0].Where = where
			return e
		}
		if err := k.unfold(v, "", func(string) verdict.Origin { return where }, "", "", 0); err != nil {
			return err
		}
	}
	return nil
}

// origin finds the file that an object comes from.
func (k *kustomizer) origin(res *resource.Resource) string {
	from, err := res.GetOrigin()
	if err != nil || from == nil {
		return ""
	}
	name := from.Path
	if name == "" {
		name = from.ConfiguredIn
	}
	name = strings.TrimPrefix(path.Clean(name), "../r/")
	if _, read := k.content[name]; !read {
		return "" // a patch has forged it
	}
	return name
}

// place is where an object comes from, with the line if only one object there can
// be the one: a name may have got a prefix and a suffix.
func (k *kustomizer) place(b *built) verdict.Origin {
	if b.file == "" {
		return in(k.dir)
	}
	where := in(b.file)
	count := 0
	for _, o := range k.objects[where.File] {
		if o.kind == b.kind && o.name != "" && strings.Contains(b.name, o.name) {
			where.Line = o.where.Line
			count++
		}
	}
	if count != 1 {
		where.Line = 0
	}
	return where
}

func itoa(i int) string { return strconv.Itoa(i) }
