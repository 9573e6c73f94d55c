package terraform

import (
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

// function adds the functions.
func (x *extraction) function(o *object) {
	at := o.resource.Where
	switch o.kind {
	case "aws_lambda_function":
		f := stack.Function{Where: at, ID: o.id, Name: o.label("function_name"), Kind: o.kind,
			KMSKey:      o.get("kms_key_arn").Value(),
			Environment: node.Variables(o.first("environment").Get("variables")),
			Timeout:     time.Duration(o.get("timeout").Int()) * time.Second,
			Memory:      o.get("memory_size").Int(),
			Egress:      stack.EgressAnywhere,
		}
		if v := o.get("environment_variables"); o.module && v != nil {
			f.Environment = node.Variables(v)
		}
		x.runsAs(&f, o.get("role"))
		if o.get("image_uri") != nil {
			f.Image = o.get("image_uri").Value()
		}
		f.Code = refs(o, "filename", "s3_bucket", "layers")
		if n := o.get("reserved_concurrent_executions"); n.IsScalar() && n.Known() {
			f.Concurrency = n.Int()
		}
		if o.first("vpc_config") != nil {
			f.Egress = stack.EgressRestricted
		}
		f.Labels = texts(o.get("tags"))
		x.Function(f)
	case "aws_ecs_task_definition":
		x.task(o)
	case "aws_sagemaker_model":
		f := stack.Function{Where: at, ID: o.id, Name: o.label("name"), Kind: o.kind, Egress: stack.EgressAnywhere}
		x.runsAs(&f, o.get("execution_role_arn"))
		for _, c := range append(o.get("primary_container").All(), o.get("container").All()...) {
			if c.Has("image") {
				f.Image = c.Get("image").Value()
			}
			if c.Has("model_data_url") {
				f.Models = append(f.Models, stack.Ref{Where: c.Get("model_data_url").Where, Text: c.Get("model_data_url").Value()})
			}
			f.Environment = append(f.Environment, node.Variables(c.Get("environment"))...)
		}
		if o.first("vpc_config") != nil {
			f.Egress = stack.EgressRestricted
		}
		x.Function(f)
	case "google_cloudfunctions_function", "google_cloudfunctions2_function", "google_cloud_run_service", "google_cloud_run_v2_service":
		x.google(o)
	case "azurerm_function_app", "azurerm_linux_function_app", "azurerm_windows_function_app", "azurerm_function_app_flex_consumption":
		f := stack.Function{Where: at, ID: o.id, Name: o.label("name"), Kind: o.kind, Environment: node.Variables(o.get("app_settings"))}
		if o.get("public_network_access_enabled").Text() == "false" {
			f.Egress = stack.EgressRestricted
		}
		x.Function(f)
	}
}

// runsAs sets the role of a function.
func (x *extraction) runsAs(f *stack.Function, role *node.Node) {
	if role.IsNull() {
		return
	}
	f.RoleText = role.Value()
	f.Role = x.Find("role", role)
}

// task is a task definition of ECS: what runs on Fargate is a function without
// a server as well.
func (x *extraction) task(o *object) {
	f := stack.Function{Where: o.resource.Where, ID: o.id, Name: o.label("family"), Kind: o.kind}
	x.runsAs(&f, o.get("task_role_arn"))
	defs := o.get("container_definitions")
	if defs.IsScalar() {
		if doc, err := node.ParseText(defs); err == nil {
			defs = doc
		} else {
			x.Gap(o.where("container_definitions"), "the container definitions cannot be read: "+err.Error())
		}
	}
	for _, c := range defs.All() {
		if c.Has("image") && f.Image.Value == "" {
			f.Image = c.Get("image").Value()
		}
		for _, v := range c.Get("environment").All() {
			f.Environment = append(f.Environment, stack.Variable{Where: v.Where, Name: v.Get("name").Value().Value, Value: v.Get("value").Value()})
		}
		for _, v := range c.Get("secrets").All() {
			f.Environment = append(f.Environment, stack.Variable{Where: v.Where, Name: v.Get("name").Value().Value, From: v.Get("valueFrom").Value().Value})
		}
	}
	x.Function(f)
}

// google is a Cloud Function or Cloud Run service.
func (x *extraction) google(o *object) {
	f := stack.Function{Where: o.resource.Where, ID: o.id, Name: o.label("name"), Kind: o.kind, Environment: node.Variables(o.get("environment_variables"))}
	if v := o.get("service_account_email"); v != nil {
		f.RoleText = v.Value()
	}
	if s := o.first("service_config"); s != nil {
		f.Environment = append(f.Environment, node.Variables(s.Get("environment_variables"))...)
	}
	for _, t := range o.get("template").All() {
		specs := append(t.Get("spec").All(), t)
		for _, spec := range specs {
			for _, c := range spec.Get("containers").All() {
				if c.Has("image") {
					f.Image = c.Get("image").Value()
				}
				for _, v := range c.Get("env").All() {
					if v.Has("value") {
						f.Environment = append(f.Environment, stack.Variable{Where: v.Where, Name: v.Get("name").Value().Value, Value: v.Get("value").Value()})
					}
				}
			}
		}
	}
	x.Function(f)
}

func refs(o *object, names ...string) []stack.Ref {
	var out []stack.Ref
	for _, name := range names {
		v := o.get(name)
		if v.IsNull() {
			continue
		}
		if name == "s3_bucket" {
			key := o.get("s3_key").Value()
			text := v.Value()
			out = append(out, stack.Ref{Where: o.where(name), Text: stack.Text{Value: "s3://" + text.Value + "/" + key.Value, Known: text.Known && key.Known}})
			continue
		}
		for _, item := range v.All() {
			at := o.where(name)
			if v.IsList() {
				at = item.Where
			}
			out = append(out, stack.Ref{Where: at, Text: item.Value()})
		}
	}
	return out
}

func texts(n *node.Node) map[string]string {
	if !n.IsMap() || len(n.Fields) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, f := range n.Fields {
		if f.Value.IsScalar() && f.Value.Known() {
			out[f.Key] = f.Value.Str
		}
	}
	return out
}

// entrance finds the ways into functions that ask nobody who they are.
func (x *extraction) entrance(o *object) {
	at := o.resource.Where
	switch o.kind {
	case "aws_lambda_function_url":
		if strings.EqualFold(o.get("authorization_type").Text(), "NONE") {
			x.Expose(o.get("function_name"), o.id, o.kind, at, "function URL without authorization")
		}
	case "aws_lambda_permission":
		if anyone(o.get("principal")) && o.get("source_arn") == nil && o.get("source_account") == nil && o.get("principal_org_id") == nil &&
			!strings.EqualFold(o.get("function_url_auth_type").Text(), "AWS_IAM") {
			x.Expose(o.get("function_name"), o.id, o.kind, at, "permission to invoke for everyone")
		}
	case "aws_api_gateway_method":
		x.method(o)
	case "aws_apigatewayv2_route":
		kind := o.get("authorization_type")
		if !kind.IsNull() && !strings.EqualFold(kind.Text(), "NONE") || o.get("api_key_required").Text() == "true" {
			return
		}
		target := o.get("target")
		for _, i := range x.linked("aws_apigatewayv2_integration", "api_id")[refOf(o.get("api_id"))] {
			if target != nil && (target.Ref == i.id || strings.Contains(target.Str, i.id+".")) {
				x.route(i.get("integration_uri"), o, "HTTP API route without authorizer")
			}
		}
	case "aws_apigatewayv2_api":
		if target := o.get("target"); target != nil {
			x.route(target, o, "HTTP API without authorizer")
		}
	case "google_cloudfunctions_function_iam_member", "google_cloudfunctions2_function_iam_member", "google_cloud_run_service_iam_member", "google_cloud_run_v2_service_iam_member",
		"google_cloudfunctions_function_iam_binding", "google_cloudfunctions2_function_iam_binding", "google_cloud_run_service_iam_binding", "google_cloud_run_v2_service_iam_binding":
		members := append(o.get("member").All(), o.get("members").All()...)
		for _, m := range members {
			if t := m.Text(); t == "allUsers" || t == "allAuthenticatedUsers" {
				target := o.get("cloud_function")
				for _, name := range []string{"service", "name"} {
					if target == nil {
						target = o.get(name)
					}
				}
				x.Expose(target, o.id, o.kind, at, "invoker role for "+t)
			}
		}
	}
}

// anyone says whether a principal is everybody.
func anyone(n *node.Node) bool { return n.Text() == "*" }

// method is a method of a REST API: what its integration invokes is open when
// neither the method nor the API asks who calls.
func (x *extraction) method(o *object) {
	if auth := o.get("authorization"); !strings.EqualFold(auth.Text(), "NONE") || o.get("api_key_required").Text() == "true" ||
		strings.EqualFold(o.get("http_method").Text(), "OPTIONS") {
		return
	}
	if api := x.unit.objects[refOf(o.get("rest_api_id"))]; api != nil {
		if api.get("policy") != nil {
			return // judged as the policy that it is
		}
		for _, t := range api.first("endpoint_configuration").Get("types").Texts() {
			if t == "PRIVATE" {
				return
			}
		}
	}
	method := o.get("http_method").Value().Value
	for _, i := range x.linked("aws_api_gateway_integration", "rest_api_id")[refOf(o.get("rest_api_id"))] {
		same := i.get("http_method") != nil && (refOf(i.get("http_method")) == o.id || i.get("http_method").Value().Value == method)
		if same && (refOf(i.get("resource_id")) == refOf(o.get("resource_id")) || refOf(i.get("resource_id")) == o.id) {
			x.route(i.get("uri"), o, "API method without authorizer")
		}
	}
	open := true
	x.Resource(stack.Resource{Where: o.resource.Where, ID: o.id, Type: "AWS::ApiGateway::Method", Public: &open}, nil, stack.Where{})
}

func refOf(n *node.Node) string {
	if n == nil {
		return ""
	}
	return n.Ref
}

// route exposes the function that a route's integration invokes, if it is one.
func (x *extraction) route(uri *node.Node, o *object, how string) {
	if x.FunctionOf(uri) != nil || uri != nil && strings.Contains(uri.Str, ":lambda:path/") {
		x.Expose(uri, o.id, o.kind, o.resource.Where, how)
	}
}

// linked are the objects of a kind by what one of their arguments refers to.
func (x *extraction) linked(kind, argument string) map[string][]*object {
	if m, ok := x.links[kind]; ok {
		return m
	}
	m := map[string][]*object{}
	for _, o := range x.unit.order {
		if o.kind == kind && !o.data {
			ref := refOf(o.get(argument))
			m[ref] = append(m[ref], o)
		}
	}
	x.links[kind] = m
	return m
}
