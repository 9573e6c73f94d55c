package fact

import (
	"time"

	"github.com/apexlogic/apex/verdict"
)

// Function is one serverless function as its files declare it, together with
// what was found wrong with it, its role and its permissions. A Function
// without a name stands for what a unit declares beside its functions.
type Function struct {
	Name string `json:"name,omitempty"`
	Kind string `json:"kind,omitempty"` // "AWS::Lambda::Function", "serving.knative.dev/Service", …
	Unit string `json:"unit"`           // "terraform", "cloudformation", "serverless", "kubernetes", "openfaas"
	// Root is the file or folder that the unit was read from.
	Root   string            `json:"root"`
	Where  verdict.Origin    `json:"where"`
	Labels map[string]string `json:"labels,omitempty"`

	References []FunctionReference `json:"references,omitempty"`
	// Exposed lists every way in that asks nobody who they are; Gateway says
	// that all of them pass the Apex gateway.
	Exposed []string `json:"exposed,omitempty"`
	Gateway bool     `json:"gateway,omitempty"`
	// Timeout of one call; zero: none is set.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Egress is "anywhere", "restricted" or "" for not known.
	Egress   string            `json:"egress,omitempty"`
	Findings []FunctionFinding `json:"findings,omitempty"`
	// Unresolved is what could not be read or depends on something outside of
	// the files; rights among it may be anything.
	Unresolved []string `json:"unresolved,omitempty"`
	// Sources are the files that declare the unit, with who signed each.
	Sources []FunctionSource `json:"sources,omitempty"`
}

// FunctionReference is an image, model or archive that runs in the function.
type FunctionReference struct {
	Kind  string         `json:"kind"` // "image", "model", "code"
	Text  string         `json:"text"`
	Where verdict.Origin `json:"where"`
	// Known is false when a part of the text depends on something outside of
	// the files. Immutable: it can name one content only.
	Known     bool `json:"known"`
	Immutable bool `json:"immutable"`
}

// FunctionFinding is one thing that is wrong; the classes are those of docs/functions.md.
type FunctionFinding struct {
	Class    string         `json:"class"`
	Severity Severity       `json:"severity"`
	Resource string         `json:"resource"`
	Detail   string         `json:"detail"`
	Mend     string         `json:"mend,omitempty"`
	Where    verdict.Origin `json:"where"`
}

// FunctionSource is one file of the unit.
type FunctionSource struct {
	Path    string         `json:"path"`
	Digest  verdict.Digest `json:"digest"`
	Signing []Signing      `json:"signing,omitempty"`
}
