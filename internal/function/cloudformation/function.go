package cloudformation

import (
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// function adds the functions.
func (x *extraction) function(r *resource) {
	switch r.kind {
	case "AWS::Lambda::Function", "AWS::Serverless::Function":
		x.lambda(r)
	case "AWS::ECS::TaskDefinition":
		f := stack.Function{Where: r.Where, ID: r.id, Name: r.name("Family"), Kind: r.kind}
		x.runsAs(&f, r.props.Get("TaskRoleArn"))
		for _, c := range r.props.Get("ContainerDefinitions").All() {
			if c.Has("Image") && f.Image.Value == "" {
				f.Image = c.Get("Image").Value()
			}
			for _, v := range c.Get("Environment").All() {
				f.Environment = append(f.Environment, stack.Variable{Where: v.Where, Name: v.Get("Name").Value().Value, Value: v.Get("Value").Value()})
			}
			for _, v := range c.Get("Secrets").All() {
				f.Environment = append(f.Environment, stack.Variable{Where: v.Where, Name: v.Get("Name").Value().Value, From: v.Get("ValueFrom").Value().Value})
			}
		}
		x.Function(f)
	case "AWS::SageMaker::Model":
		f := stack.Function{Where: r.Where, ID: r.id, Name: r.name("ModelName"), Kind: r.kind, Egress: stack.EgressAnywhere}
		x.runsAs(&f, r.props.Get("ExecutionRoleArn"))
		if isolated, _ := r.props.Get("EnableNetworkIsolation").True(); isolated || r.props.Has("VpcConfig") {
			f.Egress = stack.EgressRestricted
		}
		containers := r.props.Get("Containers").All()
		for _, c := range append(r.props.Get("PrimaryContainer").All(), containers...) {
			if c.Has("Image") {
				f.Image = c.Get("Image").Value()
			}
			for _, m := range []*node.Node{c.Get("ModelDataUrl"), c.Get("ModelDataSource", "S3DataSource", "S3Uri")} {
				if m != nil {
					f.Models = append(f.Models, stack.Ref{Where: m.Where, Text: m.Value()})
				}
			}
			f.Environment = append(f.Environment, node.Variables(c.Get("Environment"))...)
		}
		x.Function(f)
	}
}

func (x *extraction) runsAs(f *stack.Function, role *node.Node) {
	if role.IsNull() {
		return
	}
	f.RoleText = role.Value()
	f.Role = x.Find("role", role)
}

func (x *extraction) lambda(r *resource) {
	p := r.props
	f := stack.Function{Where: r.Where, ID: r.id, Name: r.name("FunctionName"), Kind: r.kind,
		KMSKey:      p.Get("KmsKeyArn").Value(),
		Environment: node.Variables(p.Get("Environment", "Variables")),
		Timeout:     time.Duration(p.Get("Timeout").Int()) * time.Second,
		Memory:      p.Get("MemorySize").Int(),
		Concurrency: p.Get("ReservedConcurrentExecutions").Int(),
		Egress:      stack.EgressAnywhere,
	}
	if p.Has("VpcConfig") {
		f.Egress = stack.EgressRestricted
	}
	if r.kind == "AWS::Serverless::Function" && p.Get("Role") == nil {
		f.Role = r.id + "Role"
	} else {
		x.runsAs(&f, p.Get("Role"))
	}
	for _, image := range []*node.Node{p.Get("ImageUri"), p.Get("Code", "ImageUri")} {
		if image != nil {
			f.Image = image.Value()
		}
	}
	add := func(n *node.Node) {
		if !n.IsNull() {
			f.Code = append(f.Code, stack.Ref{Where: n.Where, Text: n.Value()})
		}
	}
	for _, code := range []*node.Node{p.Get("Code"), p.Get("CodeUri")} {
		switch {
		case code.IsScalar():
			add(code)
		case code.IsMap():
			bucket, key := first(code, "S3Bucket", "Bucket"), first(code, "S3Key", "Key")
			if bucket != nil && key != nil {
				text := "s3://" + bucket.Value().Value + "/" + key.Value().Value
				f.Code = append(f.Code, stack.Ref{Where: bucket.Where, Text: stack.Text{Value: text, Known: bucket.Known() && key.Known()}})
			}
		}
	}
	for _, l := range p.Get("Layers").All() {
		add(l)
	}
	f.Labels = labels(p.Get("Tags"))
	x.Function(f)
}

func first(n *node.Node, keys ...string) *node.Node {
	for _, k := range keys {
		if v := n.Get(k); v != nil {
			return v
		}
	}
	return nil
}

// labels reads tags: a map in SAM, a list of keys and values elsewhere.
func labels(n *node.Node) map[string]string {
	out := map[string]string{}
	for _, f := range fields(n) {
		out[f.Key] = f.Value.Text()
	}
	if n.IsList() {
		for _, item := range n.Items {
			if k := item.Get("Key").Text(); k != "" {
				out[k] = item.Get("Value").Text()
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// entrance finds the ways into functions that ask nobody who they are.
func (x *extraction) entrance(r *resource) {
	p := r.props
	switch r.kind {
	case "AWS::Lambda::Url":
		if strings.EqualFold(p.Get("AuthType").Text(), "NONE") {
			x.Expose(p.Get("TargetFunctionArn"), r.id, r.kind, r.Where, "function URL without authorization")
		}
	case "AWS::Lambda::Permission":
		if p.Get("Principal").Text() == "*" && !p.Has("SourceArn") && !p.Has("SourceAccount") && !p.Has("PrincipalOrgID") &&
			!strings.EqualFold(p.Get("FunctionUrlAuthType").Text(), "AWS_IAM") {
			x.Expose(p.Get("FunctionName"), r.id, r.kind, r.Where, "permission to invoke for everyone")
		}
	case "AWS::ApiGateway::Method":
		x.method(r)
	case "AWS::ApiGatewayV2::Route":
		if auth := p.Get("AuthorizationType"); !auth.IsNull() && !strings.EqualFold(auth.Text(), "NONE") || p.Get("ApiKeyRequired").Text() == "true" {
			return
		}
		target := p.Get("Target")
		for _, word := range strings.FieldsFunc(target.Value().Value, func(c rune) bool { return strings.ContainsRune("/${}. ", c) }) {
			if i := x.byID[word]; i != nil && i.kind == "AWS::ApiGatewayV2::Integration" {
				x.route(i.props.Get("IntegrationUri"), r, "HTTP API route without authorizer")
			}
		}
	case "AWS::ApiGatewayV2::Api":
		if target := p.Get("Target"); target != nil {
			x.route(target, r, "HTTP API without authorizer")
		}
	case "AWS::Serverless::Function":
		x.events(r)
	}
}

// method is a method of a REST API.
func (x *extraction) method(r *resource) {
	p := r.props
	if auth := p.Get("AuthorizationType"); !auth.IsNull() && !strings.EqualFold(auth.Text(), "NONE") || p.Get("ApiKeyRequired").Text() == "true" ||
		strings.EqualFold(p.Get("HttpMethod").Text(), "OPTIONS") {
		return
	}
	if api := x.byID[refOf(p.Get("RestApiId"))]; api != nil && closed(api.props) {
		return
	}
	x.route(p.Get("Integration", "Uri"), r, "API method without authorizer")
}

// closed says that an API has a policy of its own, or is inside of a network.
func closed(api *node.Node) bool {
	for _, t := range append(api.Get("EndpointConfiguration", "Types").Texts(), api.Get("EndpointConfiguration", "Type").Text(), api.Get("EndpointConfiguration").Text()) {
		if t == "PRIVATE" {
			return true
		}
	}
	return api.Has("Policy") || api.Has("Auth", "ResourcePolicy")
}

func refOf(n *node.Node) string {
	if n == nil {
		return ""
	}
	return n.Ref
}

// route exposes the function that an integration invokes, if it is one. The
// function's ARN stands within that of the invocation.
func (x *extraction) route(uri *node.Node, r *resource, how string) {
	if uri == nil {
		return
	}
	if x.FunctionOf(uri) != nil {
		x.Expose(uri, r.id, r.kind, r.Where, how)
		return
	}
	text := uri.Value().Value
	if _, rest, ok := strings.Cut(text, ":function:${"); ok {
		if id, _, ok := strings.Cut(rest, "}"); ok && x.byID[id] != nil {
			x.Expose(node.String(uri.Where, "").Referring(id), r.id, r.kind, r.Where, how)
			return
		}
	}
	if strings.Contains(text, ":lambda:path/") {
		x.Expose(uri, r.id, r.kind, r.Where, how)
	}
}
