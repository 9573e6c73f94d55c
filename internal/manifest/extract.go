package manifest

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// maxReport bounds the memory of a result: the text that its findings carry.
const maxReport = 16 << 20

// extractor walks the documents of one file and collects what they name.
type extractor struct {
	res      Result
	room     int // bytes of text that may still be reported
	path     []step
	embedded int    // depth of text within text
	elements []word // of the command that is read; nil outside of one
	work     int    // bytes of long text read so far
}

// step is one step of the path from the document's root.
type step struct {
	key   string
	index int // of an element; -1 for a field
}

// scope is what is known about the surroundings of a value.
type scope struct {
	obj       *object
	template  map[string]string // the labels of the pod template around it
	container string
	embedded  verdict.Origin // of the text that the value stands in
}

// object is the Kubernetes object around a value.
type object struct {
	name      string // "apps/v1/Deployment ns/name"
	namespace string
	labels    map[string]string
	known     bool // the table has its kind
	typed     bool // it has an apiVersion and a kind
	complete  bool // a container without an image is unresolved
	settings  bool // no object, but what a text within one holds
}

// reject drops all findings: a file that is not understood as a whole says
// nothing, and the caller must not act on a part of it.
func (x *extractor) reject(err error) Result {
	var p *Problem
	if !errors.As(err, &p) {
		p = problem(0, 0, "%v", err)
	}
	p.Where.File = x.res.File
	return Result{File: x.res.File, Rejected: true, Problems: []Problem{*p}}
}

// document reads one document: an object, a list of objects, or something that
// is no Kubernetes object at all.
func (x *extractor) document(root *node) error {
	x.path = x.path[:0]
	if root.isMapping() && (root.get("apiVersion") != nil || root.get("kind") != nil) {
		return x.object(root, scope{obj: &object{}}, "", "")
	}
	if err := checkVariants(root, []string{"apiVersion", "kind"}); err != nil {
		return err
	}
	return x.visit(root, roleAny, nil, "", scope{obj: &object{}})
}

// object reads one object. apiVersion and kind are those that its list implies.
func (x *extractor) object(n *node, s scope, apiVersion, kind string) error {
	if err := checkVariants(n, []string{"apiVersion", "kind", "metadata", "spec", "items"}); err != nil {
		return err
	}
	for _, name := range []string{"apiVersion", "kind"} {
		if v := n.get(name); v != nil && !v.isString() {
			return problem(v.line, v.col, "%s is not a string: quote it", name)
		}
	}
	if v := n.str("apiVersion"); v != "" {
		apiVersion = v
	}
	if v := n.str("kind"); v != "" {
		kind = v
	}
	if items := n.get("items"); items != nil && strings.HasSuffix(kind, "List") {
		return x.list(n, s, apiVersion, kind)
	}
	group := groupOf(apiVersion)
	meta := n.get("metadata")
	obj := &object{namespace: meta.str("namespace"), typed: apiVersion != "" && kind != ""}
	obj.name = objectName(apiVersion, kind, obj.namespace, meta)
	labels, err := x.labels(meta)
	if err != nil {
		return err
	}
	obj.labels = labels
	p := kinds()[group+"/"+kind]
	obj.known = p != nil
	obj.complete = obj.known && requiresImage(group)
	s.obj, s.template, s.container = obj, nil, ""
	if err := x.elsewhere(n, group, kind, s); err != nil {
		return err
	}
	r := roleObject
	switch {
	case p != nil && p.role != roleAny:
		r = p.role
	case p.field("spec") == nil && shapeOf(n) == rolePodTemplate:
		r = rolePodTemplate // a pod by its content, whatever it claims to be
	}
	if err := checkFields(n, r, p, s); err != nil {
		return err
	}
	for i := range n.items {
		it := &n.items[i]
		next := r.field(it.key)
		switch {
		case it.key == "metadata":
			next = roleMetadata
		case group == ownGroup, it.key == "status" && builtIn(group):
			next = roleSkip
		}
		if r == rolePodTemplate {
			s.template = labels
		}
		x.pushField(it.key)
		if err := x.visit(it.val, next, p.field(it.key), it.key, s); err != nil {
			return err
		}
		x.pop()
	}
	return nil
}

// list reads the objects of a v1 List, a PodList and their like. Elements of
// typed lists may leave out their kind.
func (x *extractor) list(n *node, s scope, apiVersion, kind string) error {
	items := n.get("items")
	if items.isNull() {
		return nil
	}
	if items.kind != sequence {
		return problem(items.line, items.col, "items of a %s is not a list: write a list of objects", clip(kind, 60))
	}
	kind = strings.TrimSuffix(kind, "List")
	if kind == "" {
		apiVersion = ""
	}
	x.pushField("items")
	defer x.pop()
	for i := range items.items {
		v := items.items[i].val
		if v.isNull() {
			continue
		}
		if v.kind != mapping {
			return problem(v.line, v.col, "an element of a list of objects is not an object")
		}
		x.pushElement(i)
		if err := x.object(v, s, apiVersion, kind); err != nil {
			return err
		}
		x.pop()
	}
	for i := range n.items {
		if it := &n.items[i]; it.key != "items" {
			x.path[len(x.path)-1] = step{it.key, -1}
			if err := x.visit(it.val, roleAny, nil, it.key, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func objectName(apiVersion, kind, namespace string, meta *node) string {
	name := meta.str("name")
	if name == "" {
		name = meta.str("generateName")
	}
	if namespace != "" {
		name = clip(namespace, 253) + "/" + clip(name, 253)
	}
	head := strings.Trim(clip(apiVersion, 253)+"/"+clip(kind, 253), "/")
	return strings.TrimSpace(head + " " + clip(name, 2*253+1))
}

func (x *extractor) labels(meta *node) (map[string]string, error) {
	if err := checkVariants(meta, []string{"labels", "namespace", "name"}); err != nil {
		return nil, err
	}
	l := meta.get("labels")
	if l == nil || l.isNull() {
		return nil, nil
	}
	if l.kind != mapping {
		return nil, problem(l.line, l.col, "labels is not a mapping: write names and values")
	}
	labels := make(map[string]string, len(l.items))
	for i := range l.items {
		v := l.items[i].val
		if v.kind != scalar {
			return nil, problem(v.line, v.col, "the label %q is not a string: write a string", clip(l.items[i].key, 60))
		}
		if x.room -= len(v.text) + len(l.items[i].key); x.room < 0 {
			return nil, x.full(v)
		}
		labels[l.items[i].key] = v.text
		if v.isNull() {
			labels[l.items[i].key] = ""
		}
	}
	return labels, nil
}

// visit reads one value. role says what is expected of it, p what the table
// says about it and the values below it; key is the field that it stands in.
func (x *extractor) visit(n *node, r role, p *pattern, key string, s scope) error {
	if p != nil && p.role != roleAny {
		r = p.role
	}
	switch r {
	case roleImage, roleInitImage, roleEphemeralImage, roleVolumeReference, rolePackage, roleRegistryURL:
		return x.image(n, r, s)
	case roleModel, roleCode:
		if n.kind == scalar {
			return x.model(n, r, s)
		}
		return problem(n.line, n.col, "%s is not a string: write one URI", clip(key, 60))
	case roleModelStorage:
		return x.modelStorage(n, s)
	case roleManifest, roleRuntimeEnv:
		if n.kind == scalar && n.typ != typeOther {
			return x.text(n, r, s)
		}
	}
	if n.isNull() {
		return nil
	}
	switch {
	case r.list() && n.kind != sequence:
		return problem(n.line, n.col, "%s is not a list: write a list", clip(key, 60))
	case r.structure() && n.kind != mapping:
		return problem(n.line, n.col, "%s is not a mapping: write its fields", clip(key, 60))
	}
	switch n.kind {
	case mapping:
		return x.mapping(n, r, p, key, s)
	case sequence:
		return x.sequence(n, r, p, key, s)
	}
	return x.loose(n, r, key, s)
}

func (x *extractor) sequence(n *node, r role, p *pattern, key string, s scope) error {
	next, below := r.element(), p.elements()
	for i := range n.items {
		v := n.items[i].val
		if r.list() && v.isNull() {
			return problem(v.line, v.col, "an element of %s is null: write it or remove it", clip(key, 60))
		}
		x.pushElement(i)
		if err := x.visit(v, next, below, key, s); err != nil {
			return err
		}
		x.pop()
	}
	return nil
}

func (x *extractor) mapping(n *node, r role, p *pattern, key string, s scope) error {
	if r == roleAny && isObject(n) {
		return x.object(n, s, "", "")
	}
	if r.loose() {
		if shape := shapeOf(n); shape != roleAny {
			r = shape
		}
	}
	if err := checkFields(n, r, p, s); err != nil {
		return err
	}
	runs, variable := false, r == roleAny && isVariable(n)
	if variable {
		x.pushField("value")
		if err := x.variable(n.str("name"), n.get("value"), nil, s); err != nil {
			return err
		}
		x.pop()
	}
	switch r {
	case rolePodTemplate:
		labels, err := x.labels(n.get("metadata"))
		if err != nil {
			return err
		}
		s.template = labels
	case roleContainer, roleInitContainer, roleEphemeralContainer, roleSparkRole:
		if name := n.str("name"); name != "" {
			s.container = clip(name, 253)
		}
		if err := x.container(n, r, s); err != nil {
			return err
		}
	case roleAny:
		if err := x.composed(n, key, s); err != nil {
			return err
		}
		if err := x.pulls(n, key, s); err != nil {
			return err
		}
		var err error
		if runs, err = x.runs(n, s); err != nil {
			return err
		}
	}
	for i := range n.items {
		it := &n.items[i]
		if runs && isRun(it) || variable && it.key == "value" {
			continue // read above
		}
		next := r.field(it.key)
		if r == roleSchema && isProse(it.key) {
			next = roleSkip
		}
		x.pushField(it.key)
		if err := x.visit(it.val, next, p.field(it.key), it.key, s); err != nil {
			return err
		}
		x.pop()
	}
	return nil
}

// isObject recognises an object that another one carries (ManifestWork,
// Template, TriggerTemplate), and tells it from a reference to an object.
func isObject(n *node) bool {
	return n.str("apiVersion") != "" && n.str("kind") != "" && (n.get("metadata").isMapping() || n.get("spec").isMapping())
}

// shapeOf recognises pods wherever they stand.
func shapeOf(n *node) role {
	if n.kind != mapping {
		return roleAny
	}
	if spec := n.get("spec"); spec.isMapping() && podShaped(spec) {
		return rolePodTemplate
	}
	if podShaped(n) {
		return rolePodSpec
	}
	return roleAny
}

// podShaped looks for lists of containers, and for image volumes. Names count in
// any case here: what is no pod in our spelling may be one in another's.
func podShaped(n *node) bool {
	for i := range n.items {
		it := &n.items[i]
		if it.val.kind != sequence || len(it.val.items) == 0 {
			continue
		}
		switch {
		case strings.EqualFold(it.key, "containers"), strings.EqualFold(it.key, "initContainers"), strings.EqualFold(it.key, "ephemeralContainers"):
			if slices.ContainsFunc(it.val.items, func(c item) bool { return hasImage(c.val) }) {
				return true
			}
		case it.key == "volumes":
			if slices.ContainsFunc(it.val.items, func(v item) bool { return v.val.get("image").get("reference") != nil }) {
				return true
			}
		}
	}
	return false
}

func hasImage(n *node) bool {
	return n.kind == mapping && slices.ContainsFunc(n.items, func(it item) bool { return strings.EqualFold(it.key, "image") })
}

// image reads a field that must hold an image reference.
func (x *extractor) image(n *node, r role, s scope) error {
	text := n.text
	switch {
	case n.kind != scalar || n.typ == typeOther:
		return problem(n.line, n.col, "an image that is not a string: write one reference, in quotes if it is a number")
	case n.isNull() || text == "":
		return x.unresolved(n, "", verdict.ReferenceUnresolved, "the image is empty: name one, or let what fills it in run before", s)
	case n.typ == typeTagged || isPlaceholder(text):
		return x.unresolved(n, text, verdict.ReferenceUnresolved, "the image depends on a value that is not known here: render the manifest first, or give the parameter's value", s)
	}
	if r == roleRegistryURL {
		var ok bool
		if text, ok = strings.CutPrefix(text, "docker://"); !ok {
			return x.unresolved(n, n.text, verdict.ReferenceUnresolved, "not a docker:// URL: what it names cannot be verified", s)
		}
	}
	ref, err := reference.Parse(text)
	if err != nil {
		return x.unresolved(n, n.text, verdict.ReferenceInvalid, err.Error(), s)
	}
	if r == rolePackage && ref.Registry == reference.DockerHub && !strings.Contains(text, "docker.io/") {
		return x.unresolved(n, n.text, verdict.ReferenceUnresolved, "a package without its registry, which the Crossplane installation adds: write host/path:tag", s)
	}
	return x.found(n, Ref{Class: r.class(), Text: n.text, Reference: ref}, s)
}

// missingImage reports a container without an image field.
func (x *extractor) missingImage(n *node, s scope) error {
	return x.unresolved(n, "", verdict.ReferenceUnresolved, "the container has no image: name one, or render the patch that this is", s)
}

// found reports a reference.
func (x *extractor) found(n *node, ref Ref, s scope) error {
	ref.Where = x.where(n, s)
	ref.Namespace = s.obj.namespace
	ref.ObjectLabels, ref.TemplateLabels = s.obj.labels, s.template
	// Words and grammars may both find it, one soon after the other.
	for i := len(x.res.Refs) - 1; i >= max(0, len(x.res.Refs)-recent) && x.res.Refs[i].Where == ref.Where; i-- {
		if before := &x.res.Refs[i]; before.Text == ref.Text && before.Kind() == ref.Kind() {
			return nil
		}
	}
	x.res.Refs = append(x.res.Refs, ref)
	return x.charge(n, ref.Where)
}

// unresolved reports what cannot be judged; text is shown redacted.
func (x *extractor) unresolved(n *node, text string, code verdict.Code, why string, s scope) error {
	where := x.where(n, s)
	text = redact(text)
	for i := len(x.res.Unresolved) - 1; i >= max(0, len(x.res.Unresolved)-recent) && x.res.Unresolved[i].Where == where; i-- {
		if before := &x.res.Unresolved[i]; before.Text == text && before.Code == code {
			return nil
		}
	}
	x.res.Unresolved = append(x.res.Unresolved, verdict.Unresolved{Text: text, Where: where, Code: code, Why: why})
	return x.charge(n, where)
}

// recent is how many findings are compared with a new one.
const recent = 32

// finding is the size of a finding without its text.
const finding = 400

func (x *extractor) charge(n *node, where verdict.Origin) error {
	if x.room -= finding + len(where.Pointer); x.room < 0 {
		return x.full(n)
	}
	return nil
}

func (x *extractor) full(n *node) error {
	return problem(n.line, n.col, "the file names more than can be reported (%d bytes): split it", maxReport)
}

func (x *extractor) where(n *node, s scope) verdict.Origin {
	o := verdict.Origin{
		File: x.res.File, Line: int(n.line), Column: int(n.col),
		Object: s.obj.name, Pointer: x.pointer(), Container: s.container,
	}
	if s.embedded.Line > 0 { // places in the text mean nothing in the file
		o.Line, o.Column, o.Pointer = s.embedded.Line, s.embedded.Column, s.embedded.Pointer
	}
	return o
}

func (x *extractor) pushField(key string)  { x.path = append(x.path, step{key, -1}) }
func (x *extractor) pushElement(index int) { x.path = append(x.path, step{"", index}) }
func (x *extractor) pop()                  { x.path = x.path[:len(x.path)-1] }

// pointer writes the path as RFC 6901 says.
func (x *extractor) pointer() string {
	var b strings.Builder
	for _, s := range x.path {
		b.WriteByte('/')
		switch {
		case s.index >= 0:
			b.WriteString(strconv.Itoa(s.index))
		case strings.ContainsAny(s.key, "~/"):
			b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(s.key))
		default:
			b.WriteString(s.key)
		}
	}
	return b.String()
}
