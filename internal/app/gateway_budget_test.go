package app

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/verdict"
)

func TestEveryStageWithABudgetHasAFieldOfTheRoute(t *testing.T) {
	var fields []string
	all := &v1alpha1.RouteStages{}
	v := reflect.ValueOf(all).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		fields = append(fields, name)
		v.Field(i).Set(reflect.ValueOf(&metav1.Duration{Duration: time.Duration(i + 1)}))
	}
	if !slices.Equal(fields, gateway.Budgeted()) {
		t.Fatalf("fields %v, stages %v", fields, gateway.Budgeted())
	}
	compiled := budgets(all)
	for i, name := range fields {
		if compiled[name] != time.Duration(i+1) {
			t.Errorf("%s has %s", name, compiled[name])
		}
	}
}

func TestARouteBoundsTheTimeOfAStage(t *testing.T) {
	dir, bundles := t.TempDir(), t.TempDir()
	intake := caller(t, bundles, "/intake")
	usual := fmt.Sprintf(routeOf, inference(t).URL)
	put(t, dir, "route.yaml", usual)
	s := serveGateway(t, GatewayOptions{Config: dir, TrustDomain: "vision.example", Bundles: bundles})
	as, picture := s.as(t, intake), imageChat(t)
	if status, code, text := s.ask(t, as, "captioner.example", "/v1/chat/completions", picture, nil); status != 200 {
		t.Fatal(status, code, text)
	}
	// No machine asks a policy in less.
	put(t, dir, "route.yaml", strings.Replace(usual, "limits: {", "limits: {stages: {access: 0.000000001s, body: 20s}, ", 1))
	s.wait(t, func(h config.Health) bool { return h.OK() && h.Generation != s.now })
	status, code, text := s.ask(t, as, "captioner.example", "/v1/chat/completions", picture, nil)
	if status != 503 || code != verdict.GatewayOverdue {
		t.Fatal(status, code, text)
	}
	decisions, _ := s.records(t)
	if d := decisions[len(decisions)-1]; d.Allowed || d.Stage != "access" || d.Code != string(code) {
		t.Errorf("%+v", d)
	}
}
