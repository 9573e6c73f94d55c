// Package render turns a path of one commit's tree into the objects that are to
// be applied: checked, pinned to digests and in canonical form, so that nothing
// after it reads the repository again.
//
// Start with [Render]. It tells by content what the path holds: Kubernetes
// manifests, a kustomization, functions of SAM, CloudFormation, serverless.yml
// or an OpenFaaS stack. [References] lists what a set names, for the gate;
// [Push] and [Pull] keep a set in a registry, where it is a source like a commit.
//
// The repository is hostile. Nothing outside of it is read, no program of it is
// run, every size is bounded, and what two parsers could read differently is
// refused: an [*Error] says what, where and how to mend it. One reason refuses
// the whole revision. The same tree and options give the same bytes.
//
// Sources: the Kubernetes API conventions, kustomize's reference of
// kustomization.yaml, the SAM, Serverless Framework and OpenFaaS references,
// OCI image-spec v1.1 ("Guidelines for artifact usage").
package render

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// The limits of one revision. Those of one file are package manifest's, those
// of an object and of the set package gitops'.
const (
	// MaxFiles is above what a person keeps in one path: a file per object of the
	// largest set would be beyond review.
	MaxFiles = 20_000
	// MaxBytes bounds the files that are read together: half of what a set may
	// render to, since rendering repeats more than it drops.
	MaxBytes = 128 << 20
	// MaxValues bounds the values of all files, aliases written out. An object
	// has about 60; this is 100 for each of the largest set's.
	MaxValues = 10_000_000
	// maxFileValues is what fits into the largest object, and three times the
	// largest bundle of CRDs in use.
	maxFileValues = 500_000
	// maxEntries bounds what is looked at to find the files.
	maxEntries = 200_000
	// maxDepth of folders.
	maxDepth = 32
	// maxReasons is as many as a person mends in one go.
	maxReasons = 20
)

// Options say how a source is rendered.
type Options struct {
	// Namespace is that of namespaced objects that name none. When it is empty
	// such objects are refused.
	Namespace string
	// Namespaces are the others that the source may write to; "*" allows all.
	Namespaces []string
	// Namespaced says whether a kind lives in namespaces, as the target serves
	// it; nil knows nothing. Kinds of Kubernetes itself and of the revision's own
	// CRDs are known without it; a kind that nobody knows is taken for namespaced.
	Namespaced func(group, kind string) (namespaced, known bool)
	// MaxObjects is the source's quota; 0 is [gitops.MaxObjects].
	MaxObjects int
	// Resolve turns a reference without a digest into one, once for each. It is
	// called concurrently. nil: references without a digest are refused.
	Resolve func(ctx context.Context, ref reference.Reference) (verdict.Digest, error)
	// Account and Region are where functions of AWS go; without them whatever
	// depends on one is refused.
	Account, Region string
	// Variables are what a service of the Serverless Framework is deployed with:
	// "stage", "region".
	Variables map[string]string
	// Cache makes rendering a revision much like one before it cheap; nil keeps
	// nothing. It may be shared by sources.
	Cache *Cache
	// Warn is told what a person should mend some day, in the order of the files;
	// nil: nobody.
	Warn func(Warning)
}

// Warning is what nothing is refused for.
type Warning struct {
	Code  verdict.Code
	Where verdict.Origin
	Why   string
}

// Error is why a revision is not rendered: at least one reason, at most twenty.
type Error struct{ Reasons []verdict.Unresolved }

// Error shows the first reason.
func (e *Error) Error() string {
	r := e.Reasons[0]
	text := r.Where.String() + ": " + r.Why
	if r.Text != "" {
		text = fmt.Sprintf("%s: %q: %s", r.Where, r.Text, r.Why)
	}
	if more := len(e.Reasons) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// refuse makes a refusal with one reason.
func refuse(code verdict.Code, where verdict.Origin, format string, args ...any) *Error {
	return &Error{[]verdict.Unresolved{{Where: where, Code: code, Why: fmt.Sprintf(format, args...)}}}
}

func in(file string) verdict.Origin { return verdict.Origin{File: file} }

// Render renders what stands at dir, a slash-separated path within fsys ("" is
// all of it; a single file is allowed). fsys is a commit's tree: its links and
// submodules must refuse to be opened, as those of repo.Tree do.
//
// Names that begin with a dot are left out of folders, as are files that are
// neither YAML nor JSON. Two fields are dropped, because a target writes them
// itself: status, and an empty metadata.creationTimestamp.
//
// The error is an [*Error] when the revision is refused, otherwise the
// context's or that of reading fsys. It is safe for concurrent use.
func Render(ctx context.Context, fsys fs.FS, dir string, o Options) (*gitops.Set, error) {
	given := dir
	if dir = path.Clean(dir); !fs.ValidPath(dir) {
		return nil, refuse(verdict.RenderPath, in(clip(given)), "not a path within the repository: write it without a leading / and without ..")
	}
	if o.MaxObjects <= 0 || o.MaxObjects > gitops.MaxObjects {
		o.MaxObjects = gitops.MaxObjects
	}
	r := &renderer{ctx: ctx, files: newFiles(ctx, fsys), dir: dir, o: o}
	if err := r.read(); err != nil {
		return nil, err
	}
	if len(r.items) == 0 && len(r.reasons) == 0 {
		return nil, refuse(verdict.RenderEmpty, in(dir), "no object in it: nothing would be applied, and everything that was would be removed")
	}
	r.place()
	if err := r.refused(); err != nil {
		return nil, err
	}
	if err := r.pin(); err != nil {
		return nil, err
	}
	objects := make([]gitops.Object, len(r.items))
	for i := range r.items {
		object, err := gitops.NewObject(r.items[i].body, r.items[i].where)
		if err != nil {
			return nil, refuse(verdict.ObjectInvalid, r.items[i].where, "%v", err)
		}
		objects[i] = object
	}
	set, err := gitops.NewSet(objects)
	if err != nil {
		return nil, refuse(verdict.ObjectInvalid, in(dir), "%v", err)
	}
	return set, nil
}

// renderer renders one revision.
type renderer struct {
	ctx     context.Context
	files   *files
	dir     string
	o       Options
	items   []item
	reasons []verdict.Unresolved
}

// item is one object on its way into the set.
type item struct {
	body  map[string]any
	where verdict.Origin
	// at finds the place of a value by its pointer within the object.
	at func(pointer string) verdict.Origin
}

// add takes an object, or says why it cannot.
func (r *renderer) add(it item) error {
	if len(r.items) >= r.o.MaxObjects {
		return refuse(verdict.RenderTooLarge, it.where, "more than %d objects, the source's quota: split the source or raise its quota", r.o.MaxObjects)
	}
	r.items = append(r.items, it)
	return nil
}

// reject collects a reason, so that a person sees more than one at a time.
func (r *renderer) reject(reasons ...verdict.Unresolved) {
	if room := maxReasons - len(r.reasons); room > 0 {
		r.reasons = append(r.reasons, reasons[:min(room, len(reasons))]...)
	}
}

// refused is the error of all reasons so far, nil when there is none.
func (r *renderer) refused() error {
	if len(r.reasons) == 0 {
		return nil
	}
	return &Error{r.reasons}
}

// read finds out what the path holds and reads it.
func (r *renderer) read() error {
	info, err := r.files.stat(r.dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return r.file(r.dir)
	}
	kustomization, err := r.files.kustomization(r.dir)
	if err != nil {
		return err
	}
	if kustomization != "" {
		return r.kustomize(r.dir)
	}
	return r.folder(r.dir)
}

// isManifest says whether a file of the name is read in a folder.
func isManifest(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json", ".template":
		return true
	}
	return false
}

func clip(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return text[:most] + "…"
}
