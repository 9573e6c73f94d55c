package iam

import (
	"strings"
	"testing"
)

func TestTheCatalogueUnpacksAndKnowsWhatActionsTake(t *testing.T) {
	c := AWS()
	n := 0
	for _, s := range c.Services() {
		l := c.services[s].load()
		if l.err != nil {
			t.Fatal(l.err)
		}
		n += len(l.actions)
	}
	if n < 20000 || len(c.Services()) < 400 || c.Version() == "" {
		t.Errorf("%d actions of %d services, version %q", n, len(c.Services()), c.Version())
	}
	for _, tc := range []struct {
		action    string
		level     Level
		resources string // types, "!" behind those that are required
	}{
		{"s3:GetObject", Read, "accesspointobject object"},
		{"S3:getobject", Read, "accesspointobject object"},
		{"s3:ListAllMyBuckets", List, ""},
		{"logs:DescribeLogGroups", List, ""},
		{"iam:PassRole", Write, "role!"},
		{"iam:AttachUserPolicy", Write | Permissions, "user!"},
		{"sqs:TagQueue", Write | Tagging, "queue!"},
	} {
		a, ok := c.Lookup(tc.action)
		var types []string
		for _, r := range a.Resources {
			name := r.Type
			if r.Required {
				name += "!"
			}
			types = append(types, name)
		}
		if !ok || a.Level != tc.level || strings.Join(types, " ") != tc.resources {
			t.Errorf("%s: %v %b %q", tc.action, ok, a.Level, strings.Join(types, " "))
		}
	}
	for _, none := range []string{"", "s3", "s3:", "s3:NoSuchAction", "nosuch:GetObject", ":"} {
		if a, ok := c.Lookup(none); ok {
			t.Errorf("%q is %v", none, a)
		}
	}
}

func TestAnActionWhoseResourceNobodyCanNameTakesNone(t *testing.T) {
	for action, takes := range map[string]bool{
		"comprehend:StartPiiEntitiesDetectionJob": false, // its job gets an id from the service
		"logs:DescribeLogGroups":                  false,
		"s3:ListAllMyBuckets":                     false,
		"comprehend:StopPiiEntitiesDetectionJob":  true, // the id is known by then
		"glue:StartJobRun":                        true,
		"s3:PutObject":                            true,
	} {
		if a, ok := AWS().Lookup(action); !ok || a.TakesResource() != takes {
			t.Errorf("%s: %v %v", action, ok, a.TakesResource())
		}
	}
}
