package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/apexlogic/apex/config/crd"
)

const (
	group      = "security.apexlogic.com"
	apiVersion = group + "/v1alpha1"
)

// schema is the part of a structural OpenAPI v3 schema that our kinds use. A
// keyword that is not listed here is an error when the schema is read, so that
// none is silently without effect.
type schema struct {
	Type                 string             `json:"type"`
	Format               string             `json:"format"`
	Description          string             `json:"description"`
	Default              any                `json:"default"`
	Enum                 []string           `json:"enum"`
	Pattern              string             `json:"pattern"`
	MinLength            *int64             `json:"minLength"`
	MaxLength            *int64             `json:"maxLength"`
	Minimum              *float64           `json:"minimum"`
	Maximum              *float64           `json:"maximum"`
	MinItems             *int64             `json:"minItems"`
	MaxItems             *int64             `json:"maxItems"`
	MinProperties        *int64             `json:"minProperties"`
	MaxProperties        *int64             `json:"maxProperties"`
	Nullable             bool               `json:"nullable"`
	Items                *schema            `json:"items"`
	Properties           map[string]*schema `json:"properties"`
	AdditionalProperties *schema            `json:"additionalProperties"`
	Required             []string           `json:"required"`

	ListType     string   `json:"x-kubernetes-list-type"`
	ListMapKeys  []string `json:"x-kubernetes-list-map-keys"`
	MapType      string   `json:"x-kubernetes-map-type"` // how servers merge; it says nothing about validity
	IntOrString  bool     `json:"x-kubernetes-int-or-string"`
	PreserveMore bool     `json:"x-kubernetes-preserve-unknown-fields"`
	Rules        []*rule  `json:"x-kubernetes-validations"`

	names   func() []string       // of the properties, sorted
	pattern func() *regexp.Regexp // compiled when it is first needed
}

// definition is one kind.
type definition struct {
	Kind       string   `json:"kind"`
	Plural     string   `json:"plural"`
	Singular   string   `json:"singular"`
	ShortNames []string `json:"shortNames"`
	Schema     *schema  `json:"schema"`
}

// kinds holds every kind's definition, each read when it is first asked for.
var kinds = sync.OnceValue(func() map[string]func() (*definition, error) {
	all := map[string]func() (*definition, error){}
	entries, err := fs.ReadDir(crd.Schemas, "schema")
	if err != nil {
		return all
	}
	for _, entry := range entries {
		kind := strings.TrimSuffix(entry.Name(), ".json")
		all[kind] = sync.OnceValues(func() (*definition, error) {
			data, err := fs.ReadFile(crd.Schemas, "schema/"+entry.Name())
			if err != nil {
				return nil, err
			}
			return readDefinition(data)
		})
	}
	return all
})

// knownKinds returns the kinds' names, sorted.
func knownKinds() []string {
	names := make([]string, 0, len(kinds()))
	for name := range kinds() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func readDefinition(data []byte) (*definition, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var def definition
	if err := dec.Decode(&def); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	def.Schema.Properties["metadata"] = metadataSchema(def.Schema.Properties["metadata"])
	if !slices.Contains(def.Schema.Required, "metadata") {
		def.Schema.Required = append(def.Schema.Required, "metadata")
	}
	if err := def.Schema.prepare(); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", def.Kind, err)
	}
	return &def, nil
}

// prepare checks what the validator relies on and sets up what is lazy.
func (s *schema) prepare() error {
	switch s.Type {
	case "object", "array", "string", "integer", "number", "boolean":
	case "":
		if !s.IntOrString && !s.PreserveMore {
			return fmt.Errorf("a schema without type")
		}
	default:
		return fmt.Errorf("the type %q is not implemented", s.Type)
	}
	switch s.Format {
	case "", "date-time", "duration", "int32", "int64":
	default:
		return fmt.Errorf("the format %q is not implemented", s.Format)
	}
	switch s.ListType {
	case "", "atomic", "set", "map":
	default:
		return fmt.Errorf("the list type %q is not implemented", s.ListType)
	}
	s.names = sync.OnceValue(func() []string {
		names := make([]string, 0, len(s.Properties))
		for name := range s.Properties {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	})
	s.pattern = sync.OnceValue(func() *regexp.Regexp {
		// A pattern that does not compile matches nothing: see matches.
		re, _ := regexp.Compile(s.Pattern)
		return re
	})
	for _, child := range s.Properties {
		if err := child.prepare(); err != nil {
			return err
		}
	}
	for _, child := range []*schema{s.Items, s.AdditionalProperties} {
		if child == nil {
			continue
		}
		if err := child.prepare(); err != nil {
			return err
		}
	}
	return nil
}

// matches reports whether text matches the pattern.
func (s *schema) matches(text string) bool {
	re := s.pattern()
	return re != nil && re.MatchString(text)
}

// metadataSchema says what a CRD leaves to the API server: ObjectMeta. What the
// server fills in is accepted, so that "kubectl get -o yaml" can be read back.
// A namespace is not: the kinds are cluster-scoped.
func metadataSchema(declared *schema) *schema {
	size := func(n int64) *int64 { return &n }
	text := &schema{Type: "string"}
	opaque := &schema{Type: "array", Items: &schema{PreserveMore: true}}
	metadata := &schema{
		Type:        "object",
		Description: "Standard object metadata: its name, labels and annotations.",
		Required:    []string{"name"},
		Properties: map[string]*schema{
			"name": {
				Type: "string", MinLength: size(1), MaxLength: size(253),
				Pattern:     `^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`,
				Description: "Name of the object: lower case letters, digits, '-' and '.'. It is unique among the objects of a kind.",
			},
			"labels": {
				Type: "object", Description: "Labels of the object.",
				AdditionalProperties: &schema{Type: "string", MaxLength: size(63), Pattern: `^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`},
			},
			"annotations": {
				Type: "object", Description: "Annotations of the object. They decide nothing.",
				AdditionalProperties: text,
			},
			"creationTimestamp": {Type: "string", Format: "date-time", Nullable: true, Description: "Set by the API server."},
			"generation":        {Type: "integer", Format: "int64", Description: "Set by the API server."},
			"resourceVersion":   {Type: "string", Description: "Set by the API server."},
			"uid":               {Type: "string", Description: "Set by the API server."},
			"finalizers":        {Type: "array", Items: text, Description: "Set by controllers."},
			"managedFields":     opaque,
			"ownerReferences":   opaque,
		},
	}
	if declared != nil && declared.Description != "" {
		metadata.Description = declared.Description
	}
	return metadata
}
