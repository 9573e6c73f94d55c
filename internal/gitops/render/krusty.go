package render

import (
	"encoding/json"
	"fmt"
	"path"
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

// build builds the kustomization of a folder from what was read.
func (k *kustomizer) build(dir string) error {
	fsys := filesys.MakeFsInMemory()
	for _, name := range k.names() {
		if err := fsys.WriteFile(path.Join(repository, name), k.content[name]); err != nil {
			return refuse(verdict.RenderFailed, in(name), "%v", err)
		}
	}
	outer, err := json.Marshal(&types.Kustomization{Resources: []string{path.Join("../r", dir)}, BuildMetadata: []string{types.OriginAnnotations}})
	if err != nil {
		return fmt.Errorf("write a kustomization: %w", err)
	}
	if err := fsys.WriteFile(path.Join(around, kustomizations[0]), outer); err != nil {
		return fmt.Errorf("write a kustomization: %w", err)
	}
	if err := k.ctx.Err(); err != nil {
		return err
	}
	built, err := run(fsys)
	if err != nil {
		return refuse(verdict.RenderFailed, in(path.Join(dir, kustomizations[0])), "the kustomization cannot be built: %s", cause(err))
	}
	for _, res := range built.Resources() {
		if err := k.ctx.Err(); err != nil {
			return err
		}
		if err := k.built(res); err != nil {
			return err
		}
	}
	return nil
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

// built adds an object that came out.
func (k *kustomizer) built(res *resource.Resource) error {
	where := k.origin(res)
	if err := res.SetOrigin(nil); err != nil {
		return refuse(verdict.RenderFailed, where, "%v", err)
	}
	text, err := res.RNode.String()
	if err != nil {
		return refuse(verdict.RenderFailed, where, "%v", err)
	}
	docs, err := manifest.Documents(where.File, []byte(text), manifest.Limits{Nodes: maxFileValues})
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

// origin finds the file that an object comes from, and the line if only one
// object there can be the one: a name may have got a prefix and a suffix.
func (k *kustomizer) origin(res *resource.Resource) verdict.Origin {
	from, err := res.GetOrigin()
	if err != nil || from == nil {
		return in(k.dir)
	}
	name := from.Path
	if name == "" {
		name = from.ConfiguredIn
	}
	where := in(strings.TrimPrefix(path.Clean(name), "../r/"))
	if _, read := k.content[where.File]; !read {
		return in(k.dir) // a patch has forged it
	}
	count := 0
	for _, o := range k.objects[where.File] {
		if o.kind == res.GetKind() && o.name != "" && strings.Contains(res.GetName(), o.name) {
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
