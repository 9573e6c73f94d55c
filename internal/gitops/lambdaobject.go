package gitops

import (
	"bytes"
	"encoding/json"
	"fmt"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/verdict"
)

// What SAM, CloudFormation and serverless.yml render to: objects of a form of
// their own, with every value resolved, which a target over AWS compares and
// heals. Nothing but that target knows these kinds; no API server serves them.
//
//	apiVersion: lambda.apexlogic.com/v1
//	kind: Function              # or Role
//	metadata: {name: captioner} # the name in AWS
//	spec: {…}                   # LambdaFunction, LambdaRole
const (
	LambdaGroup        = "lambda.apexlogic.com"
	LambdaVersion      = "v1"
	LambdaFunctionKind = "Function"
	LambdaRoleKind     = "Role"
)

// LambdaFunction is the spec of a Function. A field that is empty is left to
// the platform's default, which is then what the target holds it to.
type LambdaFunction struct {
	// Image is the container image by digest; Code, Runtime, Handler and Layers
	// are for functions without one. Exactly one of Image and Code is there.
	Image   string      `json:"image,omitempty"`
	Code    *LambdaCode `json:"code,omitempty"`
	Runtime string      `json:"runtime,omitempty"`
	Handler string      `json:"handler,omitempty"`
	// Layers are ARNs that end in a version.
	Layers []string `json:"layers,omitempty"`
	// Architecture is "x86_64" or "arm64".
	Architecture string `json:"architecture,omitempty"`

	// Role is the name of a Role of the same set, or an ARN.
	Role string `json:"role"`
	// Environment holds values as Git has them; they are never shown or logged.
	Environment map[string]string `json:"environment,omitempty"`
	KMSKey      string            `json:"kmsKey,omitempty"` // ARN

	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
	MemoryMiB      int `json:"memoryMiB,omitempty"`
	StorageMiB     int `json:"storageMiB,omitempty"` // of /tmp
	// ReservedConcurrency may be zero, which stops the function.
	ReservedConcurrency *int       `json:"reservedConcurrency,omitempty"`
	VPC                 *LambdaVPC `json:"vpc,omitempty"`
	Tracing             string     `json:"tracing,omitempty"` // "Active" or "PassThrough"
	Description         string     `json:"description,omitempty"`

	// URL is the function's public address; nil: it has none.
	URL *LambdaURL `json:"url,omitempty"`
	// Permissions are all statements of the function's resource policy, ordered
	// by their IDs; what else stands there is drift.
	Permissions []LambdaPermission `json:"permissions,omitempty"`
	Tags        map[string]string  `json:"tags,omitempty"`
}

// LambdaCode is an archive in a bucket. Version is the object's: without it the
// archive can be exchanged unseen, so it is always there.
type LambdaCode struct {
	Bucket  string `json:"bucket"`
	Key     string `json:"key"`
	Version string `json:"version"`
}

// LambdaVPC is the network that a function runs in; both lists are sorted.
type LambdaVPC struct {
	Subnets        []string `json:"subnets"`
	SecurityGroups []string `json:"securityGroups"`
}

// LambdaURL is a function URL.
type LambdaURL struct {
	Auth string `json:"auth"` // "AWS_IAM" or "NONE"
}

// LambdaPermission is one statement of a function's resource policy.
type LambdaPermission struct {
	ID            string `json:"id"`
	Action        string `json:"action"`    // "lambda:InvokeFunction"
	Principal     string `json:"principal"` // "s3.amazonaws.com", an account, an ARN
	SourceARN     string `json:"sourceArn,omitempty"`
	SourceAccount string `json:"sourceAccount,omitempty"`
	URLAuth       string `json:"urlAuth,omitempty"` // "AWS_IAM" or "NONE", for a function URL
}

// LambdaRole is the spec of a Role. Documents are policy documents of AWS IAM,
// their variables resolved.
type LambdaRole struct {
	Trust json.RawMessage `json:"trust"`
	// Inline are the policies within the role, by name; others are drift.
	Inline map[string]json.RawMessage `json:"inline,omitempty"`
	// Managed are the ARNs of the attached policies, sorted; others are drift.
	Managed  []string `json:"managed,omitempty"`
	Boundary string   `json:"boundary,omitempty"` // ARN
	Path     string   `json:"path,omitempty"`     // "/" unless set
}

// Object returns the function as an object of a set.
func (f LambdaFunction) Object(name string, where verdict.Origin) (Object, error) {
	return lambdaObject(LambdaFunctionKind, name, f, where)
}

// Object returns the role as an object of a set.
func (r LambdaRole) Object(name string, where verdict.Origin) (Object, error) {
	return lambdaObject(LambdaRoleKind, name, r, where)
}

func lambdaObject(kind, name string, spec any, where verdict.Origin) (Object, error) {
	data, err := json.Marshal(map[string]any{"apiVersion": LambdaGroup + "/" + LambdaVersion, "kind": kind,
		"metadata": map[string]any{"name": name}, "spec": spec})
	if err != nil {
		return Object{}, fmt.Errorf("%s %s: %w", kind, name, err)
	}
	var body map[string]any
	if err := utiljson.Unmarshal(data, &body); err != nil {
		return Object{}, fmt.Errorf("%s %s: %w", kind, name, err)
	}
	return NewObject(body, where)
}

// LambdaFunctionOf reads a Function's spec. A field that is not known is an
// error: it would not be held to.
func LambdaFunctionOf(o *Object) (LambdaFunction, error) {
	return lambdaSpec[LambdaFunction](o, LambdaFunctionKind)
}

// LambdaRoleOf reads a Role's spec. A field that is not known is an error.
func LambdaRoleOf(o *Object) (LambdaRole, error) {
	return lambdaSpec[LambdaRole](o, LambdaRoleKind)
}

func lambdaSpec[T any](o *Object, kind string) (spec T, err error) {
	if o.Group != LambdaGroup || o.Kind != kind || o.Version != LambdaVersion {
		return spec, fmt.Errorf("%s: %s is not a %s of %s/%s", o.Where, o.ID, kind, LambdaGroup, LambdaVersion)
	}
	data, err := json.Marshal(o.Body["spec"])
	if err != nil {
		return spec, fmt.Errorf("%s: %s: %w", o.Where, o.ID, err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&spec); err != nil {
		return spec, fmt.Errorf("%s: %s: spec: %w", o.Where, o.ID, err)
	}
	return spec, nil
}
