package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// Set is all documents of one load. It does not change after [Load] has
// returned it, and may be shared; nobody may write to what it holds.
type Set struct {
	// The documents of each kind, sorted by name. Fields with a default are filled in.
	ImageSecurityPolicies    []Object[v1alpha1.ImageSecurityPolicy]
	ModelSecurityPolicies    []Object[v1alpha1.ModelSecurityPolicy]
	FunctionSecurityPolicies []Object[v1alpha1.FunctionSecurityPolicy]
	TrustRoots               []Object[v1alpha1.TrustRoot]
	PolicyExceptions         []Object[v1alpha1.PolicyException]
	Revocations              []Object[v1alpha1.Revocation]
	BaseImageLocks           []Object[v1alpha1.BaseImageLock]
	GitSources               []Object[v1alpha1.GitSource]
	ProtectedRoutes          []Object[v1alpha1.ProtectedRoute]
	AccessPolicies           []Object[v1alpha1.AccessPolicy]
	WorkloadIdentities       []Object[v1alpha1.WorkloadIdentity]

	// Problems forbid publishing the set; they are sorted by position. [Lint]
	// returns them together with what is merely questionable.
	Problems []Problem

	docs      []*document
	hash      string
	readiness map[string]Readiness // by "kind/name"
	cut       bool
}

// Object is a document as its Go type, with where it stands.
type Object[T any] struct {
	Value *T
	doc   *document
}

// At returns the position of a field, for example "spec.rules[0].parameters",
// or of its nearest ancestor that is there; "" is the document itself.
func (o Object[T]) At(path string) Position { return o.doc.position(path) }

// Problem returns a problem at a field of the object; see [Object.At].
func (o Object[T]) Problem(code verdict.Code, path, message string) Problem {
	return o.doc.problem(Error, code, path, message, "")
}

// document is one document of ours as it was read.
type document struct {
	kind, name string
	at         Position
	root       *value
}

func (d *document) position(path string) Position {
	at := d.at
	if path != "" {
		at.Line, at.Column = d.root.lookup(path)
	}
	return at
}

func (d *document) problem(severity Severity, code verdict.Code, path, message, suggestion string) Problem {
	return Problem{
		Position: d.position(path), Severity: severity, Code: code, Object: d.kind + "/" + d.name,
		Path: path, Message: message, Suggestion: suggestion,
	}
}

// Err returns the problems as an [*Invalid] error, or nil when there are none.
func (s *Set) Err() error {
	if hasErrors(s.Problems) {
		return &Invalid{Problems: s.Problems}
	}
	return nil
}

// Hash names the content: "sha256:" and the digest over what the documents say.
// The order and names of files, comments, white space, status and metadata other
// than the name make no difference, but for the labels of kinds whose labels
// policies see. Two sets with the same hash decide alike. It is the name of the
// generation that the set becomes.
func (s *Set) Hash() string { return s.hash }

// Len returns how many documents are in the set.
func (s *Set) Len() int { return len(s.docs) }

func (s *Set) crowded() bool { return len(s.Problems) >= maxProblems }

func (s *Set) add(p Problem) {
	if !s.crowded() {
		s.Problems = append(s.Problems, p)
		return
	}
	s.cut = true
}

// decode adds a validated document to the list of its kind.
func (s *Set) decode(d *document) error {
	var b bytes.Buffer
	d.root.canonical(&b)
	var err error
	switch d.kind {
	case "ImageSecurityPolicy":
		err = decodeTo(&s.ImageSecurityPolicies, d, b.Bytes())
	case "ModelSecurityPolicy":
		err = decodeTo(&s.ModelSecurityPolicies, d, b.Bytes())
	case "FunctionSecurityPolicy":
		err = decodeTo(&s.FunctionSecurityPolicies, d, b.Bytes())
	case "TrustRoot":
		err = decodeTo(&s.TrustRoots, d, b.Bytes())
	case "PolicyException":
		err = decodeTo(&s.PolicyExceptions, d, b.Bytes())
	case "Revocation":
		err = decodeTo(&s.Revocations, d, b.Bytes())
	case "BaseImageLock":
		err = decodeTo(&s.BaseImageLocks, d, b.Bytes())
	case "GitSource":
		err = decodeTo(&s.GitSources, d, b.Bytes())
	case "ProtectedRoute":
		err = decodeTo(&s.ProtectedRoutes, d, b.Bytes())
	case "AccessPolicy":
		err = decodeTo(&s.AccessPolicies, d, b.Bytes())
	case "WorkloadIdentity":
		err = decodeTo(&s.WorkloadIdentities, d, b.Bytes())
	default:
		err = fmt.Errorf("the kind %s has a schema and no Go type", d.kind)
	}
	if err == nil {
		s.docs = append(s.docs, d)
	}
	return err
}

func decodeTo[T any](list *[]Object[T], d *document, data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	v := new(T)
	if err := dec.Decode(v); err != nil {
		return err
	}
	*list = append(*list, Object[T]{Value: v, doc: d})
	return nil
}

// finish sorts, names and judges what was read.
func (s *Set) finish() {
	sortObjects(s.ImageSecurityPolicies)
	sortObjects(s.ModelSecurityPolicies)
	sortObjects(s.FunctionSecurityPolicies)
	sortObjects(s.TrustRoots)
	sortObjects(s.PolicyExceptions)
	sortObjects(s.Revocations)
	sortObjects(s.BaseImageLocks)
	sortObjects(s.GitSources)
	sortObjects(s.ProtectedRoutes)
	sortObjects(s.AccessPolicies)
	sortObjects(s.WorkloadIdentities)
	slices.SortStableFunc(s.docs, compareDocuments)
	s.hash = hashDocuments(s.docs)
	// What forbids publishing does not depend on the time.
	for _, p := range check(s, time.Time{}, true) {
		s.add(p)
	}
	s.judgeReadiness()
	sortProblems(s.Problems)
	if s.cut {
		s.Problems = append(s.Problems, Problem{
			Position: Position{File: s.Problems[len(s.Problems)-1].File}, Code: verdict.PolicyInvalid,
			Message: fmt.Sprintf("there are more than %d problems; mend these first", maxProblems),
		})
	}
}

func sortObjects[T any](list []Object[T]) {
	slices.SortStableFunc(list, func(a, b Object[T]) int { return compareDocuments(a.doc, b.doc) })
}

func compareDocuments(a, b *document) int {
	return cmp.Or(
		strings.Compare(a.kind, b.kind),
		strings.Compare(a.name, b.name),
		strings.Compare(a.at.File, b.at.File),
		cmp.Compare(a.at.Document, b.at.Document),
		cmp.Compare(a.at.Line, b.at.Line),
	)
}

// decidesByLabels says of which kinds the labels are told to policies: access
// policies ask for those of workloads and of routes, and the latter choose what
// judges a model.
func decidesByLabels(kind string) bool { return kind == "ProtectedRoute" || kind == "WorkloadIdentity" }

// hashDocuments hashes the hash of each document, sorted, so that neither the
// order nor a boundary between documents can make two sets look alike.
func hashDocuments(docs []*document) string {
	sums := make([][sha256.Size]byte, len(docs))
	for i, d := range docs {
		var b bytes.Buffer
		content := value{kind: kindMap, fields: []field{
			{key: "apiVersion", value: &value{kind: kindString, text: apiVersion}},
			{key: "kind", value: &value{kind: kindString, text: d.kind}},
			{key: "name", value: &value{kind: kindString, text: d.name}},
			{key: "spec", value: d.root.get("spec")},
		}}
		if labels := d.root.get("metadata").get("labels"); labels != nil && len(labels.fields) > 0 && decidesByLabels(d.kind) {
			content.fields = append(content.fields, field{key: "labels", value: labels})
		}
		content.canonical(&b)
		sums[i] = sha256.Sum256(b.Bytes())
	}
	slices.SortFunc(sums, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	h.Write([]byte("apex generation v1\n"))
	for _, sum := range sums {
		h.Write(sum[:])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
