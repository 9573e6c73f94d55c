package waf

import (
	_ "embed"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/clock"
)

//go:embed testdata/chats.txt
var chatsText string

//go:embed testdata/attacks.txt
var attacksText string

// asked are ways to ask about something.
var asked = []string{
	"%s",
	"Please explain this, step by step:\n\n%s",
	"What is wrong here, if anything? I don't see it.\n```\n%s\n```",
	"Translate the comments & strings to German; keep everything else as it is:\n%s\nThanks!",
	"Rewrite it so that it's shorter (at most half), then list what you've changed:\n\n%s",
}

// chats generates ordinary chats: everything in the corpus, asked in every way.
func chats() (texts []string) {
	for piece := range strings.SplitSeq(chatsText, "\n%%\n") {
		for strings.HasPrefix(piece, "# Ordinary") || strings.HasPrefix(piece, "# of %%") {
			_, piece, _ = strings.Cut(piece, "\n")
		}
		for _, how := range asked {
			texts = append(texts, fmt.Sprintf(how, strings.TrimSpace(piece)))
		}
	}
	return texts
}

func TestOrdinaryChatsPass(t *testing.T) {
	w := newWAF(t, Strict(clock.System{}))
	texts := chats()
	if len(texts) < 300 {
		t.Fatalf("the corpus has only %d chats", len(texts))
	}
	models := []string{"captioner-small", "llama-3.1-8b-instruct", "gpt-4o-mini", "org/model:v2"}
	agents := []string{"openai-python/1.40.0", "curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "okhttp/4.12.0"}
	blocked, scored, incomplete := 0, 0, 0
	for i, text := range texts {
		r := chat()
		r.Fields[0].Value = models[i%len(models)]
		r.Headers[1].Value = agents[i%len(agents)]
		if i%3 == 0 {
			r.Fields = append(r.Fields, Field{"messages.1.role", "assistant"}, Field{"stream_options.include_usage", ""}, Field{"user", fmt.Sprintf("u-%d", i)})
		}
		if got := w.Check(r); got.Block {
			blocked++
			t.Logf("chat %d is blocked by %v", i, got.Rules)
		}
		s := w.Score([]byte(text))
		if s.Score >= 5 {
			scored++
		}
		if !s.Complete {
			incomplete++
		}
	}
	t.Logf("%d of %d chats are blocked; the text of %d would have been, as structure", blocked, len(texts), scored)
	if blocked*100 > len(texts) {
		t.Errorf("%d of %d chats are blocked; at most 1 %% may be", blocked, len(texts))
	}
	if scored < len(texts)/10 {
		t.Errorf("the text of only %d chats scores: the corpus holds nothing that rules look for", scored)
	}
	if incomplete > 0 {
		t.Errorf("%d texts were not looked at in full", incomplete)
	}
}

// places are where structure can be attacked.
var places = map[string]func(r *Request, attack string){
	"a query argument": func(r *Request, a string) { r.URI += "?filter=" + url.QueryEscape(a) },
	"a header":         func(r *Request, a string) { r.Headers = append(r.Headers, Field{"Referer", a}) },
	"a cookie": func(r *Request, a string) {
		r.Headers = append(r.Headers, Field{"Cookie", "s=" + strings.ReplaceAll(a, ";", "%3B")})
	},
	"a key":           func(r *Request, a string) { r.Fields = append(r.Fields, Field{"metadata." + a, ""}) },
	"a control field": func(r *Request, a string) { r.Fields[0].Value = a },
	"a tool's argument": func(r *Request, a string) {
		r.Fields = append(r.Fields, Field{"messages.1.tool_calls.0.function.arguments.q", a})
	},
	"the name of a file": func(r *Request, a string) {
		r.Files = []Field{{"file", a}}
	},
	"a field of a form": func(r *Request, a string) {
		r.Headers[3].Value = "application/x-www-form-urlencoded"
		r.Fields = []Field{{"q", a}}
	},
	"a path's last piece": func(r *Request, a string) { r.URI = "/v1/files/" + url.PathEscape(a) },
}

// partly are places that the set looks at with some of its rules only, and that
// do not count. (So it does with headers, but those count.)
var partly = map[string]bool{"a path's last piece": true}

func TestAttacksOnStructureAreBlocked(t *testing.T) {
	w := newWAF(t, Strict(clock.System{}))
	all, blocked := 0, 0
	for place, put := range places {
		n, hits := 0, 0
		var missed []string
		for attack := range strings.Lines(attacksText) {
			attack = strings.TrimSuffix(attack, "\n")
			if strings.HasPrefix(attack, "# ") {
				continue
			}
			r := chat()
			put(r, attack)
			n++
			if got := w.Check(r); got.Block {
				hits++
			} else {
				missed = append(missed, attack)
			}
		}
		t.Logf("%s: %d of %d blocked; missed %q", place, hits, n, missed)
		if !partly[place] {
			all, blocked = all+n, blocked+hits
		}
		r := chat()
		put(r, "holiday-photo_2026.png")
		if got := w.Check(r); got.Block {
			t.Errorf("%s: an ordinary value is blocked by %v", place, got.Rules)
		}
	}
	t.Logf("%d of %d attacks are blocked", blocked, all)
	if all < 100 || blocked*100 < all*90 {
		t.Errorf("%d of %d attacks are blocked; at least 90 %% must be", blocked, all)
	}
}
