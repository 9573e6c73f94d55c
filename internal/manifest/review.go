package manifest

import (
	"errors"
	"fmt"
)

// GroupVersionKind is a type of objects, as an admission request names it.
type GroupVersionKind struct{ Group, Version, Kind string }

// String returns "group/version/kind".
func (g GroupVersionKind) String() string {
	if g.Group == "" {
		return g.Version + "/" + g.Kind
	}
	return g.Group + "/" + g.Version + "/" + g.Kind
}

// AdmissionReview is an API server's question about one object.
type AdmissionReview struct {
	UID         string // to be sent back
	Kind        GroupVersionKind
	Name        string
	Namespace   string
	Operation   string // "CREATE", "UPDATE", "DELETE" or "CONNECT"
	SubResource string // "ephemeralcontainers", "scale", …; usually ""
	DryRun      bool   // nothing will be stored, so nothing may be recorded as deployed
	// Result is what the object names. When it is rejected the request must be
	// denied: the review itself was understood, its object was not.
	Result Result
}

// maxReviewUID is far above a UUID; the API server echoes what we send.
const maxReviewUID = 128

// ParseAdmissionReview reads the body of an admission webhook's request: one
// admission.k8s.io/v1 AdmissionReview of at most [MaxBytes] with a request. An
// error means that there is no question to answer.
//
// What the object is, its content says, not the request: whatever holds
// containers is read as a pod. An object of another kind than the request names
// is rejected.
func ParseAdmissionReview(data []byte) (*AdmissionReview, error) {
	var root *node
	b := newBuilder(Limits{Documents: 1})
	if err := b.review(data, func(n *node) error { root = n; return nil }); err != nil {
		return nil, fmt.Errorf("read admission review: %w", err)
	}
	review, err := reviewOf(root)
	if err != nil {
		return nil, fmt.Errorf("read admission review: %w", err)
	}
	return review, nil
}

// review reads exactly one JSON value.
func (b *builder) review(data []byte, each func(*node) error) error {
	if len(data) > b.limits.Bytes {
		return fmt.Errorf("%d bytes and the limit is %d", len(data), b.limits.Bytes)
	}
	if i := invalidUTF8(data); i >= 0 {
		return fmt.Errorf("not valid UTF-8 at byte %d", i)
	}
	return b.json(data, each)
}

func reviewOf(root *node) (*AdmissionReview, error) {
	if !root.isMapping() {
		return nil, errors.New("not a JSON object")
	}
	if err := checkVariants(root, []string{"apiVersion", "kind", "request", "response"}); err != nil {
		return nil, err
	}
	if v, k := root.str("apiVersion"), root.str("kind"); v != "admission.k8s.io/v1" || k != "AdmissionReview" {
		return nil, fmt.Errorf("%q %q instead of an admission.k8s.io/v1 AdmissionReview: set admissionReviewVersions: [v1] in the webhook's configuration", clip(v, 60), clip(k, 60))
	}
	req := root.get("request")
	if !req.isMapping() {
		return nil, errors.New("no request in it")
	}
	if err := checkVariants(req, []string{"uid", "kind", "name", "namespace", "operation", "subResource", "dryRun", "object", "oldObject"}); err != nil {
		return nil, err
	}
	r := &AdmissionReview{
		UID: req.str("uid"), Name: clip(req.str("name"), 253), Namespace: clip(req.str("namespace"), 253),
		Operation: req.str("operation"), SubResource: clip(req.str("subResource"), 253),
	}
	if r.UID == "" || len(r.UID) > maxReviewUID {
		return nil, fmt.Errorf("request.uid must have 1 to %d characters", maxReviewUID)
	}
	switch r.Operation {
	case "CREATE", "UPDATE", "DELETE", "CONNECT":
	default:
		return nil, fmt.Errorf("request.operation %q is not one of CREATE, UPDATE, DELETE and CONNECT", clip(r.Operation, 40))
	}
	switch d := req.get("dryRun"); {
	case d == nil || d.isNull():
	case d.kind == scalar && d.typ == typeOther && (d.text == "true" || d.text == "false"):
		r.DryRun = d.text == "true"
	default:
		return nil, errors.New("request.dryRun is not a boolean")
	}
	kind := req.get("kind")
	if err := checkVariants(kind, []string{"group", "version", "kind"}); err != nil {
		return nil, err
	}
	r.Kind = GroupVersionKind{clip(kind.str("group"), 253), clip(kind.str("version"), 253), clip(kind.str("kind"), 253)}
	if r.Kind.Version == "" || r.Kind.Kind == "" {
		return nil, errors.New("request.kind names no version and kind")
	}
	r.Result = reviewObject(req.get("object"), r)
	return r, nil
}

// reviewObject extracts what the request's object names.
func reviewObject(obj *node, r *AdmissionReview) Result {
	x := &extractor{res: Result{}, room: maxReport}
	if obj == nil || obj.isNull() {
		if r.Operation == "CREATE" || r.Operation == "UPDATE" {
			return x.reject(problem(0, 0, "a %s without an object", r.Operation))
		}
		return x.res
	}
	if obj.kind != mapping {
		return x.reject(problem(obj.line, obj.col, "the object is not a mapping"))
	}
	apiVersion := r.Kind.Version
	if r.Kind.Group != "" {
		apiVersion = r.Kind.Group + "/" + r.Kind.Version
	}
	if v := obj.get("apiVersion"); v != nil && v.text != apiVersion {
		return x.reject(problem(v.line, v.col, "the object says that it is of %s and the request says %s", clip(v.text, 60), apiVersion))
	}
	if k := obj.get("kind"); k != nil && k.text != r.Kind.Kind {
		return x.reject(problem(k.line, k.col, "the object says that it is a %s and the request says %s", clip(k.text, 60), r.Kind.Kind))
	}
	x.pushField("request")
	x.pushField("object")
	if err := x.object(obj, scope{obj: &object{}}, apiVersion, r.Kind.Kind); err != nil {
		return x.reject(err)
	}
	for i := range x.res.Refs {
		if x.res.Refs[i].Namespace == "" {
			x.res.Refs[i].Namespace = r.Namespace
		}
	}
	return x.res
}

var _ error = (*Problem)(nil)
