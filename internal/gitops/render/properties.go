package render

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// properties are a function's as they are written, over those of all functions.
type properties struct {
	*deployment
	own, all *node.Node
	is       form
}

// form says what a format calls the properties. "" is none.
type form struct {
	runtime, handler, architectures, layers, timeout, memory, storage, concurrency, vpc, subnets, groups, tracing, description, url, events string
	// elsewhere are properties that are read from the stack, or say nothing
	// about what runs.
	elsewhere []string
}

var (
	// lambdaForm is CloudFormation's and SAM's.
	lambdaForm = form{runtime: "Runtime", handler: "Handler", architectures: "Architectures", layers: "Layers", timeout: "Timeout", memory: "MemorySize",
		storage: "EphemeralStorage", concurrency: "ReservedConcurrentExecutions", vpc: "VpcConfig", subnets: "SubnetIds", groups: "SecurityGroupIds",
		tracing: "Tracing", description: "Description", url: "FunctionUrlConfig", events: "Events",
		elsewhere: []string{"FunctionName", "PackageType", "ImageUri", "Code", "CodeUri", "Environment", "KmsKeyArn", "Role", "Policies",
			"PermissionsBoundary", "AssumeRolePolicyDocument", "Tags", "TracingConfig"}}
	// serviceForm is the Serverless Framework's.
	serviceForm = form{runtime: "runtime", handler: "handler", architectures: "architecture", layers: "layers", timeout: "timeout", memory: "memorySize",
		storage: "ephemeralStorageSize", concurrency: "reservedConcurrency", vpc: "vpc", subnets: "subnetIds", groups: "securityGroupIds",
		description: "description", url: "url", events: "events",
		elsewhere: []string{"name", "image", "environment", "kmsKeyArn", "awsKmsKeyArn", "role", "iamRoleStatements", "iamRoleStatementsName",
			"iamRoleStatementsInherit", "tags", "package"}}
)

// The framework's defaults, which it writes out when it deploys.
const (
	serviceTimeout = 6    // s
	serviceMemory  = 1024 // MiB
)

// properties finds where a function is written.
func (a *deployment) properties(f *stack.Function) (*properties, error) {
	p := &properties{deployment: a, is: lambdaForm, own: a.resource(f.ID)}
	if f.Kind == "AWS::Serverless::Function" {
		p.all = a.doc.Get("Globals", "Function")
	}
	if a.service && p.own == nil {
		p.is, p.all = serviceForm, a.doc.Get("provider")
		for _, part := range a.doc.Get("functions").All() {
			if part.IsMap() {
				for _, entry := range part.Fields {
					if entry.Line == f.Line {
						p.own = entry.Value
					}
				}
			}
		}
	}
	if !p.own.IsMap() {
		return nil, a.open(f.Where, "the function")
	}
	return p, nil
}

// get is the function's own property, or that of all.
func (p *properties) get(key string) *node.Node {
	if key == "" {
		return nil
	}
	if v := p.own.Get(key); !v.IsNull() {
		return v
	}
	return p.all.Get(key)
}

// fill reads all properties but those that the stack has.
func (p *properties) fill(f *function) error {
	is, s := p.is, &f.spec
	if err := p.only(p.own, append(slices.Clone(is.elsewhere), is.runtime, is.handler, is.architectures, is.layers, is.timeout, is.memory, is.storage,
		is.concurrency, is.vpc, is.tracing, is.description, is.url, is.events)...); err != nil {
		return err
	}
	if is.runtime == lambdaForm.runtime {
		if err := p.only(p.all, append(slices.Clone(is.elsewhere), is.runtime, is.handler, is.architectures, is.layers, is.timeout, is.memory,
			is.storage, is.concurrency, is.vpc, is.tracing, is.description)...); err != nil {
			return err
		}
	}
	for to, key := range map[*string]string{&s.Runtime: is.runtime, &s.Handler: is.handler, &s.Description: is.description} {
		var err error
		if *to, err = p.text(p.get(key)); err != nil {
			return err
		}
	}
	for to, key := range map[*int]string{&s.TimeoutSeconds: is.timeout, &s.MemoryMiB: is.memory} {
		var err error
		if *to, err = p.number(p.get(key)); err != nil {
			return err
		}
	}
	storage := p.get(is.storage)
	if storage.IsMap() {
		storage = storage.Get("Size")
	}
	var err error
	if s.StorageMiB, err = p.number(storage); err != nil {
		return err
	}
	if n := p.get(is.concurrency); !n.IsNull() {
		reserved, err := p.number(n)
		if err != nil {
			return err
		}
		s.ReservedConcurrency = &reserved
	}
	if err := p.architecture(s); err != nil {
		return err
	}
	if s.Layers, err = p.layers(); err != nil {
		return err
	}
	if s.Tags, err = p.tags(); err != nil {
		return err
	}
	for _, layer := range s.Layers {
		if !layerVersion(layer) {
			return p.refuse(verdict.FunctionMutable, p.get(is.layers), "the layer %s has no version: write its ARN with one", clip(layer))
		}
	}
	if err := p.network(s); err != nil {
		return err
	}
	if err := p.code(s); err != nil {
		return err
	}
	if p.service && is.runtime == serviceForm.runtime {
		if s.TimeoutSeconds == 0 {
			s.TimeoutSeconds = serviceTimeout
		}
		if s.MemoryMiB == 0 {
			s.MemoryMiB = serviceMemory
		}
		s.Runtime, s.Handler = "", "" // of functions without an image, which a service uploads
	}
	if err := p.traced(s); err != nil {
		return err
	}
	if err := p.address(f); err != nil {
		return err
	}
	return p.events()
}

func (p *properties) architecture(s *gitops.LambdaFunction) error {
	all, err := p.list(p.get(p.is.architectures))
	if err != nil {
		return err
	}
	if len(all) > 1 || len(all) == 1 && all[0] != "x86_64" && all[0] != "arm64" {
		return p.refuse(verdict.ObjectInvalid, p.get(p.is.architectures), "the architecture is one of x86_64 and arm64")
	}
	if len(all) == 1 {
		s.Architecture = all[0]
	}
	return nil
}

// layers are those of all functions, where SAM adds them up, and the function's own.
func (p *properties) layers() ([]string, error) {
	own, err := p.list(p.own.Get(p.is.layers))
	if err != nil || len(own) > 0 && p.is.runtime == serviceForm.runtime {
		return own, err
	}
	all, err := p.list(p.all.Get(p.is.layers))
	return append(all, own...), err
}

// tags are those of all functions with the function's own over them. They are a
// map, or in CloudFormation a list of keys and values.
func (p *properties) tags() (map[string]string, error) {
	out := map[string]string{}
	for _, from := range []*node.Node{p.all, p.own} {
		for _, key := range []string{"Tags", "tags"} {
			n := from.Get(key)
			if n.IsNull() {
				continue
			}
			for _, f := range n.Fields {
				v, err := p.text(f.Value)
				if err != nil {
					return nil, err
				}
				out[f.Key] = v
			}
			for _, tag := range n.Items {
				name, err := p.text(tag.Get("Key"))
				if err != nil {
					return nil, err
				}
				if out[name], err = p.text(tag.Get("Value")); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func (p *properties) network(s *gitops.LambdaFunction) error {
	vpc := p.get(p.is.vpc)
	if vpc.IsNull() {
		return nil
	}
	if !p.own.Get(p.is.vpc).IsNull() && p.is.runtime == lambdaForm.runtime && !p.all.Get(p.is.vpc).IsNull() {
		return p.refuse(verdict.RenderFeature, vpc, "the network stands in Globals as well, and both would be added up: write it once")
	}
	if err := p.only(vpc, p.is.subnets, p.is.groups); err != nil {
		return err
	}
	s.VPC = &gitops.LambdaVPC{}
	for to, key := range map[*[]string]string{&s.VPC.Subnets: p.is.subnets, &s.VPC.SecurityGroups: p.is.groups} {
		var err error
		if *to, err = p.list(vpc.Get(key)); err != nil {
			return err
		}
		slices.Sort(*to)
	}
	return nil
}

// code reads an archive in a bucket, which has to be named with its version.
func (p *properties) code(s *gitops.LambdaFunction) error {
	for _, code := range []*node.Node{p.own.Get("Code"), p.get("CodeUri")} {
		if code.IsNull() || code.Has("ImageUri") {
			continue
		}
		c := &gitops.LambdaCode{}
		for to, keys := range map[*string][2]string{&c.Bucket: {"S3Bucket", "Bucket"}, &c.Key: {"S3Key", "Key"}, &c.Version: {"S3ObjectVersion", "Version"}} {
			for _, key := range keys {
				if v := code.Get(key); v != nil {
					var err error
					if *to, err = p.text(v); err != nil {
						return err
					}
				}
			}
		}
		if c.Bucket == "" || c.Key == "" || c.Version == "" {
			return p.refuse(verdict.FunctionMutable, code, "code that is not built yet, or an archive without its version: upload it, and write its bucket, key and version; or use an image")
		}
		s.Code = c
	}
	return nil
}

func (p *properties) traced(s *gitops.LambdaFunction) error {
	n := p.get(p.is.tracing)
	if v := p.own.Get("TracingConfig", "Mode"); v != nil {
		n = v
	}
	if p.service && n == nil {
		n = p.doc.Get("provider", "tracing", "lambda")
	}
	mode, err := p.text(n)
	switch {
	case err != nil:
		return err
	case mode == "true":
		mode = "Active"
	case mode == "false":
		mode = ""
	case mode != "" && mode != "Active" && mode != "PassThrough":
		return p.refuse(verdict.ObjectInvalid, n, "tracing is Active or PassThrough")
	}
	s.Tracing = mode
	return nil
}

// address reads the function URL.
func (p *properties) address(f *function) error {
	n := p.own.Get(p.is.url)
	switch {
	case n.IsNull() || n.Text() == "false":
		return nil
	case p.is.url == lambdaForm.url:
		return p.url(f, n)
	}
	if err := p.only(n, "authorizer"); err != nil {
		return err
	}
	f.spec.URL = &gitops.LambdaURL{Auth: "NONE"}
	if authorizer, err := p.text(n.Get("authorizer")); err != nil {
		return err
	} else if authorizer == "aws_iam" {
		f.spec.URL.Auth = "AWS_IAM"
	}
	return nil
}

// polled are the events that the platform fetches with the function's own role.
// All others need a permission for the caller, whose address exists only after
// the deployment.
var polled = []string{"sqs", "dynamodb", "kinesis", "stream", "msk", "mq", "activemq", "rabbitmq", "kafka", "selfmanagedkafka", "documentdb"}

func (p *properties) events() error {
	check := func(n *node.Node, kind string) error {
		if slices.Contains(polled, strings.ToLower(kind)) {
			return nil
		}
		return p.refuse(verdict.RenderFeature, n, "the event %s makes a permission whose caller is known only after the deployment: write it as AWS::Lambda::Permission with its SourceArn", clip(kind))
	}
	n := p.get(p.is.events)
	if n.IsMap() {
		for _, e := range n.Fields {
			if err := check(e.Value, e.Value.Get("Type").Text()); err != nil {
				return err
			}
		}
		return nil
	}
	for _, e := range n.All() {
		kind := e.Text()
		if e.IsMap() && len(e.Fields) == 1 {
			kind = e.Fields[0].Key
		}
		if err := check(e, kind); err != nil {
			return err
		}
	}
	return nil
}
