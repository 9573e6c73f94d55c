package manifest

import (
	"strings"

	"github.com/apexlogic/apex/internal/oci/reference"
)

// isBreak reports whether c parts the elements of a list that stands in one
// string, or is part of what is written around them.
func isBreak(c byte) bool {
	switch c {
	case ' ', '\t', '\r', '\n', ',', ';', '|', '"', '\'', '[', ']', '(', ')', '<', '>', '`':
		return true
	}
	return false
}

// isLong reports whether a string may hold more than one word.
func isLong(text string) bool {
	for i := range len(text) {
		if isBreak(text[i]) || text[i] == '{' {
			return true
		}
	}
	return false
}

// words parts a list. Each element is yielded without what names it (a=image).
func words(text string) []string {
	list := strings.FieldsFunc(text, func(r rune) bool { return r < 0x80 && isBreak(byte(r)) })
	kept := list[:0]
	for _, w := range list {
		if w = value(w); w != "-" {
			kept = append(kept, w)
		}
	}
	return kept
}

// value cuts a name and its equals sign off; references have none.
func value(word string) string {
	if name, after, ok := strings.Cut(word, "="); ok && !strings.ContainsAny(name, "/:@") {
		return after
	}
	return word
}

// listed reports the references of a string that is nothing but a list of them.
// Prose that mentions one has words that are none.
func (x *extractor) listed(n *node, text string, s scope) (found bool, err error) {
	if !strings.Contains(text, "/") && !strings.Contains(text, "@") {
		return false, nil
	}
	list := words(text)
	for _, w := range list {
		if !isReference(w) && !looksLikeModel(w, false, true) {
			return false, nil
		}
	}
	for _, w := range list {
		if err := x.reference(n, w, s); err != nil {
			return false, err
		}
	}
	return len(list) > 0, nil
}

// isReference recognises an image by its text alone: with a registry's host and
// a tag, or with a digest.
func isReference(text string) bool {
	if _, ok := looksLikeImage(text); ok {
		return !isSourceLine(text)
	}
	return false
}

// isSourceLine recognises the place of a line of code: github.com/a/b/c.go:42.
// No registry is at these hosts.
func isSourceLine(text string) bool {
	host, _, _ := strings.Cut(text, "/")
	switch host {
	case "github.com", "gitlab.com", "bitbucket.org", "golang.org", "gopkg.in", "k8s.io", "sigs.k8s.io", "go.uber.org", "google.golang.org":
		return !strings.Contains(text, "@sha256:")
	}
	return false
}

// reference reports an image or a model that stands in a longer text.
func (x *extractor) reference(n *node, text string, s scope) error {
	text = strings.TrimPrefix(text, "docker://")
	if looksLikeModel(text, false, true) {
		return x.modelText(n, text, ClassUnclassified, "", s)
	}
	ref, err := reference.Parse(text)
	if err != nil {
		return nil
	}
	return x.found(n, Ref{Class: ClassUnclassified, Text: text, Reference: ref}, s)
}

// isNamedImage says whether a field, an option or a variable of this name holds
// an image even if that is a bare word: image, BASE_IMAGE, --runner-image.
func isNamedImage(key string) bool {
	if len(key) > 64 || !containsFold(key, "image") {
		return false
	}
	folded := fold(strings.TrimLeft(key, "-"))
	for _, end := range [...]string{"name", "reference", "ref", "uri", "url"} {
		if before, ok := strings.CutSuffix(folded, "image"+end); ok {
			folded = before + "image"
			break
		}
	}
	before, ok := strings.CutSuffix(strings.TrimSuffix(folded, "s"), "image")
	if !ok {
		return false
	}
	switch before {
	case "", "container", "docker", "oci", "base", "sidecar", "runner", "worker", "agent", "init", "server", "proxy", "job", "pod", "builder",
		"build", "runtime", "helper", "executor", "driver", "operator", "controller", "serving", "model", "predictor", "kaniko", "app",
		"related", "step", "task", "debug", "tool", "tools", "service", "function", "initcontainer", "engine", "backend", "frontend", "router":
		return true
	}
	return false
}

// isNoImage recognises what settings have in the place of an image: switches,
// pictures, paths, addresses.
func isNoImage(text string) bool {
	switch strings.ToLower(text) {
	case "", "none", "null", "nil", "auto", "default", "true", "false", "yes", "no", "on", "off", "enabled", "disabled", "always", "never",
		"ifnotpresent", "latest", "stable", "unknown", "custom", "inherit", "initial", "unset", "n/a", "na", "todo", "tbd", "image", "images",
		"text", "video", "audio", "base64", "url", "public", "private", "string", "any", "all":
		return true
	}
	if strings.IndexByte("/.~#%", text[0]) >= 0 || isPattern(text) {
		return true
	}
	if strings.Contains(text, "@") || strings.LastIndexByte(text, ':') > strings.LastIndexByte(text, '/') {
		return false // with a digest or a tag it is no picture
	}
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return false
	}
	switch strings.ToLower(text[dot+1:]) {
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "bmp", "tif", "tiff", "avif", "heic", "img", "iso", "qcow2", "vmdk", "vdi", "raw",
		"vhd", "vhdx", "ova", "tar", "gz", "zip", "xz", "css", "html", "pdf", "bin", "hex", "uf2", "com", "io", "org", "net", "txt", "json", "yaml", "yml":
		return true
	}
	return false
}

// named reads a setting whose name announces an image. Settings are less strict
// than fields: what cannot be an image is something else by the same name.
func (x *extractor) named(n *node, text string, s scope) error {
	list := words(text)
	prose := len(list) > 1 && strings.ContainsAny(strings.ReplaceAll(strings.TrimSpace(text), ", ", ","), " \t")
	for _, w := range list {
		switch scheme := schemeOf(w); {
		case scheme == "docker", scheme == "docker-image":
			_, w, _ = strings.Cut(w, "://")
		case scheme != "":
			if looksLikeModel(w, true, true) {
				if err := x.reference(n, w, s); err != nil {
					return err
				}
			}
			continue
		}
		if w == "" || isNoImage(w) || prose && !strings.ContainsAny(w, ":/@") {
			continue
		}
		ref, err := reference.Parse(w)
		if err != nil {
			continue
		}
		if err := x.found(n, Ref{Class: ClassUnclassified, Text: w, Reference: ref}, s); err != nil {
			return err
		}
	}
	return nil
}
