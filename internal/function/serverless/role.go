package serverless

import (
	"strings"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// roleOf is the role that a function runs as: its own, one of the plugin for
// roles per function, the provider's, or the shared one that is made.
func (s *service) roleOf(entry node.Field, at stack.Where) (role *node.Node, shared bool) {
	f := entry.Value
	if own := f.Get("role"); !own.IsNull() {
		return reference(own), false
	}
	statements := f.Get("iamRoleStatements")
	if statements == nil {
		statements = f.Get("iam", "role", "statements")
	}
	if !statements.IsNull() {
		id := logical(entry.Key) + sharedRole
		items := statements.All()
		inherit, set := f.Get("iamRoleStatementsInherit").True()
		if !set {
			inherit, _ = s.doc.Get("custom", "serverless-iam-roles-per-function", "defaultInherit").True()
		}
		if inherit {
			items = append(items[:len(items):len(items)], s.statements().All()...)
		}
		s.role(at, id, f.Get("iamRoleStatementsName"), node.List(statements.Where, items), f)
		return getAtt(at, id), false
	}
	if provided := s.provider.Get("role"); !provided.IsNull() {
		return reference(provided), false
	}
	if provided := s.provider.Get("iam", "role"); provided.IsScalar() || provided.IsUnknown() || isIntrinsic(provided) {
		return reference(provided), false
	}
	return getAtt(at, sharedRole), true
}

func isIntrinsic(n *node.Node) bool {
	return n.IsMap() && len(n.Fields) == 1 && (n.Fields[0].Key == "Ref" || strings.HasPrefix(n.Fields[0].Key, "Fn::")) || n != nil && n.Tag != ""
}

// reference is a role as the framework takes it: an ARN, a function of
// CloudFormation, or the logical id of a resource.
func reference(n *node.Node) *node.Node {
	if n.IsScalar() && n.Known() && n.Tag == "" && !strings.Contains(n.Str, ":") {
		return getAtt(n.Where, n.Str)
	}
	return n
}

func getAtt(at stack.Where, id string) *node.Node {
	return node.Map(at, []node.Field{{Key: "Fn::GetAtt", Line: at.Line, Value: node.List(at, []*node.Node{node.String(at, id), node.String(at, "Arn")})}})
}

// statements are those of the provider, in both of the ways to write them.
func (s *service) statements() *node.Node {
	if v := s.provider.Get("iam", "role", "statements"); v != nil {
		return v
	}
	return s.provider.Get("iamRoleStatements")
}

// sharedRole writes the role that functions without one run as.
func (s *service) sharedRole() {
	iam := s.provider.Get("iam", "role")
	at := s.provider.Where
	switch {
	case iam.Has("statements"):
		at = iam.KeyAt("statements")
	case s.provider.Has("iamRoleStatements"):
		at = s.provider.KeyAt("iamRoleStatements")
	}
	s.role(at, sharedRole, iam.Get("name"), s.statements(), nil)
}

// role writes a role. f is the function that it is for, nil for the shared one.
func (s *service) role(at stack.Where, id string, name, statements, f *node.Node) {
	iam := s.provider.Get("iam", "role")
	text := func(t string) *node.Node { return node.String(at, t) }
	var props []node.Field
	put := func(key string, v *node.Node) {
		if !v.IsNull() {
			props = append(props, node.Field{Key: key, Line: v.Line, Value: v})
		}
	}
	put("RoleName", name)
	trust := node.Map(at, []node.Field{{Key: "Effect", Value: text("Allow")}, {Key: "Principal", Value: node.Map(at, []node.Field{{Key: "Service", Value: text("lambda.amazonaws.com")}})},
		{Key: "Action", Value: text("sts:AssumeRole")}})
	put("AssumeRolePolicyDocument", node.Map(at, []node.Field{{Key: "Version", Value: text("2012-10-17")}, {Key: "Statement", Value: node.List(at, []*node.Node{trust})}}))
	if !statements.IsNull() {
		doc := node.Map(at, []node.Field{{Key: "Version", Value: text("2012-10-17")}, {Key: "Statement", Line: statements.Line, Value: statements}})
		policy := node.Map(at, []node.Field{{Key: "PolicyName", Value: text("statements")}, {Key: "PolicyDocument", Line: at.Line, Value: doc}})
		put("Policies", node.List(at, []*node.Node{policy}))
	}
	var managed []*node.Node
	if f == nil {
		managed = append(managed, iam.Get("managedPolicies").All()...)
		managed = append(managed, s.provider.Get("iamManagedPolicies").All()...)
	}
	if vpc, _ := s.either(f, "vpc"); !vpc.IsNull() {
		managed = append(managed, text("arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"))
	}
	if len(managed) > 0 {
		put("ManagedPolicyArns", node.List(at, managed))
	}
	for _, boundary := range []*node.Node{f.Get("iamPermissionsBoundary"), iam.Get("permissionsBoundary"), iam.Get("permissionBoundary"), s.provider.Get("rolePermissionsBoundary")} {
		if !boundary.IsNull() {
			put("PermissionsBoundary", boundary)
			break
		}
	}
	s.resource(at, id, "AWS::IAM::Role", node.Map(at, props))
}

// events finds the ways into a function that ask nobody who they are.
func (s *service) events(entry node.Field) {
	f := entry.Value
	if !f.IsMap() {
		return
	}
	at := stack.Where{File: f.File, Line: entry.Line}
	self := node.String(at, "").Referring(logical(entry.Key) + "LambdaFunction")
	expose := func(where stack.Where, how string) {
		s.Expose(self, self.Ref, "AWS::Lambda::Function", where, how)
	}
	if url := f.Get("url"); !url.IsNull() {
		on, _ := url.True()
		if on || url.IsMap() && !strings.EqualFold(url.Get("authorizer").Text(), "aws_iam") && !url.Get("authorizer").IsUnknown() {
			expose(f.KeyAt("url"), "function URL without authorization")
		}
	}
	for _, event := range f.Get("events").All() {
		for _, e := range fields(event) {
			where := stack.Where{File: event.File, Line: e.Line}
			switch e.Key {
			case "http":
				if s.openHTTP(e.Value) {
					expose(where, "API event without authorizer")
				}
			case "httpApi":
				if e.Value.Get("authorizer").IsNull() {
					expose(where, "HTTP API event without authorizer")
				}
			case "websocket":
				route := e.Value.Get("route").Text()
				if e.Value.IsScalar() {
					route = e.Value.Text()
				}
				if route == "$connect" && e.Value.Get("authorizer").IsNull() {
					expose(where, "WebSocket route without authorizer")
				}
			case "alb":
				if e.Value.Get("authorizer").IsNull() {
					expose(where, "load balancer without authorizer")
				}
			}
		}
	}
}

// openHTTP says whether an event of a REST API asks nobody who they are.
func (s *service) openHTTP(e *node.Node) bool {
	if e.IsUnknown() {
		return false
	}
	if private, _ := e.Get("private").True(); private || !e.Get("authorizer").IsNull() {
		return false
	}
	method := e.Get("method").Text()
	if e.IsScalar() {
		method, _, _ = strings.Cut(e.Text(), " ")
	}
	if strings.EqualFold(method, "options") {
		return false
	}
	if strings.EqualFold(s.provider.Get("endpointType").Text(), "PRIVATE") {
		return false
	}
	return !s.provider.Has("apiGateway", "resourcePolicy") && !s.provider.Has("resourcePolicy")
}

// apiPolicy adds the policy of the REST API.
func (s *service) apiPolicy() {
	policy, at := s.provider.Get("apiGateway", "resourcePolicy"), s.provider.Get("apiGateway").KeyAt("resourcePolicy")
	if policy == nil {
		policy, at = s.provider.Get("resourcePolicy"), s.provider.KeyAt("resourcePolicy")
	}
	if policy.IsNull() {
		return
	}
	doc := node.Map(at, []node.Field{{Key: "Statement", Line: at.Line, Value: policy}})
	s.Resource(stack.Resource{Where: at, ID: "ApiGatewayRestApi", Type: "AWS::ApiGateway::RestApi"}, doc, at)
}
