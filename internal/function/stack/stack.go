// Package stack is what the readers of infrastructure code and the judges of it
// share: functions, principals, policies and permissions as declared, each with
// the file and line that says so.
//
// Start at [Stack]. A reader (Terraform, CloudFormation and SAM, serverless.yml,
// Knative, OpenFaaS, Kubernetes RBAC) fills one per unit that is deployed
// together: a Terraform root module, a template, a service, a folder of
// manifests. A judge finds over-permission, exposure and secrets in it. What
// could not be resolved is a [Text] that is not Known: never safe, never a guess.
package stack

import (
	"encoding/json"
	"time"
)

// Where is a place in a file: Line counts from 1, 0 when the format lost it.
type Where struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Text is a value of a template. Known is false when a part of it depends on
// something outside of the files: Value then holds what is known, each unknown
// part written as "${…}" with the expression as it stands.
type Text struct {
	Value string `json:"value"`
	Known bool   `json:"known"`
}

// Literal is a text that stands in the file.
func Literal(s string) Text { return Text{Value: s, Known: true} }

// Unit is the format that a stack was read from.
type Unit string

// The formats.
const (
	Terraform      Unit = "terraform"
	CloudFormation Unit = "cloudformation" // SAM too: it is expanded when it is read
	Serverless     Unit = "serverless"
	Kubernetes     Unit = "kubernetes" // Knative and RBAC
	OpenFaaS       Unit = "openfaas"
)

// Stack is everything that one unit declares and that a judge looks at.
// References between the parts are by ID, unique within the stack.
type Stack struct {
	Unit Unit
	Root string // the file or folder that was read
	// Files are all that were read for it, sorted: also those that declare
	// nothing themselves, for what they say may decide about the rest.
	Files []string

	Functions  []Function
	Principals []Principal // roles, users, groups
	Policies   []Policy    // identity policies, inline and managed; boundaries too
	Resources  []Resource  // things that carry a policy of their own, or are data
	Accounts   []Account   // Kubernetes service accounts, with their bindings
	Roles      []RBACRole
	Bindings   []RBACBinding

	// Gaps are what could not be read: the stack then proves what is there only.
	Gaps []Gap
}

// Gap is something that could not be read or resolved, and why.
type Gap struct {
	Where
	Why string
}

// Function is one serverless function.
type Function struct {
	Where
	ID, Name string
	Kind     string // "AWS::Lambda::Function", "aws_lambda_function", "serving.knative.dev/Service", "openfaas.com/Function", …
	Image    Text   // of a container function
	Models   []Ref  // model references, as package manifest finds them
	Code     []Ref  // archives, layers
	Role     string // ID of the principal it runs as; "" none named or outside of the stack
	RoleText Text   // what the template says, for a role outside of it
	Account  string // Kubernetes: the service account's ID ("namespace/name")

	Environment []Variable
	// KMSKey encrypts the environment; Encrypted says whether the platform does.
	KMSKey Text
	// Public lists every way in that asks nobody who they are: a function URL
	// with authorization NONE, an API route without authorizer, a permission for
	// "*", an Ingress or Knative route that is not cluster-local.
	Public []Exposure
	// Gateway is true when every way in passes the Apex gateway (label or route).
	Gateway bool

	Timeout     time.Duration // zero: not set
	Memory      int           // MiB, zero: not set
	Concurrency int           // reserved; -1 none
	// Egress: Inside a network with rules, or anywhere.
	Egress Egress
	Labels map[string]string
}

// Ref is a reference to something that is deployed with the function.
type Ref struct {
	Where
	Text
}

// Variable is one environment variable as declared.
type Variable struct {
	Where
	Name  string
	Value Text
	// From is the secret store that the value is taken from at run time; then
	// the value itself is not in the template.
	From string
}

// Exposure is one way in that needs no identity.
type Exposure struct {
	Where
	How string // "function URL without authorization", …
}

// Egress says where a function may connect to.
type Egress string

// The ways out.
const (
	EgressUnknown    Egress = ""
	EgressAnywhere   Egress = "anywhere"
	EgressRestricted Egress = "restricted"
)

// Principal is an identity that policies are attached to.
type Principal struct {
	Where
	ID, Name string
	Kind     string // "role", "user", "group"
	// Trust says who may assume a role.
	Trust *Policy
	// Policies are IDs of Stack.Policies, attached in any of the ways there are.
	Policies []string
	Managed  []Text // ARNs of managed policies outside of the stack
	// ManagedAt are the places that attach them, by the index of Managed; where
	// it is shorter, the principal's own place stands for the rest.
	ManagedAt []Where
	Boundary  string // ID of a policy, or
	Outside   Text   // … the ARN of a boundary outside of the stack
	Groups    []string
	Profile   bool // an instance profile carries it
}

// Policy is one policy document of AWS IAM, as JSON once the template's
// functions are resolved; unknown parts stand as "${…}".
type Policy struct {
	Where
	ID, Name string
	Document json.RawMessage
	// Lines are the lines of the statements, by their index in the document.
	Lines []int
	// Unknown says that the document, or the whole of it, depends on something
	// outside of the files.
	Unknown bool
}

// Resource is a thing with data or a policy of its own.
type Resource struct {
	Where
	ID, Name string
	Type     string // "AWS::S3::Bucket" in CloudFormation's spelling, whatever the unit
	Policy   *Policy
	// Public and Encrypted as the template says; nil: it says nothing.
	Public, Encrypted *bool
}

// Account is a Kubernetes service account.
type Account struct {
	Where
	Namespace, Name string
	// UsedBy are the workloads that run as it, "kind namespace/name".
	UsedBy []string
	// AutomountToken as set on the account; nil: the default, true.
	AutomountToken *bool
}

// RBACRole is a Role or ClusterRole.
type RBACRole struct {
	Where
	Namespace, Name string // Namespace "" for a ClusterRole
	Rules           []RBACRule
	Aggregates      bool // its rules come from others by label
}

// RBACRule is one rule of a role.
type RBACRule struct {
	Where
	Verbs, Groups, Resources, Names, URLs []string
}

// RBACBinding binds subjects to a role.
type RBACBinding struct {
	Where
	Namespace, Name string // Namespace "" for a ClusterRoleBinding
	Role            string // name
	ClusterRole     bool
	Subjects        []RBACSubject
}

// RBACSubject is who a binding gives rights to.
type RBACSubject struct{ Kind, Namespace, Name string }

// Finding is one thing that is wrong.
type Finding struct {
	Where
	// Class is one of the classes of docs/functions.md, for example "star_resource".
	Class    string `json:"class"`
	Resource string `json:"resource"`
	Detail   string `json:"detail"`
	// Severity and Mend are the class's, or this finding's own.
	Severity string `json:"severity,omitempty"`
	Mend     string `json:"mend,omitempty"`
	// Related are further places that the finding rests on: the second policy of
	// an escalation.
	Related []Where `json:"related,omitempty"`
}
