package lambdatest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
)

func getURL(c *call, f *function) (any, *refuse) {
	u := f.urls[c.query("Qualifier")]
	if u == nil {
		return nil, notFound("the URL")
	}
	return u, nil
}

func putURL(c *call, f *function) (any, *refuse) {
	q := c.query("Qualifier")
	was := f.urls[q]
	if (was == nil) == (c.op == "UpdateFunctionUrlConfig") {
		if was == nil {
			return nil, notFound("the URL")
		}
		return nil, &refuse{http.StatusConflict, "ResourceConflictException", "the URL already exists"}
	}
	u := object{"FunctionUrl": "https://abc.lambda-url." + Region + ".on.aws/", "FunctionArn": functionARN(c.name), "InvokeMode": "BUFFERED",
		"CreationTime": "2026-11-23T00:00:00Z", "LastModifiedTime": "2026-11-23T00:00:00Z"}
	maps.Copy(u, was)
	maps.Copy(u, c.body)
	// What an update leaves out of the settings stays: the strictest reading.
	if old, ok := was["Cors"].(object); ok {
		cors := maps.Clone(old)
		given, _ := c.body["Cors"].(object)
		maps.Copy(cors, given)
		u["Cors"] = cors
	}
	f.urls[q] = u
	return u, nil
}

func deleteURL(c *call, f *function) (any, *refuse) {
	if f.urls[c.query("Qualifier")] == nil {
		return nil, notFound("the URL")
	}
	delete(f.urls, c.query("Qualifier"))
	return nil, nil
}

func listAliases(_ *call, f *function) (any, *refuse) {
	return object{"Aliases": slices.Collect(maps.Values(f.aliases))}, nil
}

func createAlias(c *call, f *function) (any, *refuse) {
	name := text(c.body["Name"])
	f.aliases[name] = object{"Name": name, "FunctionVersion": c.body["FunctionVersion"], "RoutingConfig": c.body["RoutingConfig"], "AliasArn": functionARN(c.name) + ":" + name}
	return f.aliases[name], nil
}

func updateAlias(c *call, f *function) (any, *refuse) {
	a := f.aliases[c.r.PathValue("id")]
	if a == nil {
		return nil, notFound("the alias")
	}
	maps.Copy(a, c.body)
	return a, nil
}

func deleteAlias(c *call, f *function) (any, *refuse) {
	name := c.r.PathValue("id")
	delete(f.aliases, name)
	delete(f.urls, name)
	delete(f.policy, name)
	return nil, nil
}

func listVersions(_ *call, f *function) (any, *refuse) {
	list := []object{f.configuration()}
	list = append(list, f.versions...)
	return object{"Versions": list}, nil
}

func publishVersion(c *call, f *function) (any, *refuse) {
	f.published++
	v := f.configuration()
	v["Version"], v["FunctionArn"] = strconv.Itoa(f.published), functionARN(c.name)+":"+strconv.Itoa(f.published)
	if text(c.body["Description"]) != "" {
		v["Description"] = c.body["Description"]
	}
	f.versions = append(f.versions, v)
	return v, nil
}

func listInvoke(_ *call, f *function) (any, *refuse) {
	return object{"FunctionEventInvokeConfigs": slices.Collect(maps.Values(f.invoke))}, nil
}

func putInvoke(c *call, f *function) (any, *refuse) {
	q := c.query("Qualifier")
	if q == "" {
		q = "$LATEST"
	}
	out := object{"FunctionArn": functionARN(c.name) + ":" + q, "LastModified": 1700000000}
	maps.Copy(out, c.body)
	f.invoke[q] = out
	return out, nil
}

func deleteInvoke(c *call, f *function) (any, *refuse) {
	q := c.query("Qualifier")
	if q == "" {
		q = "$LATEST"
	}
	if f.invoke[q] == nil {
		return nil, notFound("the configuration")
	}
	delete(f.invoke, q)
	return nil, nil
}
