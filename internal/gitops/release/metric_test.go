package release

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

const one = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b","A":"c"},"value":[1790000000.1,"0.25"]}]}}`

func TestAnAnswerCountsOnlyWhenItIsOneNumber(t *testing.T) {
	for _, tc := range []struct {
		name, answer string
		want         string // in the error; "": it counts
	}{
		{"a vector of one", one, ""},
		{"a scalar", `{"status":"success","data":{"resultType":"scalar","result":[1790000000,"0.25"]}}`, ""},
		{"an empty vector", `{"status":"success","data":{"resultType":"vector","result":[]}}`, "0 values"},
		{"a vector of two", strings.Replace(one, `[{`, `[{"metric":{},"value":[1,"0"]},{`, 1), "2 values"},
		{"a failure", `{"status":"error","errorType":"bad_data","error":"no","data":{}}`, "status"},
		{"not a number", strings.Replace(one, "0.25", "NaN", 1), "NaN"},
		{"infinity", strings.Replace(one, "0.25", "+Inf", 1), "Inf"},
		{"a matrix", strings.Replace(one, `"vector"`, `"matrix"`, 1), "matrix"},
		{"a status twice", strings.Replace(one, `{"status":"success"`, `{"status":"error","status":"success"`, 1), "status"},
		{"no JSON", `<html>`, "invalid"},
		{"nothing", ``, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := readAnswer([]byte(tc.answer))
			switch {
			case tc.answer == "":
				if err == nil {
					t.Errorf("it counts as %v", v)
				}
			case tc.want == "" && (err != nil || v != 0.25):
				t.Errorf("got %v, %v", v, err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, %v; want an error with %q", v, err, tc.want)
			}
		})
	}
}

func TestAMetricIsAskedOfItsServer(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, one) }))
	defer elsewhere.Close()
	asked := ""
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		max    string
		code   verdict.Code
	}{
		{"and is within its bound", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, one) }, "0.25", verdict.OK},
		{"and is out of its bound", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, one) }, "0.24", verdict.GateMetric},
		{"which fails", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, one, http.StatusServiceUnavailable) }, "1", verdict.GateUnknown},
		{"which sends us elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "1", verdict.GateUnknown},
		{"which answers without end", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, one, strings.Repeat(" ", maxAnswer))
		}, "1", verdict.GateUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r.URL.Path + " " + r.FormValue("query")
				tc.answer(w, r)
			}))
			defer server.Close()
			r := &Release{c: Config{Measure: prometheus(nil)}}
			code, why := r.judge(t.Context(), Sample{
				Metric: &v1alpha1.GitMetric{Server: server.URL + "/prom", Query: `rate{ns="${namespace}",rev="${revision}"}`, Max: tc.max},
				Object: gitops.ID{Namespace: "vision", Name: "captioner"}, Revision: "captioner-00002",
			})
			if code != tc.code {
				t.Errorf("got %s: %s, want %s", code, why, tc.code)
			}
			if want := `/prom/api/v1/query rate{ns="vision",rev="captioner-00002"}`; asked != want {
				t.Errorf("it was asked %q, want %q", asked, want)
			}
		})
	}
}

func TestACredentialInAServersAddressIsRefusedAndNotRepeated(t *testing.T) {
	for _, server := range []string{"http://ada:hunter2@prometheus.example", "http://ada:hunter2@[", "ftp://hunter2"} {
		_, err := readBounds(&v1alpha1.GitMetric{Server: server, Query: "q", Max: "1"})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", server, err)
		}
	}
	b, err := readBounds(&v1alpha1.GitMetric{Server: "http://prometheus.example", Query: "q", Min: "-1.5"})
	if err != nil || b.low != -1.5 || !math.IsInf(b.high, 1) {
		t.Errorf("got %v, %v", b, err)
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(one))
	f.Add([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1790000000,"0.25"]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[null]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"scalar","result":[[],"1e999"]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := readAnswer(data)
		if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Errorf("%q counts as %v", data, v)
		}
	})
}
