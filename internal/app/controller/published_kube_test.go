package controller

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apexlogic/apex/internal/app"
	"github.com/apexlogic/apex/internal/gitops/artifact"
	"github.com/apexlogic/apex/internal/gitops/source"
	"github.com/apexlogic/apex/internal/kube"
)

func TestWherePublishingStandsIsSaidAndReadyIsLeftAlone(t *testing.T) {
	s := newRunningScene(t)
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		name string
		in   source.Publication
		want string
	}{
		{"a push that failed", source.Publication{Problem: "the registry is away"}, "False NotPublished the registry is away"},
		{"a push that failed after one that did not", source.Publication{Problem: "away", Last: &artifact.Published{Commit: "c"}}, "False NotPublished away"},
		{"nothing to push yet", source.Publication{}, "Unknown NothingApplied nothing is applied whole that could be published"},
		{"what is pushed", source.Publication{Last: &artifact.Published{Commit: "0123456789abcdef", Repository: "r.example/vision", Digest: digest}}, "True Published commit 0123456789ab is r.example/vision@" + digest},
	} {
		if c := conditionOfPublication(&test.in); fmt.Sprint(c.status, " ", c.reason, " ", c.message) != test.want {
			t.Errorf("%s: %+v", test.name, c)
		}
	}

	// The registry takes nothing into the repository until it is opened.
	var closed atomic.Bool
	closed.Store(true)
	s.refuses.Store(func(r *http.Request) error {
		if closed.Load() && strings.Contains(r.URL.Path, "/published/") && r.Method != http.MethodGet && r.Method != http.MethodHead {
			return errors.New("nothing is taken now")
		}
		return nil
	})
	s.source("pub", "  publish: {repository: "+s.registry.Host+"/published/pub}", map[string]string{"a.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {key: one}}\n"})
	says := func(typ string, want string) func() (bool, string) {
		return func() (bool, string) {
			c := s.conditionNamed("pub", typ)
			return strings.HasPrefix(c, want), c + "; " + s.condition("pub")
		}
	}
	s.await("it says that it is not published", says(publishedCondition, "False NotPublished"))
	s.await("it is applied all the same", says("Ready", "True Applied"))
	closed.Store(false)
	s.await("it says that it is published", says(publishedCondition, "True Published"))
	if c := s.conditionNamed("pub", "Ready"); !strings.HasPrefix(c, "True Applied") {
		t.Errorf("Ready is %s", c)
	}
	if _, err := s.client.Patch(t.Context(), kube.ID{Kind: app.OurKind("GitSource"), Name: "pub"}, "a-person", []byte(`[{"op":"remove","path":"/spec/publish"}]`)); err != nil {
		t.Fatal(err)
	}
	s.await("a source that does not publish says nothing about it", says(publishedCondition, "  "))
}
