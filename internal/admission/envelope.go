package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Resource is a type of objects as the API server's paths name it.
type Resource struct{ Group, Version, Resource string }

// User is who sent the request to the API server.
type User struct {
	Name   string
	Groups []string
}

// Review is an API server's question: the envelope around the object.
type Review struct {
	UID         string
	Group       string // of the object's kind
	Version     string
	Kind        string
	Resource    Resource
	SubResource string
	Name        string
	Namespace   string
	Operation   string // "CREATE", "UPDATE", "DELETE" or "CONNECT"
	User        User
	DryRun      bool

	// Object and OldObject are JSON as it came, nil when there is none. They
	// share the memory of the request: nobody keeps them.
	Object, OldObject []byte

	raw rawParts
}

// rawParts are the members that are handed on as they were written.
type rawParts struct{ uid, kind, name, namespace, operation, subResource, dryRun []byte }

// The limits of an envelope. Real ones are nested four levels deep around
// objects that the API server bounds itself.
const (
	maxDepth  = 100
	maxGroups = 1000
	maxUID    = 128
)

// ParseReview reads the envelope of an admission.k8s.io/v1 AdmissionReview. It
// steps over the objects and checks no more of them than where they end:
// package manifest reads them. Members that are there twice, or that differ from
// a known one by case only, are errors.
func ParseReview(data []byte) (*Review, error) {
	s := &scanner{data: data}
	r := &Review{}
	var apiVersion, kind string
	found := false
	err := s.object(reviewMembers, func(key string) error {
		switch key {
		case "apiVersion":
			return s.str(&apiVersion, nil)
		case "kind":
			return s.str(&kind, nil)
		case "request":
			found = true
			return s.request(r)
		}
		_, err := s.skip()
		return err
	})
	if err == nil {
		err = s.end()
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read admission review: %w", err)
	case apiVersion != "admission.k8s.io/v1" || kind != "AdmissionReview":
		return nil, errors.New("read admission review: it is not an admission.k8s.io/v1 AdmissionReview: set admissionReviewVersions: [v1] in the webhook's configuration")
	case !found:
		return nil, errors.New("read admission review: no request in it")
	case r.UID == "" || len(r.UID) > maxUID:
		return nil, fmt.Errorf("read admission review: request.uid must have 1 to %d characters", maxUID)
	}
	switch r.Operation {
	case "CREATE", "UPDATE", "DELETE", "CONNECT":
		return r, nil
	}
	return nil, errors.New("read admission review: request.operation is not one of CREATE, UPDATE, DELETE and CONNECT")
}

// The members that are read, of each object of the envelope.
var (
	reviewMembers   = []string{"apiVersion", "kind", "request"}
	requestMembers  = []string{"uid", "kind", "resource", "subResource", "name", "namespace", "operation", "userInfo", "object", "oldObject", "dryRun"}
	kindMembers     = []string{"group", "version", "kind"}
	resourceMembers = []string{"group", "version", "resource"}
	userMembers     = []string{"username", "groups"}
)

func (s *scanner) request(r *Review) error {
	return s.object(requestMembers, func(key string) (err error) {
		switch key {
		case "uid":
			return s.str(&r.UID, &r.raw.uid)
		case "kind":
			start := s.begin()
			err = s.object(kindMembers, func(key string) error {
				return s.strInto(key, map3{{"group", &r.Group}, {"version", &r.Version}, {"kind", &r.Kind}})
			})
			r.raw.kind = s.data[start:s.i]
			return err
		case "resource":
			return s.object(resourceMembers, func(key string) error {
				return s.strInto(key, map3{{"group", &r.Resource.Group}, {"version", &r.Resource.Version}, {"resource", &r.Resource.Resource}})
			})
		case "subResource":
			return s.str(&r.SubResource, &r.raw.subResource)
		case "name":
			return s.str(&r.Name, &r.raw.name)
		case "namespace":
			return s.str(&r.Namespace, &r.raw.namespace)
		case "operation":
			return s.str(&r.Operation, &r.raw.operation)
		case "userInfo":
			return s.object(userMembers, func(key string) error {
				switch key {
				case "username":
					return s.str(&r.User.Name, nil)
				case "groups":
					return s.strings(&r.User.Groups)
				}
				_, err := s.skip()
				return err
			})
		case "object":
			r.Object, err = s.orNull()
			return err
		case "oldObject":
			r.OldObject, err = s.orNull()
			return err
		case "dryRun":
			if r.raw.dryRun, err = s.skip(); err != nil {
				return err
			}
			switch string(r.raw.dryRun) {
			case "true":
				r.DryRun = true
			case "false", "null":
			default:
				return errors.New("request.dryRun is not a boolean")
			}
			return nil
		}
		_, err = s.skip()
		return err
	})
}

// plain says whether the envelope's members are written as API servers write
// them, so that no two readers of JSON could read them differently.
func (r *Review) plain() bool {
	kind := r.raw.kind
	for _, member := range [...]struct{ before, value string }{{`{"group":"`, r.Group}, {`","version":"`, r.Version}, {`","kind":"`, r.Kind}, {`"}`, ""}} {
		for _, text := range [...]string{member.before, member.value} {
			if len(kind) < len(text) || string(kind[:len(text)]) != text {
				return false
			}
			kind = kind[len(text):]
		}
	}
	if len(kind) > 0 {
		return false
	}
	for _, raw := range [...][]byte{r.raw.uid, r.raw.kind, r.raw.name, r.raw.namespace, r.raw.operation, r.raw.subResource} {
		for _, c := range raw {
			if c < ' ' || c >= 0x7f || c == '\\' {
				return false
			}
		}
	}
	return true
}

// appendFor appends a review that asks the same about another object, with
// nothing in it but what package manifest reads.
func (r *Review) appendFor(out, object []byte) []byte {
	member := func(key string, value []byte) {
		if value != nil {
			out = append(out, ',')
			out = append(out, key...)
			out = append(out, value...)
		}
	}
	out = append(out, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":`...)
	out = append(out, r.raw.uid...)
	member(`"kind":`, r.raw.kind)
	member(`"name":`, r.raw.name)
	member(`"namespace":`, r.raw.namespace)
	member(`"operation":`, r.raw.operation)
	member(`"subResource":`, r.raw.subResource)
	member(`"dryRun":`, r.raw.dryRun)
	if object != nil {
		out = append(out, `,"object":`...)
		out = appendUnmanaged(out, object)
	}
	return append(out, "}}"...)
}

// appendUnmanaged appends the object without its metadata.managedFields: the API
// server keeps those itself, they hold names of fields and run nothing, and they
// are up to half of an object. What is not plainly one member of one metadata
// stays, for the reader behind to judge.
func appendUnmanaged(out, object []byte) []byte {
	s := &scanner{data: object}
	from, to, found := 0, 0, 0
	err := s.object(nil, func(key string) error {
		if key != "metadata" || s.peek() != '{' {
			_, err := s.skip()
			return err
		}
		return s.object(nil, func(key string) error {
			if key != "managedFields" {
				_, err := s.skip()
				return err
			}
			if s.peek() != '[' {
				found = 2 // it is no list: that is not the API server's
			}
			from = s.i
			_, err := s.skip()
			to, found = s.i, found+1
			return err
		})
	})
	if err != nil || found != 1 || s.end() != nil {
		return append(out, object...)
	}
	out = append(out, object[:from]...)
	out = append(out, "[]"...)
	return append(out, object[to:]...)
}

// map3 names the three strings of a small object.
type map3 [3]struct {
	key  string
	into *string
}

// scanner steps through JSON without building anything of it.
type scanner struct {
	data []byte
	i    int
}

func (s *scanner) wrong(what string) error {
	return fmt.Errorf("not valid JSON at byte %d: %s", min(s.i, len(s.data)), what)
}

// begin moves to the next value and returns where it begins.
func (s *scanner) begin() int {
	for s.i < len(s.data) {
		switch s.data[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return s.i
		}
	}
	return s.i
}

// peek returns the next byte that is not white space, 0 at the end.
func (s *scanner) peek() byte {
	if s.begin() < len(s.data) {
		return s.data[s.i]
	}
	return 0
}

func (s *scanner) take(c byte) error {
	if s.peek() != c {
		return s.wrong("expected " + string(rune(c)))
	}
	s.i++
	return nil
}

func (s *scanner) end() error {
	if s.begin() != len(s.data) {
		return s.wrong("more than one value")
	}
	return nil
}

// object reads an object; each is called with the name of a member, before its
// value, which it has to step over. null is an object without members.
func (s *scanner) object(known []string, each func(key string) error) error {
	if s.peek() == 'n' {
		_, err := s.skip()
		return err
	}
	if err := s.take('{'); err != nil {
		return err
	}
	seen := uint32(0)
	for first := true; ; first = false {
		if s.peek() == '}' && first {
			s.i++
			return nil
		}
		key, err := s.text()
		if err != nil {
			return err
		}
		if err := s.take(':'); err != nil {
			return err
		}
		for at, name := range known {
			switch {
			case key == name && seen&(1<<at) != 0:
				return fmt.Errorf("duplicate key %q", name)
			case key == name:
				seen |= 1 << at
			case len(key) == len(name) && strings.EqualFold(key, name):
				return fmt.Errorf("the key %q differs from %q only by case", key, name)
			}
		}
		if err := each(key); err != nil {
			return err
		}
		switch s.peek() {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return s.wrong("expected , or }")
		}
	}
}

// strInto reads the string member with the key, and steps over others.
func (s *scanner) strInto(key string, into map3) error {
	for _, m := range into {
		if m.key == key {
			return s.str(m.into, nil)
		}
	}
	_, err := s.skip()
	return err
}

// str reads a string, or null as the empty one; raw is what it is written as.
func (s *scanner) str(into *string, raw *[]byte) (err error) {
	start := s.begin()
	if s.peek() == 'n' {
		_, err = s.skip()
	} else {
		*into, err = s.text()
	}
	if err == nil && raw != nil {
		*raw = s.data[start:s.i]
	}
	return err
}

func (s *scanner) strings(into *[]string) error {
	if s.peek() == 'n' {
		_, err := s.skip()
		return err
	}
	if err := s.take('['); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		text, err := s.text()
		if err != nil {
			return err
		}
		if *into = append(*into, text); len(*into) > maxGroups {
			return fmt.Errorf("a user of more than %d groups", maxGroups)
		}
		switch s.peek() {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return s.wrong("expected , or ]")
		}
	}
}

// orNull steps over a value and returns it, nil for null.
func (s *scanner) orNull() ([]byte, error) {
	raw, err := s.skip()
	if string(raw) == "null" {
		raw = nil
	}
	return raw, err
}

// text reads a string.
func (s *scanner) text() (string, error) {
	raw, escaped, err := s.quoted()
	switch {
	case err != nil:
		return "", err
	case !utf8.Valid(raw):
		return "", s.wrong("text that is not UTF-8")
	case !escaped:
		return string(raw[1 : len(raw)-1]), nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", s.wrong("a string that cannot be read")
	}
	return text, nil
}

// quoted steps over a string and returns it with its quotes.
func (s *scanner) quoted() (raw []byte, escaped bool, err error) {
	if err := s.take('"'); err != nil {
		return nil, false, err
	}
	start := s.i - 1
	for s.i < len(s.data) {
		switch c := s.data[s.i]; {
		case c == '"':
			s.i++
			return s.data[start:s.i], escaped, nil
		case c == '\\':
			escaped = true
			s.i += 2
		case c < ' ':
			return nil, false, s.wrong("a control character in a string")
		default:
			s.i++
		}
	}
	return nil, false, s.wrong("it ends within a string")
}

// skip steps over one value and returns it as it is written. What is between
// its brackets is not checked further: who uses it reads it again.
func (s *scanner) skip() ([]byte, error) {
	start := s.begin()
	depth := 0
	for s.i < len(s.data) {
		switch c := s.data[s.i]; c {
		case '"':
			if _, _, err := s.quoted(); err != nil {
				return nil, err
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return nil, s.wrong(fmt.Sprintf("nested deeper than %d levels", maxDepth))
			}
			s.i++
			continue
		case '}', ']':
			if depth--; depth < 0 {
				return nil, s.wrong("expected a value")
			}
			s.i++
		case ',', ':', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return nil, s.wrong("expected a value")
			}
			s.i++
			continue
		default:
			s.word()
		}
		if depth == 0 {
			return s.data[start:s.i], nil
		}
	}
	return nil, s.wrong("it ends too early")
}

// word steps over a number, true, false or null.
func (s *scanner) word() {
	for s.i < len(s.data) && strings.IndexByte(",:{}[]\" \t\r\n", s.data[s.i]) < 0 {
		s.i++
	}
}
