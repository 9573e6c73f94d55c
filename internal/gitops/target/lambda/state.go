package lambda

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/internal/gitops"
)

// function is all that is compared of a function: what Git can write, and what
// only others can have written, which Git never has.
type function struct {
	gitops.LambdaFunction
	Code        *archive     `json:"code,omitempty"`
	URL         *address     `json:"url,omitempty"`
	Permissions []permission `json:"permissions,omitempty"`

	ImageConfig  *imageConfig `json:"imageConfig,omitempty"`
	DeadLetter   string       `json:"deadLetter,omitempty"`  // ARN: failed events go there
	FileSystems  []string     `json:"fileSystems,omitempty"` // ARN and path
	SnapStart    string       `json:"snapStart,omitempty"`
	Aliases      []alias      `json:"aliases,omitempty"`
	Versions     []string     `json:"versions,omitempty"`     // that run what no revision of Git said
	Ways         []way        `json:"ways,omitempty"`         // into those that do
	Destinations []string     `json:"destinations,omitempty"` // of results, as "qualifier success arn"

	folded []permission // that stand in the address
}

// archive is an archive in a bucket, when it is known to be what runs; else the
// digest of what does.
type archive struct {
	gitops.LambdaCode
	SHA256 string `json:"sha256,omitempty"`
}

type address struct {
	gitops.LambdaURL
	Mode string          `json:"mode,omitempty"` // "RESPONSE_STREAM"
	CORS json.RawMessage `json:"cors,omitempty"`
	// Shut are the statements that are missing where it is for everybody: nobody
	// is let through without them.
	Shut []string `json:"shut,omitempty"`
}

type permission struct {
	gitops.LambdaPermission
	ViaURL bool `json:"viaUrl,omitempty"` // only for those who come through the address
	// Other is a statement that Git cannot have written, whole.
	Other json.RawMessage `json:"other,omitempty"`
}

// way is a statement of a version's own policy.
type way struct {
	Version string `json:"version"`
	permission
}

type imageConfig struct {
	Command    []string `json:"command,omitempty"`
	EntryPoint []string `json:"entryPoint,omitempty"`
	Directory  string   `json:"directory,omitempty"`
}

// alias is a name of a version, with the shares of the traffic that others get.
type alias struct {
	Name    string             `json:"alias"`
	Version string             `json:"version"`
	Weights map[string]float64 `json:"weights,omitempty"`
	URL     string             `json:"url,omitempty"` // its authorisation
}

// role is all that is compared of a role.
type role struct {
	gitops.LambdaRole
	SessionSeconds int               `json:"sessionSeconds,omitempty"` // unless it is the platform's default
	Tags           map[string]string `json:"tags,omitempty"`
}

// The platform's defaults, which an empty field means.
const (
	defaultTimeout = 3   // s
	defaultMemory  = 128 // MiB
	defaultStorage = 512 // MiB
	defaultTracing = "PassThrough"
	defaultArch    = "x86_64"
	defaultSession = 3600 // s
)

// Tags that Apex keeps beside its label. They say how Git writes what AWS names
// otherwise, and are believed only where AWS's own word agrees.
const (
	ownTags  = "apexlogic.com/"
	tagRole  = "apexlogic.com/role" // name of the role
	tagCode  = "apexlogic.com/code" // bucket/key@version
	platform = "aws:"               // tags that AWS keeps
	maxTag   = 256
)

func foreignTags(all map[string]string) map[string]string {
	var out map[string]string
	for k, v := range all {
		if k != gitops.LabelSource && k != tagRole && k != tagCode && !strings.HasPrefix(k, platform) {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = v
		}
	}
	return out
}

// wanted reads an object as it is to be.
func wanted(o *gitops.Object) (*held, error) {
	if err := check(o.ID, o.Version); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Where, err)
	}
	h := &held{id: o.ID, source: gitops.SourceOf(o.Body), git: true}
	if o.Kind == gitops.LambdaRoleKind {
		r, err := gitops.LambdaRoleOf(o)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", err, gitops.ErrInvalid)
		}
		h.role = &role{LambdaRole: r}
		return h, h.role.complete()
	}
	f, err := gitops.LambdaFunctionOf(o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, gitops.ErrInvalid)
	}
	if (f.Image == "") == (f.Code == nil) {
		return nil, fmt.Errorf("%s: %s needs an image or an archive, and not both: %w", o.Where, o.ID, gitops.ErrInvalid)
	}
	h.function = &function{LambdaFunction: f}
	if f.Code != nil {
		if _, err := codeTag(*f.Code); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", o.Where, o.ID, err)
		}
		h.function.Code = &archive{LambdaCode: *f.Code}
	}
	if f.URL != nil {
		h.function.URL = &address{LambdaURL: *f.URL}
	}
	for _, p := range f.Permissions {
		h.function.Permissions = append(h.function.Permissions, permission{LambdaPermission: p})
	}
	return h, h.function.complete(o)
}

// patchedTo reads an object as a patch left it: also with what Git cannot write.
func patchedTo(o *gitops.Object) (*held, error) {
	if err := check(o.ID, o.Version); err != nil {
		return nil, err
	}
	h := &held{id: o.ID, source: gitops.SourceOf(o.Body)}
	var into any
	if o.Kind == gitops.LambdaRoleKind {
		h.role = &role{}
		into = h.role
	} else {
		h.function = &function{}
		into = h.function
	}
	data, err := json.Marshal(o.Body["spec"])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.ID, err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return nil, fmt.Errorf("%s: the patch leaves something else: %w", o.ID, gitops.ErrInvalid)
	}
	if h.role != nil {
		return h, h.role.complete()
	}
	return h, h.function.complete(o)
}

// complete fills in what an empty field means, and orders what has no order.
func (f *function) complete(o *gitops.Object) error {
	if f.Role == "" {
		return fmt.Errorf("%s: %s needs a role: %w", o.Where, o.ID, gitops.ErrInvalid)
	}
	f.LambdaFunction.Code, f.LambdaFunction.URL, f.LambdaFunction.Permissions = nil, nil, nil
	f.TimeoutSeconds, f.MemoryMiB, f.StorageMiB = or(f.TimeoutSeconds, defaultTimeout), or(f.MemoryMiB, defaultMemory), or(f.StorageMiB, defaultStorage)
	if f.Tracing == "" {
		f.Tracing = defaultTracing
	}
	if f.Architecture == "" {
		f.Architecture = defaultArch
	}
	if f.VPC != nil && len(f.VPC.Subnets)+len(f.VPC.SecurityGroups) == 0 {
		f.VPC = nil
	}
	if f.VPC != nil {
		f.VPC = &gitops.LambdaVPC{Subnets: slices.Sorted(slices.Values(f.VPC.Subnets)), SecurityGroups: slices.Sorted(slices.Values(f.VPC.SecurityGroups))}
	}
	for i := range f.Permissions {
		p := &f.Permissions[i]
		if p.Other == nil && !statementID().MatchString(p.ID) {
			return fmt.Errorf("%s: %s: %.40q cannot name a statement: use 1 to 100 letters, digits, '-' and '_': %w", o.Where, o.ID, p.ID, gitops.ErrInvalid)
		}
		p.Principal = plainPrincipal(p.Principal)
	}
	slices.SortFunc(f.Permissions, func(a, b permission) int { return strings.Compare(a.ID, b.ID) })
	for k := range f.Tags {
		if strings.HasPrefix(k, ownTags) || strings.HasPrefix(strings.ToLower(k), platform) {
			return fmt.Errorf("%s: %s: the tag %.80q is not for Git to write: %w", o.Where, o.ID, k, gitops.ErrInvalid)
		}
	}
	return nil
}

func (r *role) complete() error {
	if r.Path == "" {
		r.Path = "/"
	}
	if !json.Valid(r.Trust) {
		return fmt.Errorf("a role needs a document that says who may assume it: %w", gitops.ErrInvalid)
	}
	r.Managed = slices.Compact(slices.Sorted(slices.Values(r.Managed)))
	return nil
}

// body returns the spec as a body holds it.
func (h *held) body() (map[string]any, error) {
	data, err := json.Marshal(h.spec())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.id, err)
	}
	if len(data) > gitops.MaxObjectBytes {
		return nil, fmt.Errorf("%s has %d bytes: an object may have %d", h.id, len(data), gitops.MaxObjectBytes)
	}
	var spec map[string]any
	if err := utiljson.Unmarshal(data, &spec); err != nil {
		return nil, fmt.Errorf("%s: %w", h.id, err)
	}
	meta := map[string]any{"name": h.id.Name}
	if h.source != "" {
		meta["labels"] = map[string]any{gitops.LabelSource: h.source}
	}
	return map[string]any{"apiVersion": gitops.LambdaGroup + "/" + gitops.LambdaVersion, "kind": h.id.Kind, "metadata": meta, "spec": spec}, nil
}

// version is the hash of the whole description.
func (h *held) version() (string, error) {
	body, err := h.body()
	if err != nil {
		return "", err
	}
	return versionOf(h, body)
}

func versionOf(h *held, body map[string]any) (string, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("%s: %w", h.id, err)
	}
	sum := sha256.Sum256(append(data, h.uid...))
	return hex.EncodeToString(sum[:16]), nil
}

func (h *held) live() (*gitops.Live, error) {
	body, err := h.body()
	if err != nil {
		return nil, err
	}
	version, err := versionOf(h, body)
	if err != nil {
		return nil, err
	}
	meta := body["metadata"].(map[string]any)
	meta["uid"], meta["resourceVersion"] = h.uid, version
	return &gitops.Live{UID: h.uid, ResourceVersion: version, Body: body}, nil
}

// same says whether two parts of descriptions say the same: nothing and empty do.
func same(a, b any) bool {
	x, err := json.Marshal(a)
	if err != nil {
		return false
	}
	y, err := json.Marshal(b)
	if err != nil {
		return false
	}
	if bytes.Equal(x, y) {
		return true
	}
	var v, w any
	if json.Unmarshal(x, &v) != nil || json.Unmarshal(y, &w) != nil {
		return false
	}
	x, _ = json.Marshal(v) // with the keys in order
	y, _ = json.Marshal(w)
	return bytes.Equal(x, y) || empty(x) && empty(y)
}

func empty(data []byte) bool {
	switch string(data) {
	case "null", "{}", "[]", `""`:
		return true
	}
	return false
}
