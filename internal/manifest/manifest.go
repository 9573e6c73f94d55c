// Package manifest finds every container image and model that Kubernetes
// manifests name, so that none of them is deployed without a verdict.
//
// Start with [Extract], which reads one file; [Walk] finds the files and
// [ParseAdmissionReview] reads what an API server asks. What was found is a
// [Ref]; what was found and cannot be judged is a [verdict.Unresolved], and a
// file that cannot be read safely is rejected as a whole: it yields problems
// and no references at all.
//
// Two tiers find references. A table (table.go, one line per kind) names the
// exact places in the kinds that run or serve something. Everything else is
// walked by shape: a list named containers is one whatever kind it stands in,
// and a string anywhere that looks like an image or a model is reported as
// [ClassUnclassified], so that a new kind cannot smuggle one past the table.
//
// Reading is stricter than YAML 1.2 and RFC 8259: what two parsers could read
// differently (duplicate keys, merge keys that a later parser would let win,
// keys that differ from a field's name only by case) is refused.
package manifest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// Class says what a reference is for.
type Class uint8

// The classes. The zero value is Unclassified: what nobody recognised is not
// taken for something harmless.
const (
	ClassUnclassified Class = iota
	ClassContainer
	ClassInitContainer // native sidecars too
	ClassEphemeralContainer
	ClassImageVolume
	ClassModel
)

var classNames = [...]string{"unclassified", "container", "initContainer", "ephemeralContainer", "imageVolume", "model"}

// String returns the class's name.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return classNames[0]
}

// MarshalText writes the class's name.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Ref is one use of an image or a model in a manifest.
type Ref struct {
	Class Class `json:"class"`
	// Text is the reference as it is written.
	Text string `json:"text"`
	// Reference is the parsed image. It is zero for a model that is not an OCI
	// artifact.
	Reference reference.Reference `json:"reference,omitzero"`
	// Model is the model's URI or repository id, for example
	// "hf://owner/model" or "owner/model"; "" for an image.
	Model string `json:"model,omitempty"`
	// Revision is what a --revision beside the model asks for; "" when nothing does.
	Revision string         `json:"revision,omitempty"`
	Where    verdict.Origin `json:"where"`
	// Namespace is the object's, "" when the object does not say.
	Namespace string `json:"namespace,omitempty"`
	// ObjectLabels are the labels of the object itself, TemplateLabels those of
	// the pod template around the reference (for a Pod: its own). Both are
	// shared between references: do not change them.
	ObjectLabels   map[string]string `json:"objectLabels,omitempty"`
	TemplateLabels map[string]string `json:"templateLabels,omitempty"`
}

// Kind says whether r is a model or an image.
func (r *Ref) Kind() verdict.Kind {
	if r.Model != "" {
		return verdict.KindModel
	}
	return verdict.KindImage
}

// Labels returns what selectors match: the labels that the pod will carry, over
// those of the object. The map is the caller's own; nil when there are none.
func (r *Ref) Labels() map[string]string {
	if len(r.ObjectLabels)+len(r.TemplateLabels) == 0 {
		return nil
	}
	all := make(map[string]string, len(r.ObjectLabels)+len(r.TemplateLabels))
	maps.Copy(all, r.ObjectLabels)
	maps.Copy(all, r.TemplateLabels)
	return all
}

// Problem is why a file is rejected.
type Problem struct {
	Where verdict.Origin `json:"where"`
	Code  verdict.Code   `json:"code"`
	Why   string         `json:"why"` // what is wrong and how to mend it
}

// Error makes a Problem an error: "file:line:column: why".
func (p *Problem) Error() string { return p.Where.String() + ": " + p.Why }

// Result is what one file names.
type Result struct {
	File string `json:"file"`
	// Refs and Unresolved are in the order of the file.
	Refs       []Ref                `json:"refs,omitempty"`
	Unresolved []verdict.Unresolved `json:"unresolved,omitempty"`
	Problems   []Problem            `json:"problems,omitempty"`
	// Rejected is true when the file cannot be read safely. Refs and Unresolved
	// are empty then, and the file must be denied.
	Rejected bool `json:"rejected"`
}

// Reject returns the result of a file that could not be read at all.
func Reject(file string, why error) Result {
	return Result{File: file, Rejected: true, Problems: []Problem{{
		Where: verdict.Origin{File: file}, Code: verdict.ManifestInvalid, Why: why.Error(),
	}}}
}

// Extract reads all documents of one file, YAML or JSON, and returns what they
// name. The zero Limits are the default ones. It does no I/O, keeps no state and
// is safe for concurrent use; file is only quoted.
func Extract(file string, data []byte, limits Limits) Result {
	x := &extractor{res: Result{File: file}, room: maxReport}
	b := newBuilder(limits)
	err := b.documents(data, func(root *node) error {
		return x.document(root)
	})
	if err != nil {
		return x.reject(err)
	}
	return x.res
}

// RefsLine is one line of "apex policy refs -o jsonl". Its lists are sorted,
// without repetition, and never null.
type RefsLine struct {
	File       string   `json:"file"`
	Images     []string `json:"images"` // canonical references
	Models     []string `json:"models"` // as written
	Unresolved []string `json:"unresolved"`
	Rejected   bool     `json:"rejected"`
}

// Line sums the result up. A model that is an OCI artifact is listed under
// models only.
func (r *Result) Line() RefsLine {
	line := RefsLine{File: r.File, Images: []string{}, Models: []string{}, Unresolved: []string{}, Rejected: r.Rejected}
	for i := range r.Refs {
		if ref := &r.Refs[i]; ref.Model != "" {
			line.Models = append(line.Models, ref.Model)
		} else {
			line.Images = append(line.Images, ref.Reference.Canonical())
		}
	}
	for i := range r.Unresolved {
		line.Unresolved = append(line.Unresolved, r.Unresolved[i].Text)
	}
	for _, list := range []*[]string{&line.Images, &line.Models, &line.Unresolved} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return line
}

// String returns the line as JSON, without a line break.
func (l RefsLine) String() string {
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Sprintf("{%q:true}", "rejected")
	}
	return string(data)
}
