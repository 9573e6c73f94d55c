// Package serverless reads services of the Serverless Framework.
//
// Start at [Is] and [Read]. Variables are resolved from the files; the service is
// then written as the CloudFormation template that the framework would deploy,
// with the logical ids that it gives, and read as one: intrinsic functions and
// references between the service and its resources section mean the same there.
//
// Source: the Serverless Framework's reference of serverless.yml (v3), its
// variables and naming, and the plugin serverless-iam-roles-per-function.
package serverless

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/cloudformation"
	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// Is says whether a document is a service, by its content.
func Is(doc *node.Node) bool {
	if !doc.IsMap() || doc.IsNull() || doc.Has("apiVersion") || doc.Has("AWSTemplateFormatVersion") {
		return false
	}
	provider := doc.Get("provider")
	return doc.Has("service") && (provider.Has("name") || provider.IsScalar()) && (doc.Has("functions") || doc.Has("resources") || provider.IsMap())
}

// sharedRole is the logical id of the role that functions run as by default.
const sharedRole = "IamRoleLambdaExecution"

// Read reads a service. options are those of the command line that deploys it:
// "stage", "region" and the service's own. Files that the service names are read
// within fsys.
func Read(fsys fs.FS, file string, doc *node.Node, options map[string]string) *stack.Stack {
	b := node.NewBuilder(stack.Serverless, file)
	v := &variables{fsys: fsys, dir: path.Dir(file), root: doc, options: options, gap: b.Gap,
		busy: map[string]bool{}, files: map[string]*node.Node{}, steps: maxSteps}
	s := &service{Builder: b, doc: v.resolve(doc, 0)}
	s.provider = s.doc.Get("provider")
	if s.provider.IsScalar() {
		s.provider = node.Map(s.provider.Where, []node.Field{{Key: "name", Line: s.provider.Line, Value: s.provider}})
	}
	s.read()
	maps.DeleteFunc(v.files, func(_ string, doc *node.Node) bool { return doc == nil }) // it is a gap
	b.Stack.Files = slices.Collect(maps.Keys(v.files))
	return b.Stack
}

// service is a service while it is written as a template.
type service struct {
	*node.Builder
	doc, provider *node.Node
	resources     []node.Field
	functions     []node.Field
}

func (s *service) read() {
	s.functions = merged(s.doc.Get("functions"))
	if name := s.provider.Get("name").Text(); name != "aws" && name != "" {
		s.elsewhere(name)
		return
	}
	var sections []node.Field
	for _, part := range s.doc.Get("resources").All() {
		for _, f := range part.Fields {
			if f.Key == "Resources" {
				s.resources = append(s.resources, fields(f.Value)...)
			} else {
				sections = append(sections, f)
			}
		}
	}
	shared := false
	for _, f := range s.functions {
		shared = s.function(f) || shared
	}
	if shared {
		s.sharedRole()
	}
	at := s.doc.Where
	template := node.Map(at, append(combined(sections), node.Field{Key: "Resources", Line: at.Line, Value: node.Map(at, s.resources)}))
	cloudformation.Add(s.Builder, template)
	for _, f := range s.functions {
		s.events(f)
	}
	s.apiPolicy()
}

// merged are the entries of a map, or of a list of maps.
func merged(n *node.Node) []node.Field {
	var out []node.Field
	for _, part := range n.All() {
		out = append(out, fields(part)...)
	}
	return out
}

func fields(n *node.Node) []node.Field {
	if n.IsMap() {
		return n.Fields
	}
	return nil
}

// combined merges sections of one name, as the framework does with lists of
// resources.
func combined(sections []node.Field) []node.Field {
	var out []node.Field
next:
	for _, f := range sections {
		for i, have := range out {
			if have.Key == f.Key && have.Value.IsMap() && f.Value.IsMap() {
				out[i].Value = node.Map(have.Value.Where, append(have.Value.Fields[:len(have.Value.Fields):len(have.Value.Fields)], f.Value.Fields...))
				continue next
			}
		}
		out = append(out, f)
	}
	return out
}

// logical is the framework's form of a name within a logical id.
func logical(name string) string {
	if name == "" {
		return name
	}
	name = strings.NewReplacer("-", "Dash", "_", "Underscore").Replace(name)
	return strings.ToUpper(name[:1]) + name[1:]
}

// either is the function's own setting, or else the provider's.
func (s *service) either(f *node.Node, keys ...string) (*node.Node, stack.Where) {
	for _, from := range []*node.Node{f, s.provider} {
		for _, key := range keys {
			if v := from.Get(key); !v.IsNull() {
				return v, from.KeyAt(key)
			}
		}
	}
	return nil, stack.Where{}
}

// function writes one function; it says whether it runs as the shared role.
func (s *service) function(entry node.Field) (shared bool) {
	f := entry.Value
	if !f.IsMap() {
		s.Gap(stack.Where{File: s.doc.File, Line: entry.Line}, "the function "+node.Show(entry.Key)+" could not be resolved")
		return false
	}
	at := stack.Where{File: f.File, Line: entry.Line}
	var props []node.Field
	put := func(key string, v *node.Node) {
		if !v.IsNull() {
			props = append(props, node.Field{Key: key, Line: v.Line, Value: v})
		}
	}
	name := f.Get("name")
	if name.IsNull() {
		name = node.String(at, s.name()+"-"+entry.Key)
	}
	put("FunctionName", name)
	role, shared := s.roleOf(entry, at)
	put("Role", role)
	env := append(fields(s.provider.Get("environment"))[:len(fields(s.provider.Get("environment"))):len(fields(s.provider.Get("environment")))], fields(f.Get("environment"))...)
	if v := f.Get("environment"); v.IsUnknown() {
		env = append(env, node.Field{Key: v.Str, Line: v.Line, Value: v})
	}
	if len(env) > 0 {
		where := at
		if v := f.Get("environment"); v != nil {
			where = v.Where
		} else if v := s.provider.Get("environment"); v != nil {
			where = v.Where
		}
		put("Environment", node.Map(where, []node.Field{{Key: "Variables", Line: where.Line, Value: node.Map(where, unique(env))}}))
	}
	for _, p := range []struct{ to, from string }{{"KmsKeyArn", "kmsKeyArn"}, {"KmsKeyArn", "awsKmsKeyArn"}, {"Timeout", "timeout"}, {"MemorySize", "memorySize"},
		{"VpcConfig", "vpc"}, {"Layers", "layers"}, {"Tags", "tags"}} {
		v, _ := s.either(f, p.from)
		put(p.to, v)
	}
	put("ReservedConcurrentExecutions", f.Get("reservedConcurrency"))
	if image := s.image(f.Get("image")); image != nil {
		put("Code", node.Map(at, []node.Field{{Key: "ImageUri", Line: image.Line, Value: image}}))
	} else if artifact := f.Get("package", "artifact"); artifact.IsScalar() {
		put("Code", artifact)
	} else if artifact := s.doc.Get("package", "artifact"); artifact.IsScalar() {
		put("Code", artifact)
	}
	s.resource(at, logical(entry.Key)+"LambdaFunction", "AWS::Lambda::Function", node.Map(at, props))
	return shared
}

// unique keeps the last of fields with one key, in the place of the first.
func unique(list []node.Field) []node.Field {
	at := map[string]int{}
	var out []node.Field
	for _, f := range list {
		if i, ok := at[f.Key]; ok {
			out[i] = f
			continue
		}
		at[f.Key] = len(out)
		out = append(out, f)
	}
	return out
}

// resource adds a resource to the template.
func (s *service) resource(at stack.Where, id, kind string, props *node.Node) {
	r := node.Map(at, []node.Field{{Key: "Type", Line: at.Line, Value: node.String(at, kind)}, {Key: "Properties", Line: at.Line, Value: props}})
	s.resources = append(s.resources, node.Field{Key: id, Line: at.Line, Value: r})
}

// name is how the framework calls what it makes: service and stage.
func (s *service) name() string {
	service := s.doc.Get("service")
	if service.IsMap() {
		service = service.Get("name")
	}
	stage := s.provider.Get("stage")
	if stage.IsNull() {
		return service.Value().Value + "-dev"
	}
	return service.Value().Value + "-" + stage.Str
}

// image is the reference of a container function: a text, {uri}, or the name of
// one of provider.ecr.images.
func (s *service) image(n *node.Node) *node.Node {
	if n.IsNull() {
		return nil
	}
	if uri := n.Get("uri"); uri != nil {
		return uri
	}
	name := n
	if n.IsMap() {
		name = n.Get("name")
	}
	if entry := s.provider.Get("ecr", "images").Get(name.Text()); entry != nil {
		switch {
		case entry.IsScalar():
			return entry
		case entry.Has("uri"):
			return entry.Get("uri")
		}
		return node.Unknown(entry.Where, "built from "+entry.Get("path").Value().Value)
	}
	if name.IsScalar() || name.IsUnknown() {
		return name
	}
	return nil
}

// elsewhere reads functions of other clouds: their environment only.
func (s *service) elsewhere(provider string) {
	for _, entry := range s.functions {
		f := entry.Value
		if !f.IsMap() {
			continue
		}
		fn := stack.Function{Where: stack.Where{File: f.File, Line: entry.Line}, ID: entry.Key, Name: entry.Key, Kind: provider + " function"}
		fn.Environment = append(node.Variables(s.provider.Get("environment")), node.Variables(f.Get("environment"))...)
		s.Function(fn)
	}
}
