package waf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/gateway"
	"github.com/apexlogic/apex/internal/gateway/waf"
)

// pasted is what people and programs paste into a conversation.
var pasted = []string{
	"Traceback (most recent call last):\n  File \"/srv/app/main.py\", line 42, in <module>\n    result = eval(expr)\nValueError: could not convert string to float: 'abc'",
	"panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\nmain.main()\n\t/home/user/x/main.go:12 +0x1d",
	"java.lang.NullPointerException: Cannot invoke \"String.length()\" because \"s\" is null\n\tat com.example.App.main(App.java:7)",
	"2026-11-23T10:00:01Z ERROR nginx: 10.0.0.4 - - \"GET /index.php?id=1' OR '1'='1 HTTP/1.1\" 403 153 \"-\" \"sqlmap/1.7\"",
	"SELECT c.name, COUNT(*) FROM claims c LEFT JOIN photos p ON p.claim_id = c.id WHERE c.state <> 'closed' GROUP BY c.name HAVING COUNT(*) > 3 ORDER BY 2 DESC LIMIT 10;",
	"#!/bin/bash\nset -euo pipefail\nfor f in $(find . -name '*.log' -mtime +7); do gzip \"$f\" && rm -f \"$f.tmp\"; done",
	"<script>document.getElementById('out').innerHTML = `<b>${name}</b>`;</script>\n<img src=\"x.png\" onerror=\"this.src='fallback.png'\">",
	"```yaml\napiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - command: [\"/bin/sh\", \"-c\", \"sleep 3600\"]\n```",
	"| a | b |\n|---|---|\n| `${HOME}` | `$(pwd)` |\n\n> quoted *text* with [a link](https://example.com/?q=1&r=../x)",
	"import os, subprocess\nsubprocess.run(['ls', '-la', os.environ['HOME']], check=True)\nprint(open('/etc/hostname').read())",
	"docker run --rm -v $PWD:/w -w /w golang:1.26 sh -c 'go build ./... && go test ./...'",
	"Content-Security-Policy: default-src 'self'; script-src 'nonce-abc'\r\nSet-Cookie: sid=1; HttpOnly",
	"const {exec} = require('child_process'); exec('git status', (e, out) => console.log(out));",
	"$ curl -sS https://api.example.com/v1/users?limit=10 | jq '.[] | {id, email}' > users.json",
	"msg = f\"{user['name']}'s order #{order_id}; total: ${total:.2f}\"  # TODO: i18n & rounding (see ../docs/i18n.md)",
	"UPDATE users SET password = crypt('x', gen_salt('bf')) WHERE id = 1; -- run as admin\nDROP TABLE IF EXISTS tmp_import;",
	"at Object.<anonymous> (/home/me/node_modules/express/lib/router/index.js:284:15)\n{ code: 'ENOENT', syscall: 'open', path: '/etc/passwd' }",
	"<?php\nforeach ($_POST as $k => $v) { echo htmlspecialchars(\"$k=$v\"); }\nphpinfo();",
}

// wished is what is asked about it, in several languages.
var wished = []string{
	"What does this mean?\n\n%s", "Warum schlägt das fehl, und wie behebe ich es?\n%s", "Explique-moi ceci, s'il te plaît :\n%s",
	"¿Qué hace este código? Respóndeme en español.\n%s", "これを説明してください。\n%s", "Summarise in one line; don't run it:\n%s",
	"Переведи комментарии и ничего больше не меняй:\n%s", "请逐行解释，并指出问题：\n%s", "Traduza para inglês (só os comentários):\n%s",
	"이 로그에서 원인을 찾아줘.\n%s", "اشرح هذا النص باختصار:\n%s", "Rewrite it as a table with the columns *line*, *meaning* & *risk*:\n\n%s",
}

// conversations are ordinary requests of agents, by where what is pasted stands.
func conversations() map[string][]map[string]any {
	all := map[string][]map[string]any{}
	add := func(where string, messages []any, more map[string]any) {
		request := map[string]any{"model": "captioner", "messages": messages}
		for k, v := range more {
			request[k] = v
		}
		all[where] = append(all[where], request)
	}
	say := func(role, text string) map[string]any { return map[string]any{"role": role, "content": text} }
	for i, p := range pasted {
		for j, w := range wished {
			add("what people wrote", []any{say("system", "You are a careful engineer; answer in **Markdown**."), say("user", fmt.Sprintf(w, p))},
				map[string]any{"temperature": 0.1 * float64(j), "user": fmt.Sprintf("u-%d", i)})
		}
		add("instructions", []any{say("system", "Never output code such as:\n"+p), say("user", "Hello!")}, map[string]any{"stream": true})
		add("the result of a tool", []any{
			say("user", "Look it up."),
			map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{map[string]any{"id": "call_1", "type": "function", "function": map[string]any{"name": "read_file", "arguments": `{"path":"notes.txt"}`}}}},
			map[string]any{"role": "tool", "tool_call_id": "call_1", "content": p},
		}, nil)
		add("the answer so far", []any{say("user", "Go on."), say("assistant", p), say("user", "Shorter, please.")}, nil)
		for _, name := range []string{"text", "code", "content"} {
			arguments, _ := json.Marshal(map[string]any{name: p}) // strings can be written
			add("an argument of a tool", []any{
				say("user", "Do it."),
				map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{map[string]any{"id": "call_1", "type": "function", "function": map[string]any{"name": "run", "arguments": string(arguments)}}}},
				map[string]any{"role": "tool", "tool_call_id": "call_1", "content": "done"},
			}, nil)
		}
		for _, name := range []string{"query_database", "run_shell", "render_page"} {
			add("the schema of a tool", []any{say("user", "Which tables are there?")}, map[string]any{
				"tools": []any{map[string]any{"type": "function", "function": map[string]any{
					"name": name, "description": "Runs it, for example:\n" + p,
					"parameters": map[string]any{"type": "object", "required": []string{"input"}, "properties": map[string]any{
						"input": map[string]any{"type": "string", "description": "what to run; one statement"}, "limit": map[string]any{"type": "integer"}}}}}},
				"tool_choice": "auto", "response_format": map[string]any{"type": "json_object"},
			})
		}
		add("a schema of the answer", []any{say("user", "List the parts.")}, map[string]any{"response_format": map[string]any{"type": "json_schema", "json_schema": map[string]any{
			"name": fmt.Sprintf("parts_%d", i), "strict": true, "schema": map[string]any{"type": "object", "additionalProperties": false,
				"properties": map[string]any{"parts": map[string]any{"type": "array", "items": map[string]any{"type": "string", "enum": []string{"front-left", "rear right", "n/a"}}}}}}}})
	}
	return all
}

// Ordinary requests of agents, through the gateway as it is by default. What
// stands in arguments of tools steers programs, and is held against the rules:
// there an agent that runs statements needs an exclusion, or a route of its own.
func TestOrdinaryRequestsOfAgentsPassTheGateway(t *testing.T) {
	w, err := waf.New(waf.Strict(clock.System{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	address, seen := serve(t, w, func(r *gateway.Route) { r.API, r.Messages = gateway.OpenAI, nil })
	total, blocked, arguments := 0, 0, 0
	for where, requests := range conversations() {
		n := 0
		for _, request := range requests {
			data, err := json.Marshal(request)
			if err != nil {
				t.Fatal(err)
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/v1/chat/completions", bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "localhost"
			r.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			decided, _ := seen.take()
			for _, d := range decided {
				if !d.Allowed {
					n++
					if where != "an argument of a tool" {
						t.Logf("%s: %s %v: %.120q", where, d.Code, d.WAF, data)
					}
				}
			}
		}
		t.Logf("%s: %d of %d blocked", where, n, len(requests))
		if strings.HasPrefix(where, "an argument") {
			arguments = n
			continue
		}
		total, blocked = total+len(requests), blocked+n
	}
	t.Logf("%d of %d blocked, and %d of what stands in arguments of tools", blocked, total, arguments)
	if total < 300 || blocked*100 > total {
		t.Errorf("%d of %d are blocked; at most 1 %% may be", blocked, total)
	}
}
