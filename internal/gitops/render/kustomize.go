//lint:file-ignore SA1019 old fields are what repositories hold: they are read, and written as new ones

package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

const (
	// maxKustomizations bounds the visits of kustomizations, one that is named
	// twice counted twice: a few that name each other double with every level.
	maxKustomizations = 1_000
	// maxNesting is how deep they may name each other.
	maxNesting = 32
	// maxWork bounds objects times the changes made to each: a thousand objects
	// under a thousand patches.
	maxWork = 1_000_000
	// maxPairs bounds the comparisons of objects with each other: kustomize looks
	// at all of them for each one that it adds, renames or puts into a namespace.
	// 3,000 objects in one kustomization take it some 20 s.
	maxPairs = 10_000_000
	// maxPath is the longest path of a file that Linux opens, a quarter of it.
	maxPath = 1_024
)

// kustomizer reads all that a kustomization names before anything is built, and
// keeps the bytes that it read: what was not looked at cannot be built from.
type kustomizer struct {
	*renderer
	content map[string][]byte   // what is built from, by path
	sums    map[string]buildKey // of the content of files of objects
	known   map[string]*kustomization
	objects map[string][]origin // of each file of resources
	says    map[string]mentions // by each file of resources
	loose   mentions            // by kustomizations and patches
	inputOf map[string]bool     // files that are read as something else than resources
	whole   bool                // it is not built in parts
	visits  int
	work    int
	pairs   int
	busy    []string // the folders that are being visited
}

// kustomization is one kustomization file.
type kustomization struct {
	types.Kustomization
	file string
	doc  manifest.Document
	read bool // its inputs are
}

// origin is an object of a file, as it stands there.
type origin struct {
	kind, name string
	where      verdict.Origin
}

// kustomize renders the kustomization of a folder.
func (r *renderer) kustomize(dir string) error {
	k := &kustomizer{
		renderer: r, content: map[string][]byte{}, sums: map[string]buildKey{}, known: map[string]*kustomization{},
		objects: map[string][]origin{}, says: map[string]mentions{}, loose: mentions{}, inputOf: map[string]bool{},
	}
	if _, err := k.visit(dir, verdict.Origin{}); err != nil {
		return err
	}
	return k.build(dir)
}

// visit reads a kustomization and all that it names. It returns how many objects
// come out of it, at most.
func (k *kustomizer) visit(dir string, from verdict.Origin) (objects int, err error) {
	if k.visits++; k.visits > maxKustomizations || len(k.busy) >= maxNesting {
		return 0, refuse(verdict.RenderTooLarge, from, "more than %d kustomizations, or %d within each other: flatten them", maxKustomizations, maxNesting)
	}
	if slices.Contains(k.busy, dir) {
		return 0, refuse(verdict.RenderFailed, from, "the kustomization of %s is part of itself: break the circle", dir)
	}
	k.busy = append(k.busy, dir)
	defer func() { k.busy = k.busy[:len(k.busy)-1] }()
	c, err := k.open(dir, from)
	if err != nil {
		return 0, err
	}
	for i, p := range c.Resources {
		n, err := k.resource(c, dir, p, c.at("resources", i))
		if err != nil {
			return 0, err
		}
		objects += n
	}
	for i, p := range c.Components {
		at := c.at("components", i)
		target, err := local(dir, p, at)
		if err != nil {
			return 0, err
		}
		n, err := k.visit(target, at)
		if err != nil {
			return 0, err
		}
		objects += n
	}
	objects += len(c.ConfigMapGenerator) + len(c.SecretGenerator)
	if objects > k.o.MaxObjects {
		return 0, refuse(verdict.RenderTooLarge, in(c.file), "more than %d objects, the source's quota: split the source or raise its quota", k.o.MaxObjects)
	}
	if !c.read {
		if err := k.inputs(c, dir); err != nil {
			return 0, err
		}
		c.read = true
		c.patchesInOne()
		if err := k.write(c, dir); err != nil {
			return 0, err
		}
	}
	if k.work += objects * (1 + c.changes()); k.work > maxWork {
		return 0, refuse(verdict.RenderTooLarge, in(c.file), "more than %d changes to objects: split the kustomization, or write fewer patches", maxWork)
	}
	if k.pairs += objects * objects; k.pairs > maxPairs {
		return 0, refuse(verdict.RenderTooLarge, in(c.file), "%d objects in one kustomization, and kustomize compares each with all others: split the source, or commit the output of kustomize build", objects)
	}
	return objects, nil
}

// open reads a kustomization file, each once.
func (k *kustomizer) open(dir string, from verdict.Origin) (*kustomization, error) {
	if c := k.known[dir]; c != nil {
		return c, nil
	}
	name, err := k.files.kustomization(dir)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return nil, refuse(verdict.RenderPath, from, "%s is no file and holds no kustomization: correct the path", clip(dir))
	}
	data, err := k.files.read(name)
	if err != nil {
		return nil, err
	}
	docs, err := k.files.documents(name, data)
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 {
		return nil, refuse(verdict.ManifestInvalid, in(name), "a kustomization is one document, and this file has %d", len(docs))
	}
	v, err := docs[0].Value()
	if err != nil {
		return nil, invalid(err)
	}
	c := &kustomization{file: name, doc: docs[0]}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, refuse(verdict.ManifestInvalid, in(name), "%v", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&c.Kustomization); err != nil {
		return nil, refuse(verdict.ManifestInvalid, in(name), "not a kustomization: %s", clip(strings.TrimPrefix(err.Error(), "json: ")))
	}
	if err := c.features(); err != nil {
		return nil, err
	}
	c.deprecated(k.o.Warn)
	c.modernise()
	fields, _ := v.(map[string]any)
	for field, value := range fields {
		if field != "resources" && field != "components" && field != "bases" {
			k.whole = k.loose.read(value) || k.whole
		}
	}
	if err := k.write(c, dir); err != nil {
		return nil, err
	}
	k.known[dir] = c
	return c, nil
}

// write puts a kustomization where it is built from: what was understood here,
// not what stands there.
func (k *kustomizer) write(c *kustomization, dir string) (err error) {
	if k.content[path.Join(dir, kustomizations[0])], err = json.Marshal(&c.Kustomization); err != nil {
		return refuse(verdict.ManifestInvalid, in(c.file), "%v", err)
	}
	return nil
}

// at is the place of an element of a list.
func (c *kustomization) at(field string, i int) verdict.Origin {
	return c.doc.Where("/" + field + "/" + itoa(i))
}

// changes counts what is done to each object.
func (c *kustomization) changes() int {
	n := len(c.Patches) + len(c.PatchesStrategicMerge) + len(c.PatchesJson6902) + len(c.Images) + len(c.Labels) + len(c.Replicas) + len(c.Vars)
	for _, r := range c.Replacements {
		n += 1 + len(r.Targets)
	}
	return n
}

// resource reads one of the resources: a file of objects or another kustomization.
func (k *kustomizer) resource(c *kustomization, dir, p string, at verdict.Origin) (objects int, err error) {
	name, err := local(dir, p, at)
	if err != nil {
		return 0, err
	}
	info, err := k.files.stat(name)
	if err != nil {
		return 0, located(err, at)
	}
	if info.IsDir() {
		return k.visit(name, at)
	}
	docs, err := k.file(dir, name, at)
	if err != nil {
		return 0, err
	}
	if found, read := k.objects[name]; read {
		return len(found), nil
	}
	found, says := []origin{}, mentions{}
	for _, d := range docs {
		v, err := d.Value()
		if err != nil {
			return 0, invalid(err)
		}
		found = append(found, origins(v, d, "")...)
		k.whole = says.read(v) || k.whole
	}
	k.objects[name], k.says[name], k.sums[name] = found, says, sha256.Sum256(k.content[name])
	return len(found), nil
}

// origins are the objects of a document.
func origins(v any, d manifest.Document, pointer string) []origin {
	body, _ := v.(map[string]any)
	meta, _ := body["metadata"].(map[string]any)
	o := origin{where: d.Where(pointer)}
	o.kind, _ = body["kind"].(string)
	o.name, _ = meta["name"].(string)
	if items, ok := body["items"].([]any); ok && strings.HasSuffix(o.kind, "List") {
		var out []origin
		for i, element := range items {
			out = append(out, origins(element, d, pointer+"/items/"+itoa(i))...)
		}
		return out
	}
	return []origin{o}
}

// file reads a YAML file that the kustomization of dir names, so that it can be
// built from, and refuses what no parser may see.
func (k *kustomizer) file(dir, name string, at verdict.Origin) ([]manifest.Document, error) {
	if err := k.raw(dir, name, at); err != nil {
		return nil, err
	}
	if _, read := k.objects[name]; read {
		return nil, nil
	}
	return k.files.documents(name, k.content[name])
}

// raw reads any file that the kustomization of dir names.
func (k *kustomizer) raw(dir, name string, at verdict.Origin) error {
	if dir != "." && !strings.HasPrefix(name, dir+"/") {
		return refuse(verdict.RenderPath, at, "%s is a file outside of the kustomization's folder: make a kustomization of its folder and name that", clip(name))
	}
	if _, read := k.content[name]; read {
		return nil
	}
	data, err := k.files.read(name)
	if err != nil {
		return located(err, at)
	}
	k.content[name] = bytes.TrimPrefix(data, []byte("\ufeff"))
	return nil
}

// located gives a refusal about a file that cannot be read the place that names it.
func located(err error, at verdict.Origin) error {
	var e *Error
	if errors.As(err, &e) && e.Reasons[0].Code == verdict.RenderPath {
		return refuse(verdict.RenderPath, at, "%s: %s", e.Reasons[0].Where.File, e.Reasons[0].Why)
	}
	return err
}

// inputs reads the other files that a kustomization names.
func (k *kustomizer) inputs(c *kustomization, dir string) error {
	yaml := func(p, pointer string) error {
		if p == "" {
			return nil
		}
		at := c.doc.Where(pointer)
		name, err := local(dir, p, at)
		if err != nil {
			return err
		}
		docs, err := k.file(dir, name, at)
		if err != nil {
			return err
		}
		k.inputOf[name] = true
		for _, d := range docs {
			v, err := d.Value()
			if err != nil {
				return invalid(err)
			}
			k.whole = k.loose.patch(v) || k.whole
		}
		return nil
	}
	inline := func(text, pointer string) error {
		if text == "" {
			return nil
		}
		docs, err := manifest.Documents(c.file, []byte(text), manifest.Limits{Nodes: maxFileValues})
		for i := 0; i < len(docs) && err == nil; i++ {
			var v any
			v, err = docs[i].Value()
			k.whole = k.loose.patch(v) || k.whole
		}
		if err != nil {
			return refuse(verdict.ManifestInvalid, c.doc.Where(pointer), "the patch written here: %s", invalid(err).Reasons[0].Why)
		}
		return nil
	}
	for i, p := range c.Patches {
		if err := yaml(p.Path, "/patches/"+itoa(i)+"/path"); err != nil {
			return err
		}
		if err := inline(p.Patch, "/patches/"+itoa(i)+"/patch"); err != nil {
			return err
		}
	}
	for i, p := range c.PatchesJson6902 {
		if err := yaml(p.Path, "/patchesJson6902/"+itoa(i)+"/path"); err != nil {
			return err
		}
		if err := inline(p.Patch, "/patchesJson6902/"+itoa(i)+"/patch"); err != nil {
			return err
		}
	}
	for i, p := range c.PatchesStrategicMerge {
		read := yaml
		if isInline(p) {
			read = inline
		}
		if err := read(string(p), "/patchesStrategicMerge/"+itoa(i)); err != nil {
			return err
		}
	}
	for i, p := range c.Replacements {
		if err := yaml(p.Path, "/replacements/"+itoa(i)+"/path"); err != nil {
			return err
		}
	}
	for field, list := range map[string][]string{"configurations": c.Configurations, "crds": c.Crds} {
		for i, p := range list {
			if err := yaml(p, "/"+field+"/"+itoa(i)); err != nil {
				return err
			}
		}
	}
	for i := range c.ConfigMapGenerator {
		if err := k.sources(c, dir, &c.ConfigMapGenerator[i].KvPairSources, "/configMapGenerator/"+itoa(i)); err != nil {
			return err
		}
	}
	for i := range c.SecretGenerator {
		if err := k.sources(c, dir, &c.SecretGenerator[i].KvPairSources, "/secretGenerator/"+itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// sources reads the files of a generator.
func (k *kustomizer) sources(c *kustomization, dir string, s *types.KvPairSources, pointer string) error {
	open := func(p, pointer string) (string, error) {
		at := c.doc.Where(pointer)
		name, err := local(dir, p, at)
		if err != nil {
			return "", err
		}
		k.inputOf[name] = true
		return name, k.raw(dir, name, at)
	}
	for i, p := range s.FileSources {
		if _, after, ok := strings.Cut(p, "="); ok {
			p = after
		}
		if _, err := open(p, pointer+"/files/"+itoa(i)); err != nil {
			return err
		}
	}
	envs := slices.Clone(s.EnvSources)
	if s.EnvSource != "" {
		envs = append(envs, s.EnvSource)
	}
	for i, p := range envs {
		name, err := open(p, pointer+"/envs/"+itoa(i))
		if err != nil {
			return err
		}
		line := 0
		for text := range bytes.Lines(k.content[name]) {
			line++
			text = bytes.TrimRight(text, "\r\n")
			if len(text) > 0 && text[0] != '#' && bytes.IndexByte(text, '=') < 0 {
				return refuse(verdict.RenderFeature, verdict.Origin{File: name, Line: line}, "a variable without a value: some tools take it from the environment of the process that builds; write NAME=VALUE")
			}
		}
	}
	return nil
}

// local resolves a path that a kustomization names to one within the repository.
// Everything that kustomize could take for a remote address is refused, whether
// something local is called so or not.
func local(dir, p string, at verdict.Origin) (string, error) {
	folded := strings.ToLower(p)
	switch {
	case p == "" || len(p) > maxPath || strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "", refuse(verdict.RenderPath, at, "not a path: write the relative path of a file or folder")
	case strings.ContainsAny(p, ":@?") || strings.Contains(p, "//") || strings.HasPrefix(folded, "github.com"):
		return "", refuse(verdict.RenderRemote, at, "%q is, or could be taken for, a remote address, which the commit's signature does not cover: copy what it names into the repository", clip(p))
	case strings.HasPrefix(p, "/") || strings.Contains(p, `\`):
		return "", refuse(verdict.RenderPath, at, "%q is not a relative path with forward slashes", clip(p))
	}
	for part := range strings.SplitSeq(p, "/") {
		if part != ".." && strings.Contains(part, "..") {
			return "", refuse(verdict.RenderPath, at, "%q can be read as two paths: check the indentation", clip(p))
		}
	}
	name := path.Join(dir, p)
	if name == ".." || strings.HasPrefix(name, "../") {
		return "", refuse(verdict.RenderPath, at, "%q leaves the repository", clip(p))
	}
	return name, nil
}
