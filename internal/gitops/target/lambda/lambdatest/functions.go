package lambdatest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// function is one function with what stands beside its configuration.
type function struct {
	config    object
	code      object
	tags      map[string]string
	reserved  any
	policy    map[string][]object // by qualifier, "" for none
	urls      map[string]object
	aliases   map[string]object
	versions  []object // their configurations
	invoke    map[string]object
	pending   int // reads until the update is done
	unseen    int // reads that still see before
	before    object
	published int
}

type operation struct {
	name string
	do   func(*call) (any, *refuse)
}

var operations = map[string]operation{
	"POST /2015-03-31/functions":                                {"CreateFunction", createFunction},
	"GET /2015-03-31/functions":                                 {"ListFunctions", listFunctions},
	"GET /2015-03-31/functions/{name}":                          {"GetFunction", on(getFunction)},
	"DELETE /2015-03-31/functions/{name}":                       {"DeleteFunction", on(deleteFunction)},
	"GET /2015-03-31/functions/{name}/configuration":            {"GetFunctionConfiguration", on(getConfiguration)},
	"PUT /2015-03-31/functions/{name}/configuration":            {"UpdateFunctionConfiguration", on(updateConfiguration)},
	"PUT /2015-03-31/functions/{name}/code":                     {"UpdateFunctionCode", on(updateCode)},
	"GET /2015-03-31/functions/{name}/policy":                   {"GetPolicy", on(getPolicy)},
	"POST /2015-03-31/functions/{name}/policy":                  {"AddPermission", on(addPermission)},
	"DELETE /2015-03-31/functions/{name}/policy/{id}":           {"RemovePermission", on(removePermission)},
	"GET /2021-10-31/functions/{name}/url":                      {"GetFunctionUrlConfig", on(getURL)},
	"POST /2021-10-31/functions/{name}/url":                     {"CreateFunctionUrlConfig", on(putURL)},
	"PUT /2021-10-31/functions/{name}/url":                      {"UpdateFunctionUrlConfig", on(putURL)},
	"DELETE /2021-10-31/functions/{name}/url":                   {"DeleteFunctionUrlConfig", on(deleteURL)},
	"GET /2015-03-31/functions/{name}/aliases":                  {"ListAliases", on(listAliases)},
	"POST /2015-03-31/functions/{name}/aliases":                 {"CreateAlias", on(createAlias)},
	"PUT /2015-03-31/functions/{name}/aliases/{id}":             {"UpdateAlias", on(updateAlias)},
	"DELETE /2015-03-31/functions/{name}/aliases/{id}":          {"DeleteAlias", on(deleteAlias)},
	"GET /2015-03-31/functions/{name}/versions":                 {"ListVersionsByFunction", on(listVersions)},
	"POST /2015-03-31/functions/{name}/versions":                {"PublishVersion", on(publishVersion)},
	"GET /2019-09-25/functions/{name}/event-invoke-config/list": {"ListFunctionEventInvokeConfigs", on(listInvoke)},
	"PUT /2019-09-25/functions/{name}/event-invoke-config":      {"PutFunctionEventInvokeConfig", on(putInvoke)},
	"DELETE /2019-09-25/functions/{name}/event-invoke-config":   {"DeleteFunctionEventInvokeConfig", on(deleteInvoke)},
	"PUT /2017-10-31/functions/{name}/concurrency":              {"PutFunctionConcurrency", on(putConcurrency)},
	"DELETE /2017-10-31/functions/{name}/concurrency":           {"DeleteFunctionConcurrency", on(deleteConcurrency)},
	"POST /2017-03-31/tags/{name}":                              {"TagResource", on(tag)},
	"DELETE /2017-03-31/tags/{name}":                            {"UntagResource", on(untag)},
}

// on finds the function first.
func on(do func(*call, *function) (any, *refuse)) func(*call) (any, *refuse) {
	return func(c *call) (any, *refuse) {
		f := c.functions[c.name]
		if f == nil {
			return nil, notFound("the function")
		}
		return do(c, f)
	}
}

func functionARN(name string) string {
	return "arn:aws:lambda:" + Region + ":" + Account + ":function:" + name
}

func text(v any) string { s, _ := v.(string); return s }

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

// snapshot is what GetFunction answers.
func (f *function) snapshot() object {
	out := object{"Configuration": f.configuration(), "Code": f.code, "Tags": maps.Clone(f.tags)}
	if f.reserved != nil {
		out["Concurrency"] = object{"ReservedConcurrentExecutions": f.reserved}
	}
	return out
}

// touch is called before each write.
func (c *call) touch(f *function) {
	if c.lag > 0 && f.unseen == 0 {
		data, _ := json.Marshal(f.snapshot())
		f.before = nil
		_ = json.Unmarshal(data, &f.before)
	}
	f.unseen = c.lag
	f.config["RevisionId"] = c.next()
	f.config["LastModified"] = time.Now().UTC().Format(time.RFC3339Nano)
}

func (f *function) configuration() object {
	out := maps.Clone(f.config)
	out["State"], out["LastUpdateStatus"] = "Active", "Successful"
	if f.pending > 0 {
		out["LastUpdateStatus"] = "InProgress"
	}
	return out
}

// setCode reads where the code comes from.
func (f *function) setCode(from object) *refuse {
	switch {
	case text(from["ImageUri"]) != "":
		uri := text(from["ImageUri"])
		name, digest, ok := strings.Cut(uri, "@")
		if !ok {
			h := sha256.Sum256([]byte(uri))
			digest = "sha256:" + hex.EncodeToString(h[:])
		}
		if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
			name = name[:i]
		}
		f.code = object{"RepositoryType": "ECR", "ImageUri": uri, "ResolvedImageUri": name + "@" + digest}
		f.config["CodeSha256"] = strings.TrimPrefix(digest, "sha256:")
	case text(from["S3Bucket"]) != "":
		f.code = object{"RepositoryType": "S3", "Location": "https://example.invalid/signed"}
		held := content(text(from["S3Bucket"]), text(from["S3Key"]), text(from["S3ObjectVersion"]))
		f.config["CodeSha256"], f.config["CodeSize"] = sum(held), len(held)
	case text(from["ZipFile"]) != "":
		f.code = object{"RepositoryType": "S3", "Location": "https://example.invalid/signed"}
		zip, err := base64.StdEncoding.DecodeString(text(from["ZipFile"]))
		if err != nil {
			return invalid("Could not unzip uploaded file.")
		}
		f.config["CodeSha256"], f.config["CodeSize"] = sum(string(zip)), len(zip)
	default:
		return invalid("there is no code")
	}
	return nil
}

func createFunction(c *call) (any, *refuse) {
	name := text(c.body["FunctionName"])
	if c.functions[name] != nil {
		return nil, &refuse{http.StatusConflict, "ResourceConflictException", "Function already exist: " + name}
	}
	if !c.assumable(text(c.body["Role"])) {
		return nil, invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	f := &function{config: object{"FunctionName": name, "FunctionArn": functionARN(name), "Version": "$LATEST", "PackageType": "Zip", "Timeout": 3, "MemorySize": 128,
		"EphemeralStorage": object{"Size": 512}, "TracingConfig": object{"Mode": "PassThrough"}, "Architectures": []any{"x86_64"}, "SnapStart": object{"ApplyOn": "None", "OptimizationStatus": "Off"},
		"LoggingConfig": object{"LogFormat": "Text", "LogGroup": "/aws/lambda/" + name}},
		tags: map[string]string{}, policy: map[string][]object{}, urls: map[string]object{}, aliases: map[string]object{}, invoke: map[string]object{}}
	code, _ := c.body["Code"].(object)
	if err := f.setCode(code); err != nil {
		return nil, err
	}
	tags, _ := c.body["Tags"].(object)
	for k, v := range tags {
		f.tags[k] = text(v)
	}
	f.write(c.body)
	f.config["PackageType"] = c.body["PackageType"]
	f.config["RevisionId"] = c.next()
	f.pending, f.unseen = c.busy, c.lag // before is nil: it is not there yet
	c.functions[name] = f
	return f.configuration(), nil
}

// write copies what a configuration has.
func (f *function) write(from object) {
	for k, v := range from {
		switch k {
		case "Runtime", "Handler", "Description", "Timeout", "MemorySize", "Role", "KMSKeyArn", "EphemeralStorage", "TracingConfig", "Architectures", "DeadLetterConfig",
			"FileSystemConfigs", "VpcConfig", "LoggingConfig", "SnapStart":
			f.config[k] = v
		case "Environment":
			f.config[k] = object{"Variables": v.(object)["Variables"]}
		case "ImageConfig":
			f.config["ImageConfigResponse"] = object{"ImageConfig": v}
		case "Layers":
			var layers []any
			list, _ := v.([]any)
			for _, arn := range list {
				layers = append(layers, object{"Arn": arn, "CodeSize": 1})
			}
			f.config[k] = layers
		}
	}
}

func listFunctions(c *call) (any, *refuse) {
	names, next := page(slices.Collect(maps.Keys(c.functions)), c.query("Marker"), 50)
	list := []object{}
	for _, name := range names {
		list = append(list, c.functions[name].configuration())
	}
	return object{"Functions": list, "NextMarker": next}, nil
}

func getFunction(_ *call, f *function) (any, *refuse) {
	if f.unseen > 0 {
		f.unseen--
		if f.before == nil {
			return nil, notFound("the function")
		}
		return f.before, nil
	}
	return f.snapshot(), nil
}

func deleteFunction(c *call, f *function) (any, *refuse) {
	if q := c.query("Qualifier"); q != "" {
		for _, a := range f.aliases {
			if a["FunctionVersion"] == q {
				return nil, &refuse{http.StatusConflict, "ResourceConflictException", "an alias points to the version; it already exist"}
			}
		}
		f.versions = slices.DeleteFunc(f.versions, func(v object) bool { return v["Version"] == q })
		delete(f.policy, q)
		return nil, nil
	}
	delete(c.functions, c.name)
	return nil, nil
}

func getConfiguration(_ *call, f *function) (any, *refuse) {
	out := f.configuration()
	f.pending = max(f.pending-1, 0)
	return out, nil
}

// update refuses a write that comes too early, or on another revision.
func (c *call) update(f *function, revision string) *refuse {
	if f.pending > 0 {
		f.pending--
		return &refuse{http.StatusConflict, "ResourceConflictException", "The operation cannot be performed at this time. An update is in progress for resource"}
	}
	if revision != "" && revision != f.config["RevisionId"] {
		return &refuse{http.StatusPreconditionFailed, "PreconditionFailedException", "The Revision Id provided does not match"}
	}
	c.touch(f)
	f.pending = c.busy
	return nil
}

func updateConfiguration(c *call, f *function) (any, *refuse) {
	if arn := text(c.body["Role"]); arn != "" && !c.assumable(arn) {
		return nil, invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	if err := c.update(f, text(c.body["RevisionId"])); err != nil {
		return nil, err
	}
	f.write(c.body)
	return f.configuration(), nil
}

func updateCode(c *call, f *function) (any, *refuse) {
	if (text(c.body["ImageUri"]) != "") != (f.config["PackageType"] == "Image") {
		return nil, invalid("the package type cannot be changed")
	}
	if err := c.update(f, text(c.body["RevisionId"])); err != nil {
		return nil, err
	}
	if v := c.body["Architectures"]; v != nil {
		f.config["Architectures"] = v
	}
	if err := f.setCode(c.body); err != nil {
		return nil, err
	}
	return f.configuration(), nil
}

func getPolicy(c *call, f *function) (any, *refuse) {
	all := f.policy[c.query("Qualifier")]
	if len(all) == 0 {
		return nil, notFound("the policy")
	}
	data, _ := json.Marshal(object{"Version": "2012-10-17", "Id": "default", "Statement": all})
	return object{"Policy": string(data), "RevisionId": f.config["RevisionId"]}, nil
}

func addPermission(c *call, f *function) (any, *refuse) {
	q, sid := c.query("Qualifier"), text(c.body["StatementId"])
	for _, s := range f.policy[q] {
		if s["Sid"] == sid {
			return nil, &refuse{http.StatusConflict, "ResourceConflictException", "The statement id provided already exists"}
		}
	}
	var principal any = text(c.body["Principal"])
	switch p := text(c.body["Principal"]); {
	case strings.HasSuffix(p, ".amazonaws.com"):
		principal = object{"Service": p}
	case strings.HasPrefix(p, "arn:"):
		principal = object{"AWS": p}
	case p != "*":
		principal = object{"AWS": "arn:aws:iam::" + p + ":root"}
	}
	arn := functionARN(c.name)
	if q != "" {
		arn += ":" + q
	}
	s := object{"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": c.body["Action"], "Resource": arn}
	condition := object{}
	put := func(operator, key string, v any) {
		if text(v) != "" {
			keys, _ := condition[operator].(object)
			if keys == nil {
				keys = object{}
				condition[operator] = keys
			}
			keys[key] = v
		}
	}
	put("ArnLike", "AWS:SourceArn", c.body["SourceArn"])
	put("StringEquals", "AWS:SourceAccount", c.body["SourceAccount"])
	put("StringEquals", "lambda:FunctionUrlAuthType", c.body["FunctionUrlAuthType"])
	if c.body["InvokedViaFunctionUrl"] == true && !c.oldURLs {
		put("Bool", "lambda:InvokedViaFunctionUrl", "true")
	}
	put("StringEquals", "aws:PrincipalOrgID", c.body["PrincipalOrgID"])
	if len(condition) > 0 {
		s["Condition"] = condition
	}
	f.policy[q] = append(f.policy[q], s)
	data, _ := json.Marshal(s)
	return object{"Statement": string(data)}, nil
}

func removePermission(c *call, f *function) (any, *refuse) {
	q, id := c.query("Qualifier"), c.r.PathValue("id")
	n := len(f.policy[q])
	f.policy[q] = slices.DeleteFunc(f.policy[q], func(s object) bool { return s["Sid"] == id })
	if len(f.policy[q]) == n {
		return nil, notFound("the statement")
	}
	return nil, nil
}

func putConcurrency(c *call, f *function) (any, *refuse) {
	c.touch(f)
	f.reserved = c.body["ReservedConcurrentExecutions"]
	return object{"ReservedConcurrentExecutions": f.reserved}, nil
}

func deleteConcurrency(c *call, f *function) (any, *refuse) {
	c.touch(f)
	f.reserved = nil
	return nil, nil
}

func tag(c *call, f *function) (any, *refuse) {
	tags, _ := c.body["Tags"].(object)
	for k, v := range tags {
		f.tags[k] = text(v)
	}
	return nil, nil
}

func untag(c *call, f *function) (any, *refuse) {
	for _, k := range c.r.URL.Query()["tagKeys"] {
		delete(f.tags, k)
	}
	return nil, nil
}
