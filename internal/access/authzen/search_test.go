package authzen

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/access"
)

func TestSearches(t *testing.T) {
	p := newPoint(t)
	tests := []struct {
		name, path, schema, body string
		want                     []string
	}{
		{"persons who may", searchSubjectPath, "entities", question(`{"type": "Person"}`, inferJSON, captionerJSON), []string{alice}},
		{"workloads who may", searchSubjectPath, "entities", question(`{"type": "Workload"}`, inferJSON, captionerJSON), []string{intake}},
		{"the id of a subject is ignored", searchSubjectPath, "entities", question(`{"type": "Workload", "id": "x"}`, inferJSON, captionerJSON), []string{intake}},
		{"properties for all subjects", searchSubjectPath, "entities", question(`{"type": "Workload", "properties": {"team": "voice"}}`, `{"name": "speak"}`, captionerJSON), []string{keeper, intake}},
		{"nobody of an unknown type", searchSubjectPath, "entities", question(`{"type": "spaceship"}`, inferJSON, captionerJSON), nil},
		{"nobody for an unknown type of resource", searchSubjectPath, "entities", question(`{"type": "Person"}`, inferJSON, `{"type": "book", "id": "1"}`), nil},
		{"with a context", searchSubjectPath, "entities", strings.TrimSuffix(question(`{"type": "Person"}`, inferJSON, captionerJSON), "}") + `, "context": {"bytes": 5000}}`, nil},
		{"models that one may use", searchResourcePath, "entities", question(`{"type": "Person", "id": "`+alice+`"}`, inferJSON, `{"type": "Model"}`), []string{"captioner@vision", "shared@vision"}},
		{"models by what is known of them", searchResourcePath, "entities", question(intakeJSON, `{"name": "embed"}`, `{"type": "Model", "id": "ignored"}`), []string{"shared@vision"}},
		{"models of a route", searchResourcePath, "entities", question(`{"type": "Person", "id": "`+alice+`"}`, inferJSON, `{"type": "Model", "properties": {"route": "closed"}}`), nil},
		{"nothing of an unknown type", searchResourcePath, "entities", question(intakeJSON, inferJSON, `{"type": "book"}`), nil},
		{"what one may do", searchActionPath, "actions", `{"subject": {"type": "Person", "id": "` + alice + `"}, "resource": ` + captionerJSON + `}`, []string{"infer", "list"}},
		{"what one that is not known may do", searchActionPath, "actions", `{"subject": {"type": "Person", "id": "x#y"}, "resource": ` + captionerJSON + `}`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := p.found(t, test.path, test.schema, test.body); !slices.Equal(got, test.want) {
				t.Errorf("%v", got)
			}
		})
	}
	for name, c := range map[string][2]string{
		"no action":               {searchSubjectPath, `{"subject": {"type": "Person"}, "resource": ` + captionerJSON + `}`},
		"no type":                 {searchSubjectPath, question(`{}`, inferJSON, captionerJSON)},
		"no id of the resource":   {searchSubjectPath, question(`{"type": "Person"}`, inferJSON, `{"type": "Model"}`)},
		"no subject":              {searchResourcePath, `{"action": ` + inferJSON + `, "resource": {"type": "Model"}}`},
		"no id of the subject":    {searchResourcePath, question(`{"type": "Person"}`, inferJSON, `{"type": "Model"}`)},
		"no resource":             {searchActionPath, `{"subject": ` + intakeJSON + `}`},
		"a page that is a number": {searchActionPath, `{"subject": ` + intakeJSON + `, "resource": ` + captionerJSON + `, "page": 1}`},
		"a limit below none":      {searchActionPath, `{"subject": ` + intakeJSON + `, "resource": ` + captionerJSON + `, "page": {"limit": -1}}`},
		"a foreign token":         {searchActionPath, `{"subject": ` + intakeJSON + `, "resource": ` + captionerJSON + `, "page": {"token": "x"}}`},
		"a token that is none":    {searchActionPath, `{"subject": ` + intakeJSON + `, "resource": ` + captionerJSON + `, "page": {"token": 1}}`},
	} {
		if status, answer, _ := p.ask(t, c[0], "entities", c[1]); status != 400 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
}

func TestADirectoryTellsApartWhatOnlyItsTypeTellsApart(t *testing.T) {
	workload, person := access.Entity{Type: access.Workload, ID: "x"}, access.Entity{Type: access.Person, ID: "x"}
	model, topic := access.Entity{Type: access.Model, ID: "x"}, access.Entity{Type: access.Topic, ID: "x"}
	d := NewDirectory(
		[]Subject{{Entity: workload, Groups: []string{"workloads"}}, {Entity: person, Groups: []string{"people"}}},
		[]Resource{{Entity: topic, Route: "events"}, {Entity: model, Route: "b"}, {Entity: model, Route: "a"}},
	)
	for e, group := range map[access.Entity]string{workload: "workloads", person: "people"} {
		if s, ok := d.subject(e); !ok || s.Entity != e || s.Groups[0] != group {
			t.Errorf("%v is %+v, %t", e, s, ok)
		}
	}
	for e, routes := range map[access.Entity]string{model: "a b", topic: "events", {Type: access.Host, ID: "x"}: ""} {
		var got []string
		for _, r := range d.named(e) {
			got = append(got, r.Route)
		}
		if strings.Join(got, " ") != routes {
			t.Errorf("%v is behind %v, want %q", e, got, routes)
		}
	}
}

type results struct {
	Results []struct {
		Type, ID, Name string
		Properties     map[string]string
	}
	Page struct {
		NextToken string `json:"next_token"`
		Count     int
	}
}

// found are the names of a search's results.
func (p *point) found(t testing.TB, path, schema, body string) []string {
	t.Helper()
	names, _ := p.page(t, path, schema, body)
	return names
}

func (p *point) page(t testing.TB, path, schema, body string) (names []string, next string) {
	t.Helper()
	status, answer, _ := p.ask(t, path, schema, body)
	var r results
	if err := json.Unmarshal([]byte(answer), &r); err != nil || status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	for _, f := range r.Results {
		name := f.ID + f.Name
		if f.Properties["route"] != "" {
			name += "@" + f.Properties["route"]
		}
		names = append(names, name)
	}
	if r.Page.Count != len(names) {
		t.Errorf("count %d of %d", r.Page.Count, len(names))
	}
	return names, r.Page.NextToken
}

// Section 8.2: opaque tokens, and an empty one at the end.
func TestSearchesComeInPages(t *testing.T) {
	var everybody []Subject
	for i := range 2*maxCandidates + 50 {
		s := Subject{Entity: access.Entity{Type: "Person", ID: fmt.Sprintf("https://id.example#%06d", i)}}
		if i < 250 || i >= 2*maxCandidates {
			s.Groups = []string{"adjusters"}
		}
		everybody = append(everybody, s)
	}
	directory := NewDirectory(everybody, nil)
	p := newPoint(t, func(c *Config) { set := c.Rules().Set; c.Rules = func() Rules { return Rules{"g1", set, directory} } })
	body := func(page string) string {
		return strings.TrimSuffix(question(`{"type": "Person"}`, inferJSON, captionerJSON), "}") + `, "page": ` + page + `}`
	}
	var all []string
	var sizes []int
	token := ""
	for range 20 {
		names, next := p.page(t, searchSubjectPath, "entities", body(fmt.Sprintf(`{"token": %q}`, token)))
		all, sizes, token = append(all, names...), append(sizes, len(names)), next
		if next == "" {
			break
		}
	}
	if len(all) != 300 || !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != 300 || token != "" {
		t.Errorf("%d in pages of %v", len(all), sizes)
	}
	names, next := p.page(t, searchSubjectPath, "entities", body(`{"limit": 1}`))
	if len(names) != 1 || next == "" {
		t.Errorf("%v %q", names, next)
	}
	if names, _ := p.page(t, searchSubjectPath, "entities", body(`{"limit": 1000000}`)); len(names) != 250 {
		t.Errorf("a limit beyond ours: %d", len(names))
	}
	// Section 8.2: a limit is a number from 0, and belongs to the search as its entities do.
	if names, next := p.page(t, searchSubjectPath, "entities", body(`{"limit": 0}`)); len(names) != 0 || next == "" {
		t.Errorf("a limit of none: %v %q", names, next)
	}
	if names, _ := p.page(t, searchSubjectPath, "entities", body(fmt.Sprintf(`{"limit": 1, "token": %q}`, next))); len(names) != 1 {
		t.Errorf("the second page of one: %v", names)
	}
	if status, answer, _ := p.ask(t, searchSubjectPath, "entities", body(fmt.Sprintf(`{"limit": 2, "token": %q}`, next))); status != 400 || !strings.Contains(answer, "belongs to another request") {
		t.Errorf("another limit in the middle: %d %s", status, answer)
	}
	other := strings.Replace(body(fmt.Sprintf(`{"limit": 1, "token": %q}`, next)), "infer", "list", 1)
	if status, answer, _ := p.ask(t, searchSubjectPath, "entities", other); status != 400 || !strings.Contains(answer, "belongs to another request") {
		t.Errorf("the token of another request: %d %s", status, answer)
	}
}
