package manifest

import (
	"net/url"
	"strings"

	"github.com/apexlogic/apex/internal/oci/reference"
)

// isPlaceholder recognises what some tool replaces before anything is deployed:
// ${X}, $X, $(X), {{ x }}. None of its characters can be part of a reference.
func isPlaceholder(text string) bool {
	return strings.Contains(text, "$") || strings.Contains(text, "{{") || strings.Contains(text, "}}")
}

// isPattern recognises text that policies match images with.
func isPattern(text string) bool { return strings.ContainsAny(text, "*?|!<>^") }

// isImageKey says whether a field's name announces an image: image, baseImage,
// sidecar-image, RELATED_IMAGE. sure is false where values of other sorts are
// just as usual.
func isImageKey(key string) (is, sure bool) {
	if len(key) > 64 || !containsFold(key, "image") {
		return false, false
	}
	switch folded := fold(key); {
	case strings.HasSuffix(folded, "image"):
		return true, true
	case strings.HasSuffix(folded, "imagename"), strings.HasSuffix(folded, "imageref"), strings.HasSuffix(folded, "imagereference"),
		strings.HasSuffix(folded, "imageuri"), strings.HasSuffix(folded, "imageurl"), strings.HasSuffix(folded, "images"),
		strings.HasPrefix(folded, "relatedimage"):
		return true, false
	}
	return false, false
}

// isModelKey says whether a field's name announces a model's location.
func isModelKey(key string) bool {
	if len(key) > 64 || !containsFold(key, "model") && !containsFold(key, "uri") {
		return false
	}
	switch fold(key) {
	case "storageuri", "modeluri", "sourcemodeluri", "modelurl", "modeldataurl", "hfmodelid":
		return true
	}
	return false
}

// fold gives all conventions of writing a name one spelling.
func fold(key string) string {
	if i := strings.LastIndexByte(key, '/'); i >= 0 { // an annotation's prefix
		key = key[i+1:]
	}
	folded := make([]byte, 0, len(key))
	for i := range len(key) {
		switch c := key[i]; {
		case c == '-' || c == '_' || c == '.':
		case isUpper(c):
			folded = append(folded, c|0x20)
		default:
			folded = append(folded, c)
		}
	}
	return string(folded)
}

// containsFold is strings.Contains without regard to ASCII case; part is in
// lower case. It spares most names the cost of [fold].
func containsFold(text, part string) bool {
	for i := 0; i+len(part) <= len(text); i++ {
		if text[i]|0x20 == part[0] && strings.EqualFold(text[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// isProse names the fields of schemas that are written for readers.
func isProse(key string) bool {
	switch key {
	case "description", "title", "example", "examples", "pattern", "externalDocs", "x-kubernetes-validations":
		return true
	}
	return false
}

// looksLikeImage recognises an image by its text alone: a host with a dot or a
// port, a path, and a tag or a digest.
func looksLikeImage(text string) (reference.Reference, bool) {
	slash := strings.IndexByte(text, '/')
	if slash < 1 || len(text) > 1024 || !strings.ContainsAny(text[:slash], ".:") || strings.Contains(text, "//") {
		return reference.Reference{}, false
	}
	if !strings.ContainsAny(text[slash:], ":@") {
		return reference.Reference{}, false
	}
	ref, err := reference.Parse(text)
	return ref, err == nil
}

// modelSchemes are the schemes that model servers and their storage
// initializers load from (KServe's storage package, vLLM, Kubeflow, MLflow).
func isModelScheme(scheme string) bool {
	switch scheme {
	case "oci", "oci+native", "oci+modelcar", "oci+fetch", "hf", "modelscope", "s3", "gs", "gcs", "hdfs", "webhdfs", "pvc",
		"abfs", "abfss", "wasb", "wasbs", "azureml", "az", "adl", "models", "ngc", "dbfs", "oss", "obs", "cos":
		return true
	}
	return false
}

// isModelRegistry reports whether nothing but models, or what must be verified
// like one, is named by the scheme. Buckets hold many things.
func isModelRegistry(scheme string) bool {
	return strings.HasPrefix(scheme, "oci") || scheme == "hf" || scheme == "modelscope" || scheme == "azureml" || scheme == "models" || scheme == "ngc"
}

// schemeOf returns the lower-case scheme of "scheme://…", or "".
func schemeOf(text string) string {
	scheme, _, ok := strings.Cut(text, "://")
	if !ok || len(scheme) > 16 || strings.ContainsAny(scheme, " \t\r\n/=,\"'") {
		return ""
	}
	return strings.ToLower(scheme)
}

// weights are the endings of files that hold a model's weights or code.
var weights = [...]string{".safetensors", ".gguf", ".ggml", ".pt", ".pth", ".ckpt", ".bin", ".onnx", ".pb", ".h5", ".hdf5",
	".keras", ".tflite", ".pkl", ".pickle", ".joblib", ".mar", ".nemo", ".npz", ".engine", ".mlmodel", ".llamafile"}

// isWeights reports whether a URL or path ends in a file of weights.
func isWeights(text string) bool {
	if i := strings.IndexAny(text, "?#"); i >= 0 {
		text = text[:i]
	}
	if i := strings.LastIndexByte(text, '.'); i >= 0 && len(text)-i < 16 {
		ending := strings.ToLower(text[i:])
		for _, w := range weights {
			if ending == w {
				return true
			}
		}
	}
	return false
}

// looksLikeModel recognises a model by its text alone. announced is true where
// the field's name says that it is one; settings is true where locations of
// other data are usual: buckets count only if they hold weights there.
func looksLikeModel(text string, announced, settings bool) bool {
	scheme := schemeOf(text)
	if scheme == "" || len(text) > maxModel || strings.ContainsAny(text, " \t\r\n\"'") {
		return false
	}
	switch {
	case isModelRegistry(scheme):
		return true
	case isModelScheme(scheme):
		return announced || !settings || isWeights(text)
	case scheme == "http" || scheme == "https":
		return isWeights(text)
	}
	return false
}

// maxModel bounds a model's URI; object stores stop at 1,024 bytes of key.
const maxModel = 2048

// checkModel says what is wrong with a model's URI or repository id; "" when
// nothing is.
func checkModel(text string) string {
	if len(text) > maxModel {
		return "longer than 2048 bytes: shorten it"
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f {
			return "white space, a control character or a character that is not ASCII: write plain ASCII, percent-encoded where needed"
		}
	}
	if !strings.Contains(text, "://") {
		return ""
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "not a URI: write scheme://host/path"
	case u.User != nil:
		return "credentials in the URI: keep them in a Secret"
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if part == ".." {
			return "a parent directory in the path: write the path that it means"
		}
	}
	return ""
}

// redact makes text fit to be reported: without user names and passwords, and
// without the query of a URL, where signed links carry their secret.
func redact(text string) string {
	if isPlaceholder(text) {
		return clip(text, 200)
	}
	if schemeOf(text) != "" {
		if i := strings.IndexAny(text, "?#"); i >= 0 {
			text = text[:i] + "?…"
		}
	}
	return reference.Redact(text)
}
