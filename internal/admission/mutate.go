package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/verdict"
)

// PinnedAnnotation tells people which tag an image was pinned from: a JSON
// object from the reference that is used to the one that was written. Nothing
// reads it to decide.
const PinnedAnnotation = "apexlogic.com/pinned-from"

// maxPinned bounds the annotation; all annotations of an object share 256 KiB.
const maxPinned = 16 << 10

// mutate pins tags to the digests that they name now. It denies nothing that
// /validate would not: an image that cannot be resolved stays as it is, and is
// judged there with its reason. Pinning twice changes nothing, so that API
// servers may ask again after other webhooks.
func (h *Handler) mutate(ctx context.Context, r *Review, s *scratch) answer {
	a := answer{allowed: true}
	if h.o.Resolve == nil || !concerns(r) || r.Group == ownGroup {
		return a
	}
	found, err := h.read(r, s, r.Object)
	if err != nil {
		return h.unreadable(err)
	}
	type target struct {
		path   string
		ref    *manifest.Ref
		digest *resolution
	}
	var p *pins
	var targets []target
	for i := range found.Refs {
		ref := &found.Refs[i]
		if !pinnable(ref) || len(targets) == maxQuestions {
			continue
		}
		if p == nil {
			if p, err = newPins(r.Object); err != nil {
				return h.unreadable(err)
			}
		}
		path := strings.TrimPrefix(ref.Where.Pointer, "/request/object")
		if text, ok := p.at(path); ok && text == ref.Text { // else it stands within another text, which we do not rewrite
			targets = append(targets, target{path, ref, h.resolve(ctx, ref.Question(nil))})
		}
	}
	for _, t := range targets {
		digest, err := h.wait(ctx, t.digest)
		switch {
		case errors.Is(err, errLate), errors.Is(err, errDraining), errors.Is(err, errFull):
			return h.later(err)
		case err == nil && digest != "":
			p.pin(t.path, t.ref, digest)
		}
	}
	if p == nil || len(p.operations) == 0 {
		return a
	}
	if a.patch, err = p.patch(); err != nil {
		h.o.Logger.Error("a patch could not be written", "err", err)
		return h.internal()
	}
	return a
}

// pinnable says whether ref is an image by tag.
func pinnable(ref *manifest.Ref) bool {
	switch ref.Class {
	case manifest.ClassContainer, manifest.ClassInitContainer, manifest.ClassEphemeralContainer, manifest.ClassImageVolume:
		return ref.Model == "" && !ref.Reference.IsZero() && ref.Reference.Digest == "" && !strings.Contains(ref.Text, "://")
	}
	return false
}

// pins is a patch in the making.
type pins struct {
	object     map[string]any
	operations []operation
	from       map[string]string // what is used, to what was written
}

// operation of a JSON patch. The test before each replacement makes the API
// server refuse a patch that does not fit what it holds.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

func newPins(object []byte) (*pins, error) {
	p := &pins{from: map[string]string{}}
	if err := json.Unmarshal(object, &p.object); err != nil {
		return nil, fmt.Errorf("read the object: %w", err)
	}
	return p, nil
}

// at returns the string at a JSON pointer (RFC 6901).
func (p *pins) at(path string) (string, bool) {
	var v any = p.object
	for step := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch in := v.(type) {
		case map[string]any:
			v = in[unescape.Replace(step)]
		case []any:
			i := 0
			for _, c := range step {
				if c < '0' || c > '9' || i > len(in) {
					return "", false
				}
				i = 10*i + int(c-'0')
			}
			if step == "" || i >= len(in) {
				return "", false
			}
			v = in[i]
		default:
			return "", false
		}
	}
	text, ok := v.(string)
	return text, ok
}

// unescape reads a step of a JSON pointer. It is never changed.
var unescape = strings.NewReplacer("~1", "/", "~0", "~")

func (p *pins) pin(path string, ref *manifest.Ref, digest verdict.Digest) {
	name := ref.Text
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	pinned := name + "@" + string(digest)
	p.operations = append(p.operations, operation{"test", path, ref.Text}, operation{"replace", path, pinned})
	p.from[pinned] = ref.Text
}

// patch returns the operations, and the annotation for people.
func (p *pins) patch() ([]byte, error) {
	metadata, _ := p.object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	// What an earlier pass wrote stays; what is no map of ours is replaced.
	if text, ok := annotations[PinnedAnnotation].(string); ok && len(text) <= maxPinned {
		var before map[string]string
		if json.Unmarshal([]byte(text), &before) == nil {
			for pinned, written := range before {
				if _, now := p.from[pinned]; !now {
					p.from[pinned] = written
				}
			}
		}
	}
	text, err := json.Marshal(p.from)
	if err != nil {
		return nil, err
	}
	switch {
	case metadata == nil || len(text) > maxPinned:
	case annotations == nil:
		p.operations = append(p.operations, operation{"add", "/metadata/annotations", map[string]string{PinnedAnnotation: string(text)}})
	default:
		p.operations = append(p.operations, operation{"add", "/metadata/annotations/" + strings.ReplaceAll(PinnedAnnotation, "/", "~1"), string(text)})
	}
	return json.Marshal(p.operations)
}
