package report

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/apexlogic/apex/verdict"
)

func TestAReportObjectSaysFirstWhatFailsAndCountsAll(t *testing.T) {
	var r verdict.Report
	for i := range 40 {
		v := verdict.Verdict{Question: verdict.Question{Asked: fmt.Sprint("app:", i)}, Decision: verdict.Allow, Code: verdict.OK}
		if i%10 == 9 {
			v.Decision, v.Code = verdict.Deny, verdict.Revoked
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	for _, version := range ClusterVersions() {
		body, err := ClusterObject(&r, version, "apex", "vision", 5)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		var o clusterReport
		if err := json.Unmarshal(data, &o); err != nil {
			t.Fatal(err)
		}
		if o.APIVersion != version || o.Kind != ClusterKind(version, "vision") || o.Metadata.Namespace != "vision" {
			t.Errorf("it is a %s %s of %q", o.APIVersion, o.Kind, o.Metadata.Namespace)
		}
		if o.Summary.Fail != 4 || o.Summary.Pass != 36 {
			t.Errorf("%s counts %+v", version, o.Summary)
		}
		var results []string
		for _, res := range o.Results {
			results = append(results, res.Result)
		}
		if fmt.Sprint(results) != "[fail fail fail fail pass]" {
			t.Errorf("%s: %v", version, results)
		}
	}
	if ClusterKind(openReportsVersion, "") != "ClusterReport" || ClusterKind(policyReportVersion, "") != "ClusterPolicyReport" {
		t.Error("what has no namespace has no report of its own")
	}
}
