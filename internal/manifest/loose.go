package manifest

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// loose reads a scalar that the table says nothing about.
func (x *extractor) loose(n *node, r role, key string, s scope) error {
	text := n.text
	if r == roleSkip || r == roleMetadata || text == "" || n.typ == typeOther || n.typ == typeNull {
		return nil
	}
	switch {
	case r == roleEncoded:
		return x.decoded(n, key, s)
	case r == roleData || s.obj.settings && (r == roleAny || r == roleObject):
		return x.loosely(n, key, s)
	}
	image, sure := isImageKey(key)
	if !s.obj.typed && !strings.EqualFold(key, "image") {
		sure = false // vmImage and the like, in files that nobody applies
	}
	switch {
	case r == roleSchema || r == roleAnnotations:
		// Prose and settings: only text that is a whole reference by itself.
		if r != roleSchema && sure {
			return x.looseImage(n, true, s)
		}
		if err := x.byText(n, isModelKey(key) || containsFold(key, "model"), true, s); err != nil || !isLong(text) {
			return err
		}
		return x.noted(n, r, key, s)
	case isQuery(text):
		return nil
	case image && isLong(text) && !isPlaceholder(text):
		return x.named(n, text, s)
	case image && !sure && isNamedImage(key):
		return x.setting(n, key, text, s)
	case image:
		return x.looseImage(n, sure, s)
	case isModelKey(key) && n.typ != typeTagged && !isPlaceholder(text):
		return x.modelText(n, text, x.modelClass(s), "", s)
	case isModelKey(key):
		return x.unresolvedModel(n, s)
	}
	if isLong(text) {
		return x.hidden(n, key, text, false, s)
	}
	return x.byText(n, false, false, s)
}

// loosely reads a setting: a value of a ConfigMap, a Secret, or of the text that
// one of them holds.
func (x *extractor) loosely(n *node, key string, s scope) error {
	text := n.text
	switch image, _ := isImageKey(key); {
	case n.typ == typeTagged || isQuery(text):
		return nil
	case image && !strings.Contains(text, "\n"):
		if !isNamedImage(key) && !strings.ContainsAny(text, ":/@") {
			return nil
		}
		if isPlaceholder(text) && isNamedImage(key) {
			return x.setting(n, key, text, s)
		}
		return x.named(n, text, s)
	case isModelKey(key) && !isLong(text):
		if isPlaceholder(text) {
			return x.unresolvedModel(n, s)
		}
		if isLocal(text) {
			return nil
		}
		return x.modelText(n, text, ClassUnclassified, "", s)
	case !isLong(text):
		return x.setting(n, key, text, s)
	}
	return x.hidden(n, key, text, false, s)
}

// noted reads what is longer in an annotation or a schema. What kubectl applied
// last is a copy that nobody runs.
func (x *extractor) noted(n *node, r role, key string, s scope) error {
	if x.work += len(n.text); x.work > maxWork {
		return problem(n.line, n.col, "more than %d bytes of text within the file's values: split it", maxWork)
	}
	found, err := x.listed(n, n.text, s)
	if found || err != nil || r == roleSchema || strings.HasSuffix(key, "/last-applied-configuration") {
		return err
	}
	if strings.Contains(n.text, "image") || manifestShaped(n.text) {
		_, err = x.settings(n, n.text, s)
	}
	return err
}

// looseImage reads a field that is named like an image's in a place that nobody
// knows. sure means that whatever is no image must be explained.
func (x *extractor) looseImage(n *node, sure bool, s scope) error {
	text := n.text
	switch trimmed := strings.TrimSpace(text); {
	case text == "true" || text == "false" || isPattern(text) && !isPlaceholder(text):
		return nil // a switch, or what a policy matches images with
	case strings.ContainsAny(trimmed, " \t\r\n") && !isPlaceholder(text):
		return x.byText(n, false, false, s) // prose
	}
	if n.typ == typeTagged || isPlaceholder(text) {
		if !sure {
			return nil
		}
		return x.unresolved(n, text, verdict.ReferenceUnresolved, "the image depends on a value that is not known here: render the manifest first, or give the parameter's value", s)
	}
	bare := text
	switch scheme := schemeOf(text); scheme {
	case "":
	case "docker", "docker-image", "containers-storage":
		_, bare, _ = strings.Cut(text, "://")
	case "http", "https", "file", "data":
		return x.byText(n, false, false, s) // a picture's address
	default:
		if looksLikeModel(text, true, false) {
			return x.modelText(n, text, ClassUnclassified, "", s)
		}
	}
	if !sure && !strings.ContainsAny(bare, ":/@") {
		return nil
	}
	ref, err := reference.Parse(bare)
	if err != nil {
		if !sure {
			return nil
		}
		return x.unresolved(n, text, verdict.ReferenceInvalid, err.Error(), s)
	}
	return x.found(n, Ref{Class: ClassUnclassified, Text: text, Reference: ref}, s)
}

// byText reports a string that is an image or a model by its looks.
func (x *extractor) byText(n *node, announced, settings bool, s scope) error {
	text := n.text
	if ref, ok := looksLikeImage(text); ok {
		return x.found(n, Ref{Class: ClassUnclassified, Text: text, Reference: ref}, s)
	}
	if rest, ok := strings.CutPrefix(text, "docker://"); ok {
		if ref, err := reference.Parse(rest); err == nil {
			return x.found(n, Ref{Class: ClassUnclassified, Text: text, Reference: ref}, s)
		}
	}
	if looksLikeModel(text, announced, settings) {
		if isPlaceholder(text) {
			return x.unresolvedModel(n, s)
		}
		return x.modelText(n, text, ClassUnclassified, "", s)
	}
	return nil
}

// model reads a field that must hold a model's location, or code's.
func (x *extractor) model(n *node, r role, s scope) error {
	switch {
	case n.typ == typeOther:
		return problem(n.line, n.col, "a model that is not a string: write one URI")
	case r == roleCode && (n.isNull() || schemeOf(n.text) == "" && !isPlaceholder(n.text)):
		return nil // a path inside of the image
	case n.isNull() || n.text == "":
		return x.unresolved(n, "", verdict.ReferenceUnresolved, "the model is empty: name one", s)
	case n.typ == typeTagged || isPlaceholder(n.text):
		return x.unresolvedModel(n, s)
	}
	return x.modelText(n, n.text, ClassModel, "", s)
}

// modelText reports a model; revision is what stands beside it.
func (x *extractor) modelText(n *node, text string, class Class, revision string, s scope) error {
	if why := checkModel(text); why != "" {
		return x.unresolved(n, text, verdict.ReferenceInvalid, "the model's location has "+why, s)
	}
	m := Ref{Class: class, Text: text, Model: text, Revision: revision}
	if scheme := schemeOf(text); scheme == "oci" || strings.HasPrefix(scheme, "oci+") {
		ref, err := reference.Parse(text[len(scheme)+len("://"):])
		if err != nil {
			return x.unresolved(n, text, verdict.ReferenceInvalid, err.Error(), s)
		}
		m.Reference = ref
	}
	return x.found(n, m, s)
}

func (x *extractor) unresolvedModel(n *node, s scope) error {
	return x.unresolved(n, n.text, verdict.ReferenceUnresolved, "the model depends on a value that is not known here: render the manifest first, or give the parameter's value", s)
}

func (x *extractor) modelClass(s scope) Class {
	if s.obj.known {
		return ClassModel
	}
	return ClassUnclassified
}

// modelStorage reads KServe's storage: a path in a bucket. The bucket stands in
// the parameters, or in a Secret where nothing here can see it.
func (x *extractor) modelStorage(n *node, s scope) error {
	if n.isNull() {
		return nil
	}
	if n.kind != mapping {
		return problem(n.line, n.col, "storage is not a mapping: write key and path")
	}
	if v := n.get("storageUri"); v != nil {
		return x.model(v, roleModel, s)
	}
	path, parameters := n.str("path"), n.get("parameters")
	scheme, bucket := parameters.str("type"), parameters.str("bucket")
	if scheme == "" || bucket == "" {
		return x.unresolved(n, path, verdict.ReferenceUnresolved, "the model's bucket stands in a Secret: name it in storage.parameters (type and bucket), or use storageUri", s)
	}
	text := fmt.Sprintf("%s://%s/%s", scheme, strings.Trim(bucket, "/"), strings.TrimLeft(path, "/"))
	if isPlaceholder(text) {
		return x.unresolved(n, text, verdict.ReferenceUnresolved, "the model depends on a value that is not known here: render the manifest first", s)
	}
	return x.modelText(n, text, ClassModel, "", s)
}
