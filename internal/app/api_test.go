package app

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/ledger"
	"github.com/apexlogic/apex/verdict"
)

// question is the body of POST /v1/verify about an image of the example.
func (r *running) question(image string) string {
	return `{"questions":[{"asked":"` + r.registry + "/" + image + `","labels":{"app":"multimodal-inference"}}]}`
}

func TestTheAPI(t *testing.T) {
	r := start(t, filepath.Join(t.TempDir(), "ws"), nil)
	id := r.first.Report.Verdicts[0].ID
	if _, err := ledger.ParseID(id); err != nil {
		t.Fatal(err)
	}
	missing := "01890000-0000-7000-8000-000000000000"
	for _, c := range []struct {
		name, method, path, body string
		token                    string
		status                   int
		says                     string
	}{
		{"anybody may ask whether it lives", "GET", "/livez", "", "", 200, "ok"},
		{"metrics ask for the token", "GET", "/metrics", "", "", 401, "token"},
		{"metrics refuse another token", "GET", "/metrics", "", strings.Repeat("0", 64), 401, "token"},
		{"metrics with the token", "GET", "/metrics", "", r.token, 200, `apex_component_healthy{component="registry"} 1`},
		{"metrics count work", "GET", "/metrics", "", r.token, 200, `apex_units_total{control="verify.image"`},
		{"health asks for the token", "GET", "/healthz", "", "", 401, "token"},
		{"health names all parts", "GET", "/healthz", "", r.token, 200, `{"name":"meter","ok":true}`},
		{"verify asks for the token", "POST", "/v1/verify", r.question("vision/captioner:1.0"), "", 401, "token"},
		{"verify denies", "POST", "/v1/verify", r.question("vision/captioner-unsigned:1.0"), r.token, 200, `"code":"image.signature.missing"`},
		{"verify allows", "POST", "/v1/verify", r.question("vision/captioner:1.0"), r.token, 200, `"decision":"allow"`},
		{"verify denies what no policy selects", "POST", "/v1/verify", `{"questions":[{"asked":"` + r.registry + `/vision/captioner:1.0"}]}`, r.token, 200, `"decision":"deny"`},
		{"verify wants a question", "POST", "/v1/verify", `{"questions":[]}`, r.token, 400, "questions has 0 entries"},
		{"verify bounds the questions", "POST", "/v1/verify", `{"questions":[{}` + strings.Repeat(",{}", maxQuestions) + `]}`, r.token, 400, "1001 entries"},
		{"verify refuses two keys of the same name", "POST", "/v1/verify", `{"questions":[{}],"questions":[]}`, r.token, 400, "duplicate key"},
		{"verify refuses what is not JSON", "POST", "/v1/verify", `{`, r.token, 400, "error"},
		{"verify bounds the body", "POST", "/v1/verify", strings.Repeat(" ", maxRequest+1), r.token, 413, "error"},
		{"verify is not for GET", "GET", "/v1/verify", "", r.token, 405, ""},
		{"a record asks for the token", "GET", "/v1/ledger/records/" + id, "", "", 401, "token"},
		{"a record", "GET", "/v1/ledger/records/" + id, "", r.token, 200, `"type":"apex.verdict/v1"`},
		{"a record that is not there", "GET", "/v1/ledger/records/" + missing, "", r.token, 404, "no such record"},
		{"an id that is none", "GET", "/v1/ledger/records/seven", "", r.token, 400, "error"},
		{"a proof asks for the token", "POST", "/v1/ledger/prove", `{"id":"` + id + `"}`, "", 401, "token"},
		{"a proof", "POST", "/v1/ledger/prove", `{"id":"` + id + `"}`, r.token, 200, `"schema":"apex.proof/v1"`},
		{"a proof of what is not there", "POST", "/v1/ledger/prove", `{"id":"` + missing + `"}`, r.token, 404, "no such record"},
		{"a proof of no id", "POST", "/v1/ledger/prove", `{}`, r.token, 400, "error"},
		{"a proof with two ids", "POST", "/v1/ledger/prove", `{"id":"` + id + `","id":"` + missing + `"}`, r.token, 400, "duplicate key"},
		{"a proof bounds the body", "POST", "/v1/ledger/prove", strings.Repeat(" ", maxProveRequest+1), r.token, 413, "error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := r.ask(c.method, c.path, c.token, c.body)
			if status != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%d %.600s, want %d with %s", status, body, c.status, c.says)
			}
			if strings.Contains(body, r.token) {
				t.Error("the answer holds the token")
			}
		})
	}
}

func TestARunningUpProvesItsRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	r := start(t, dir, nil)
	in, err := SelectLedgers(r.state, "")
	if err != nil {
		t.Fatal(err)
	}
	id, err := ledger.ParseID(r.first.Report.Verdicts[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	l, record, err := FindRecord(t.Context(), in, id)
	if err != nil || l.Role != roleUp || record.ID != id.String() {
		t.Fatalf("found %+v in %+v, %v", record, l, err)
	}
	key, err := l.VerifierKey()
	if err != nil {
		t.Fatal(err)
	}
	unexpected := func(error) { t.Error("it waits for the ledger instead of asking the process that holds it") }
	for _, d := range []ledger.Disclosure{ledger.Withhold, ledger.Disclose} {
		proof, err := ProveRecord(t.Context(), r.state, l, id, d, unexpected)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ledger.VerifyProof(proof, key)
		if err != nil {
			t.Fatal(err)
		}
		if p.ID != id || p.Withheld != (d == ledger.Withhold) {
			t.Errorf("proved %s, withheld %v", p.ID, p.Withheld)
		}
		if d == ledger.Disclose && !json.Valid(p.Data) {
			t.Error("the proof does not show the verdict")
		}
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	// Without the process it is opened here.
	if _, err := ProveRecord(t.Context(), r.state, l, id, ledger.Withhold, unexpected); err != nil {
		t.Error(err)
	}
}

func TestLastVerdictPrefersWhatIsNamedExactly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ws")
	r := start(t, dir, nil)
	byName := map[string]*verdict.Verdict{}
	for i := range r.first.Report.Verdicts {
		v := &r.first.Report.Verdicts[i]
		byName[strings.TrimSuffix(filepath.Base(v.Where.File), ".yaml")] = v
	}
	good := byName["captioner"]
	for _, c := range []struct{ name, subject, want string }{
		{"the id of a record", byName["captioner-stale"].ID, "captioner-stale"},
		{"an image with its tag", r.registry + "/vision/captioner:1.0", "captioner"},
		{"an image without its tag is not another that begins so", r.registry + "/vision/captioner", "captioner"},
		{"a repository without its registry", "vision/captioner", "captioner"},
		{"the copy in another repository", "mirror/captioner", "captioner-copied"},
		{"a digest in its repository", good.Ref.String(), "captioner"},
		{"a workload by its name", "vision/captioner-copied", "captioner-copied"},
		{"a part of a name", "unsig", "captioner-unsigned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := LastVerdict(t.Context(), r.state, c.subject)
			if err != nil {
				t.Fatal(err)
			}
			if want := byName[c.want]; v.Where.File != want.Where.File {
				t.Errorf("%q is about %s, want %s", c.subject, v.Where.File, want.Where.File)
			}
		})
	}
	for _, subject := range []string{"nobody/asked", "", "01890000-0000-7000-8000-000000000000"} {
		if v, err := LastVerdict(t.Context(), r.state, subject); !errors.Is(err, ErrNoVerdict) {
			t.Errorf("%q: %v, %v", subject, v, err)
		}
	}
	// What Git applies meanwhile is pinned to its digest.
	subjects := slices.DeleteFunc(RecentSubjects(t.Context(), r.state, 100), func(s string) bool { return strings.Contains(s, "@sha256:") })
	if !slices.Contains(subjects, r.registry+"/vision/captioner-unsigned:1.0\tdeny image.signature.missing") || len(subjects) != len(byName) {
		t.Errorf("subjects to complete: %q", subjects)
	}
}
