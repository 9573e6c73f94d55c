package release

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/internal/gitops/apply"
	"github.com/apexlogic/apex/internal/gitops/target/dir/state"
	"github.com/apexlogic/apex/internal/gitops/target/embedded"
	"github.com/apexlogic/apex/verdict"
)

// sign and verify sign a record with how long it is.
func sign(_ context.Context, m []byte) ([]byte, error) { return fmt.Appendf(nil, "%d", len(m)), nil }

func verify(_ context.Context, m, s []byte) error {
	if !bytes.Equal(s, fmt.Appendf(nil, "%d", len(m))) {
		return errors.New("no")
	}
	return nil
}

func openRelease(t testing.TB, store gitops.Store, target gitops.Target) (*Release, error) {
	t.Helper()
	return New(t.Context(), Config{Source: "captioner", Target: target, Store: store, Sign: sign, Verify: verify,
		Applied: func(context.Context) (apply.Revision, bool, error) { return apply.Revision{}, false, nil }})
}

func TestARecordThatApexDidNotWriteIsRefused(t *testing.T) {
	good := &record{Schema: recordSchema, Name: "captioner"}
	good.write(time.Unix(1, 0), Entry{What: Entered})
	good.write(time.Unix(2, 0), Entry{What: Promoted})
	for _, tc := range []struct {
		name string
		harm func(s *record, data []byte) []byte
	}{
		{"", nil},
		{"with a byte changed", func(_ *record, data []byte) []byte { return append([]byte(" "), data...) }},
		{"without a signature", func(_ *record, data []byte) []byte { return data[:bytes.IndexByte(data, '\n')] }},
		{"of another source", func(s *record, data []byte) []byte { s.Name = "billing"; return nil }},
		{"of another schema", func(s *record, data []byte) []byte { s.Schema = "v2"; return nil }},
		{"whose journal was shortened", func(s *record, data []byte) []byte { s.Journal = s.Journal[1:]; return nil }},
		{"whose journal was rewritten", func(s *record, data []byte) []byte { s.Journal[0].Note = "x"; return nil }},
		{"whose canary is at no step", func(s *record, data []byte) []byte {
			s.Canary = &Canary{Phase: Observing, Steps: []int32{100}, Step: 1}
			return nil
		}},
		{"whose canary is in no phase", func(s *record, data []byte) []byte {
			s.Canary = &Canary{Phase: "dancing", Steps: []int32{100}}
			return nil
		}},
	} {
		t.Run("a record "+tc.name, func(t *testing.T) {
			store, err := state.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			target, err := embedded.Open(embedded.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer target.Close()
			s := *good
			s.Journal = append([]Entry(nil), good.Journal...)
			encode := func() []byte {
				records := gitops.Records{Purpose: recordPurpose, Most: maxRecord, Sign: sign}
				data, err := records.Encode(t.Context(), &s)
				if err != nil {
					t.Fatal(err)
				}
				return data
			}
			data := encode()
			if tc.harm != nil {
				if data = tc.harm(&s, data); data == nil {
					data = encode()
				}
			}
			if _, err := store.Save(t.Context(), recordName("captioner"), data, ""); err != nil {
				t.Fatal(err)
			}
			_, err = openRelease(t, store, target)
			if tc.harm == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if r, is := errors.AsType[*Refusal](err); !is || r.Code != verdict.ReleaseState {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheOrderOfStagesIsFound(t *testing.T) {
	stage := func(name, after string) v1alpha1.GitStage { return v1alpha1.GitStage{Name: name, After: after} }
	for _, tc := range []struct {
		name   string
		stages []v1alpha1.GitStage
		want   string // "": refused
	}{
		{"in order", []v1alpha1.GitStage{stage("dev", ""), stage("staging", "dev"), stage("prod", "staging")}, "dev staging prod "},
		{"written backwards", []v1alpha1.GitStage{stage("prod", "staging"), stage("staging", "dev"), stage("dev", "")}, "dev staging prod "},
		{"two after one", []v1alpha1.GitStage{stage("dev", ""), stage("eu", "dev"), stage("us", "dev")}, "dev eu us "},
		{"a circle", []v1alpha1.GitStage{stage("dev", ""), stage("eu", "us"), stage("us", "eu")}, ""},
		{"after nothing that is there", []v1alpha1.GitStage{stage("dev", ""), stage("eu", "qa")}, ""},
		{"two first ones", []v1alpha1.GitStage{stage("dev", ""), stage("eu", "")}, ""},
		{"one name twice", []v1alpha1.GitStage{stage("dev", ""), stage("eu", "dev"), stage("eu", "dev")}, ""},
		{"a name that cannot be", []v1alpha1.GitStage{stage("Dev", "")}, ""},
		{"a gate of the first", []v1alpha1.GitStage{{Name: "dev", Gate: &v1alpha1.GitGate{}}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := &v1alpha1.GitSourceSpec{Path: "base", Stages: tc.stages}
			got := ""
			stages, err := Stages("captioner", spec)
			for _, s := range stages {
				got += s.Name + " "
				if s.Path != "base" || s.Target != &spec.Target {
					t.Errorf("%s has the path %q and its own target", s.Name, s.Path)
				}
			}
			if got != tc.want || (err != nil) != (tc.want == "") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func FuzzReadPromotion(f *testing.F) {
	p := Promotion{Source: "captioner", Stage: "prod", From: "staging", Set: verdict.Digest("sha256:" + string(bytes.Repeat([]byte("a"), 64))),
		Commit: "c", Reason: "r", Approver: "ada", At: time.Unix(1, 0).UTC(), Expires: time.Unix(2, 0).UTC()}
	data, err := json.Marshal(&p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(bytes.Replace(data, []byte("1970"), []byte("9999"), 1))
	f.Add([]byte(`{"unknown":1}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := readPromotion(data)
		if err != nil {
			return
		}
		if p.Expires.Sub(p.At) > maxLife || p.Source == "" || len(p.Reason) > maxReason {
			t.Errorf("%+v counts", p)
		}
	})
}
