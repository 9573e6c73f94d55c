package gitops_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

func TestALambdaObjectIsReadAsItWasWritten(t *testing.T) {
	none := 0
	f := gitops.LambdaFunction{Image: "r/app@sha256:" + strings.Repeat("a", 64), Role: "runs", Environment: map[string]string{"A": "1"},
		TimeoutSeconds: 30, ReservedConcurrency: &none, VPC: &gitops.LambdaVPC{Subnets: []string{"s"}, SecurityGroups: []string{"g"}}}
	r := gitops.LambdaRole{Trust: json.RawMessage(`{"Version":"2012-10-17"}`), Managed: []string{"arn:aws:iam::aws:policy/X"}}
	fo, err := f.Object("captioner", verdict.Origin{File: "t.yaml", Line: 3})
	if err != nil {
		t.Fatal(err)
	}
	ro, err := r.Object("runs", verdict.Origin{File: "t.yaml", Line: 9})
	if err != nil {
		t.Fatal(err)
	}
	set, err := gitops.NewSet([]gitops.Object{fo, ro})
	if err != nil {
		t.Fatal(err)
	}
	if set, err = gitops.ReadSet(set.Bytes()); err != nil {
		t.Fatal(err)
	}
	gotF, err := gitops.LambdaFunctionOf(&set.Objects()[0])
	if err != nil || !reflect.DeepEqual(gotF, f) {
		t.Errorf("got %+v, %v", gotF, err)
	}
	gotR, err := gitops.LambdaRoleOf(&set.Objects()[1])
	if err != nil || !reflect.DeepEqual(gotR, r) {
		t.Errorf("got %+v, %v", gotR, err)
	}
	if _, err := gitops.LambdaRoleOf(&fo); err == nil {
		t.Error("a Function is read as a Role")
	}
	fo.Body["spec"].(map[string]any)["publicly"] = true
	if _, err := gitops.LambdaFunctionOf(&fo); err == nil || !strings.Contains(err.Error(), "publicly") {
		t.Errorf("a field that nothing holds to is accepted: %v", err)
	}
}
