package manifest

import (
	"strings"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// composed reads an image that is written in parts, as Helm values, Kustomize
// and many operators have it: under a key of its own (image: {repository, tag}),
// or beside each other (imageRepository, imageTag).
func (x *extractor) composed(n *node, key string, s scope) error {
	if !hasParts(n) {
		return nil
	}
	image, _ := isImageKey(key)
	text := func(names ...string) (text string, there bool) {
		for _, name := range names {
			if v := n.get(name); v != nil && v.kind == scalar {
				if v.isNull() {
					return "", true
				}
				return v.text, true
			}
		}
		return "", false
	}
	var p parts
	p.name, _ = text("newName", "repository", "repo")
	p.registry, _ = text("registry", "hub")
	p.tag, p.tagged = text("newTag", "tag", "version")
	p.digest, _ = text("digest", "sha")
	plain, _ := text("name")
	switch {
	case p.name == "" && (p.tagged || p.digest != "" || p.registry != ""):
		p.name = plain
	case image && plain != "" && p.name != "" && p.registry != "" && !strings.HasSuffix("/"+p.name, "/"+plain):
		p.name += "/" + plain
	}
	switch {
	case p.name == "" || p.name == plain && !image:
	case image, p.registry != "" && isHost(p.registry) && (p.tag != "" || p.digest != ""), isHosted(p.name) && (p.tag != "" || p.digest != ""):
		if err := x.joined(n, p, s); err != nil {
			return err
		}
	}
	return x.flat(n, s)
}

// parts are those of one image.
type parts struct {
	registry, name, tag, digest string
	tagged                      bool // a tag is there, if only an empty one
}

// hasParts spares most mappings the search for each part.
func hasParts(n *node) bool {
	for i := range n.items {
		switch key := n.items[i].key; key {
		case "repository", "repo", "registry", "hub", "tag", "newTag", "newName", "digest", "name", "sha":
			return true
		default:
			if len(key) > 6 && containsFold(key, "image") {
				return true
			}
		}
	}
	return false
}

// isHosted says whether a repository begins with a registry's host, and not with
// that of a forge.
func isHosted(text string) bool {
	host, rest, ok := strings.Cut(text, "/")
	return ok && rest != "" && isHost(host) && !isSourceLine(text)
}

func isHost(text string) bool {
	return strings.ContainsAny(text, ".:") && !strings.Contains(text, "//") && !strings.HasPrefix(text, ".")
}

// flat reads the parts of images whose names begin alike: workerImageRepository,
// workerImageTag.
func (x *extractor) flat(n *node, s scope) error {
	var images map[string]*parts
	for i := range n.items {
		it := &n.items[i]
		if it.val.kind != scalar || it.val.typ == typeNull || it.val.text == "" || len(it.key) > 64 || !containsFold(it.key, "image") {
			continue
		}
		before, part, ok := strings.Cut(fold(it.key), "image")
		if !ok || part == "" {
			continue
		}
		p := images[before]
		if p == nil {
			p = &parts{}
		}
		switch part {
		case "registry", "hub":
			p.registry = it.val.text
		case "repository", "repo":
			p.name = it.val.text
		case "name":
			if p.name == "" {
				p.name = it.val.text
			}
		case "tag", "version":
			p.tag, p.tagged = it.val.text, true
		case "digest", "sha":
			p.digest = it.val.text
		default:
			continue
		}
		if images == nil {
			images = map[string]*parts{}
		}
		images[before] = p
	}
	for i := range n.items { // in the order of the file
		before, part, _ := strings.Cut(fold(n.items[i].key), "image")
		p := images[before]
		if part == "" || p == nil || p.name == "" || p.tag == "" && p.digest == "" && p.registry == "" {
			continue
		}
		delete(images, before)
		if err := x.joined(n, *p, s); err != nil {
			return err
		}
	}
	return nil
}

// joined reports an image in parts.
func (x *extractor) joined(n *node, p parts, s scope) error {
	text := p.name
	if p.registry != "" {
		text = strings.TrimSuffix(p.registry, "/") + "/" + text
	}
	switch {
	case p.tag != "":
		text += ":" + p.tag
	case p.tagged && p.digest == "":
		if s.obj.settings {
			return nil // a default that whoever reads it fills in
		}
		return x.unresolved(n, text, verdict.ReferenceUnresolved, "the tag is empty, and what fills it in is not known here: render the manifest first", s)
	}
	if p.digest != "" {
		if !strings.Contains(p.digest, ":") {
			p.digest = "sha256:" + p.digest
		}
		text += "@" + p.digest
	}
	if isPlaceholder(text) {
		return x.unresolved(n, text, verdict.ReferenceUnresolved, "the image depends on a value that is not known here: render the manifest first", s)
	}
	ref, err := reference.Parse(text)
	switch {
	case err == nil:
		return x.found(n, Ref{Class: ClassUnclassified, Text: text, Reference: ref}, s)
	case s.obj.settings:
		return nil
	}
	return x.unresolved(n, text, verdict.ReferenceInvalid, err.Error(), s)
}
