//lint:file-ignore SA1019 old fields are what repositories hold: what they mean is looked at

package render

import (
	"encoding/json"
	"hash/fnv"
	"maps"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
)

// What a build by kustomize costs grows with the square of its objects: it looks
// at all of them for each one that it adds, renames or puts into a namespace. A
// kustomization of many files is therefore built in parts, each from the whole
// kustomization with fewer resources, and a part whose files have not changed is
// not built again.
//
// An object comes out of a part as it does out of the whole when everything is
// there that it could be changed by. kustomize changes an object by others in
// these ways, and no other:
//
//   - a name that it mentions, when the object of that name is renamed: a part
//     has every object whose name occurs in what its own objects say;
//   - an identity that two objects share, which is an error: both have the name;
//   - vars and replacements: such a kustomization is not divided;
//   - what names an object and fails without it, patches without a target and
//     replicas: an object whose name a kustomization or a patch mentions is in
//     every part, as is everything that generators make.
//
// What could get around this is not divided either: see undivided. When a part
// cannot be built, the whole is, and what it says counts.
const (
	// minSplit is how many objects one build is quick for: 7 ms.
	minSplit = 64
	// partObjects ends a part; fewer would spend more on reading kustomize's own
	// defaults, which each build does.
	partObjects = 48
	// partShare ends a part after one in so many files, by the hash of its name:
	// a new file changes the parts beside it and not all that follow.
	partShare = 32
	// maxRepeat bounds the bytes that all parts are built from again and again, and
	// maxOverlap how many more objects they have together than the whole has.
	maxRepeat  = 16 << 20
	maxOverlap = 4
	// maxMention is longer than a name of Kubernetes with every prefix and suffix
	// that is divided with.
	maxMention = 512
)

// mentions are strings that could name an object.
type mentions map[string]struct{}

// read takes the strings of a document, and says whether a key of it is one of
// those in which kustomize keeps its own notes.
func (m mentions) read(v any) (notes bool) {
	switch v := v.(type) {
	case string:
		if len(v) <= maxMention {
			m[v] = struct{}{}
		}
	case []any:
		for _, e := range v {
			notes = m.read(e) || notes
		}
	case map[string]any:
		for key, e := range v {
			notes = m.read(e) || notes || note(key)
		}
	}
	return notes
}

// note says whether a text names an annotation that kustomize, or a function,
// keeps notes in: where an object comes from, or whether it is one at all.
func note(text string) bool { return strings.Contains(text, "config.kubernetes.io") }

// patch takes the strings of a patch, and says whether it could rename an object
// or take from it where it comes from.
func (m mentions) patch(v any) (undivided bool) {
	undivided = m.read(v)
	ops, _ := v.([]any)
	for _, op := range ops {
		op, _ := op.(map[string]any)
		at, _ := op["path"].(string)
		within := strings.HasPrefix(at, "/metadata/annotations/") || strings.HasPrefix(at, "/metadata/labels") || strings.HasPrefix(at, "/metadata/namespace")
		if note(at) || !within && (at == "" || strings.HasPrefix(at, "/metadata")) {
			return true
		}
	}
	return undivided
}

// undivided says whether a kustomization does what only the whole shows.
func undivided(c *kustomization) bool {
	renames := func(patches []types.Patch) bool {
		return slices.ContainsFunc(patches, func(p types.Patch) bool {
			return p.Options != nil && (p.Options.AllowNameChange || p.Options.AllowKindChange)
		})
	}
	return len(c.Vars) > 0 || len(c.Replacements) > 0 || len(c.Configurations) > 0 || len(c.Crds) > 0 || renames(c.Patches) || renames(c.PatchesJson6902)
}

// part is one build: the files of objects that it is built from, and those whose
// objects are taken from it.
type part struct{ present, take map[string]bool }

// parts divides the kustomization of a folder; there are none when it is built as
// a whole.
func (k *kustomizer) parts() []part {
	total, longest := 0, 0
	for _, found := range k.objects {
		total += len(found)
	}
	if k.whole || total < minSplit {
		return nil
	}
	renamed := false
	for _, c := range k.known {
		if undivided(c) {
			return nil
		}
		renamed = renamed || c.NamePrefix != "" || c.NameSuffix != ""
		longest += len(c.NamePrefix) + len(c.NameSuffix)
	}
	index := nameIndex{files: map[string][]string{}, within: renamed}
	everywhere := map[string]bool{}
	for file, found := range k.objects {
		for _, o := range found {
			if len(o.name)+longest > maxMention {
				return nil
			}
			if unquoted(o.name) {
				everywhere[file] = true
			}
			index.add(o.name, file)
		}
	}
	index.find(k.loose, func(file string) { everywhere[file] = true })
	groups := k.seeds()
	if k.fixed()*len(groups) > maxRepeat {
		return nil
	}
	var out []part
	all, pairs := 0, 0
	for _, files := range groups {
		p := part{present: maps.Clone(everywhere), take: map[string]bool{}}
		for _, file := range files {
			p.take[file], p.present[file] = true, true
			index.find(k.says[file], func(file string) { p.present[file] = true })
		}
		n := 0
		for file := range p.present {
			n += len(k.objects[file])
		}
		// All parts together are at most this much more than the whole.
		if all, pairs = all+n, pairs+n*n; all > maxOverlap*total || pairs > total*total {
			return nil
		}
		out = append(out, p)
	}
	for within := range k.known { // what is not from files of objects comes from generators
		out[0].take[path.Join(within, kustomizations[0])] = true
	}
	return out
}

// fixed is how many bytes every part is built from: kustomizations, patches, and
// what generators read.
func (k *kustomizer) fixed() (n int) {
	for name, data := range k.content {
		if _, objects := k.objects[name]; !objects || k.inputOf[name] {
			n += len(data)
		}
	}
	return n
}

// seeds are the files of objects, in groups that are built together.
func (k *kustomizer) seeds() [][]string {
	var out [][]string
	var group []string
	objects := 0
	for _, file := range slices.Sorted(maps.Keys(k.objects)) {
		group = append(group, file)
		objects += len(k.objects[file])
		h := fnv.New32a()
		h.Write([]byte(file))
		if objects >= partObjects || h.Sum32()%partShare == 0 {
			out, group, objects = append(out, group), nil, 0
		}
	}
	if len(group) > 0 {
		out = append(out, group)
	}
	return out
}

// only is what the kustomization of a folder is built from when, of the files of
// objects, the given ones are there.
func (k *kustomizer) only(dir string, present map[string]bool) (map[string][]byte, error) {
	content := make(map[string][]byte, len(present)+2*len(k.known))
	for name, data := range k.content {
		if _, objects := k.objects[name]; !objects || present[name] || k.inputOf[name] {
			content[name] = data
		}
	}
	_, err := k.thin(dir, present, content, map[string]bool{})
	return content, err
}

// thin writes the kustomization of a folder with fewer resources, and says
// whether anything is left of it.
func (k *kustomizer) thin(dir string, present map[string]bool, content map[string][]byte, done map[string]bool) (left bool, err error) {
	if left, seen := done[dir]; seen {
		return left, nil
	}
	c := k.known[dir]
	thin := c.Kustomization
	keep := func(list []string) (kept []string) {
		for _, p := range list {
			name := path.Join(dir, p)
			there := present[name]
			if k.known[name] != nil && err == nil {
				there, err = k.thin(name, present, content, done)
			}
			if there {
				kept = append(kept, p)
			}
		}
		return kept
	}
	thin.Resources, thin.Components = keep(c.Resources), keep(c.Components)
	if err != nil {
		return false, err
	}
	// A component changes what its parent holds, whatever it holds itself.
	left = len(thin.Resources)+len(thin.Components)+len(thin.ConfigMapGenerator)+len(thin.SecretGenerator) > 0 || c.Kind == types.ComponentKind && thin.CheckEmpty() == nil
	done[dir] = left
	content[path.Join(dir, kustomizations[0])], err = json.Marshal(&thin)
	return left, err
}

// nameIndex finds the files of objects by their names.
type nameIndex struct {
	files   map[string][]string
	lengths []int
	within  bool // a name with a prefix or a suffix counts too
}

func (x *nameIndex) add(name, file string) {
	if !slices.Contains(x.lengths, len(name)) && name != "" {
		x.lengths = append(x.lengths, len(name))
	}
	x.files[name] = append(x.files[name], file)
}

// find calls each with the files of the objects that are mentioned.
func (x *nameIndex) find(m mentions, each func(file string)) {
	for text := range m {
		for _, file := range x.files[text] {
			each(file)
		}
		if !x.within {
			continue
		}
		for _, n := range x.lengths {
			for i := 0; i+n <= len(text); i++ {
				for _, file := range x.files[text[i:i+n]] {
					each(file)
				}
			}
		}
	}
}

// unquoted says whether YAML could take a name for something else than a string,
// so that what mentions it is no string.
func unquoted(name string) bool {
	switch strings.ToLower(name) {
	case "", "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		return true
	}
	return name[0] < 'A'
}
