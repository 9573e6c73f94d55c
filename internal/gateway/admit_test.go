package gateway

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/internal/media/body"
	"github.com/apexlogic/apex/verdict"
)

const chat = "/v1/chat/completions"

func TestBytesAreBoundWhetherTheirLengthIsSaidOrNot(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
	}{
		{"announced", nil},
		{"not announced", func(r *http.Request) { r.ContentLength = -1 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(r *Route) { r.Limits = Limits{Bytes: int64(len(hello)) * 2} })
			for i := range 2 {
				if status, code, _ := w.ask(t, "POST", chat, hello, tc.change); status != 200 {
					t.Fatalf("request %d: %d %s", i, status, code)
				}
			}
			if status, code, _ := w.ask(t, "POST", chat, hello, tc.change); status != 429 || code != string(verdict.LimitBytes) {
				t.Fatalf("%d %s", status, code)
			}
			w.clock.Advance(time.Minute)
			if status, code, _ := w.ask(t, "POST", chat, hello, tc.change); status != 200 {
				t.Errorf("a minute later: %d %s", status, code)
			}
		})
	}
}

func TestTheCostOfAnHourIsBoundByTheModelsPrices(t *testing.T) {
	w := newWorld(t, func(r *Route) {
		r.Models = map[string]Model{"dear": {Price: &Price{Input: 1, Output: 1000}}, "cheap": {Price: &Price{Input: 1, Output: 1}}, "unknown": {}}
		r.Limits = Limits{Cost: 15_000, Answer: 10}
	})
	ask := func(model string) (int, string) {
		status, code, _ := w.ask(t, "POST", chat, fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Hello"}]}`, model), nil)
		return status, code
	}
	if status, code := ask("dear"); status != 200 { // ten tokens of an answer, at 1000
		t.Fatal(status, code)
	}
	if status, code := ask("dear"); status != 429 || code != string(verdict.LimitCost) {
		t.Errorf("the second is beyond 15,000: %d %s", status, code)
	}
	if status, code := ask("cheap"); status != 200 {
		t.Errorf("a cheaper model is within it: %d %s", status, code)
	}
	if status, code := ask("unknown"); status != 429 || code != string(verdict.LimitCost) {
		t.Errorf("what has no price is not let through: %d %s", status, code)
	}
	w.clock.Advance(time.Hour)
	if status, code := ask("dear"); status != 200 {
		t.Errorf("an hour later: %d %s", status, code)
	}
}

func TestTokensArePredictedOfEveryKindOfContent(t *testing.T) {
	predict := func(b *body.Body, limits Limits) Tokens {
		x := &Exchange{Body: b, Route: &Route{Limits: limits}}
		return x.predict()
	}
	text := &body.Body{Texts: []media.Text{{Value: []byte(strings.Repeat("x", 400))}}}
	if got := predict(text, Limits{}); got != (Tokens{Input: 101}) {
		t.Errorf("text: %+v", got)
	}
	mixed := &body.Body{Parts: []media.Part{
		{Kind: media.Image, Width: 750, Height: 100, Frames: 1}, {Kind: media.Audio, Duration: 10 * time.Second}, {Kind: media.Video, Duration: 2 * time.Second},
	}}
	if got := predict(mixed, Limits{Answer: 7}); got != (Tokens{Input: 1 + 101 + 321 + 527, Output: 7}) {
		t.Errorf("media: %+v", got)
	}
	several := &body.Body{Fields: body.Fields{MaxTokens: 10, Choices: 2, Prompts: 3}}
	if got := predict(several, Limits{}); got.Output != 60 {
		t.Errorf("two answers to each of three prompts: %+v", got)
	}
	much := &body.Body{Fields: body.Fields{MaxTokens: math.MaxInt64 / 2, Choices: 3}}
	if got := predict(much, Limits{}); got.Output != math.MaxInt64 {
		t.Errorf("beyond counting: %+v", got)
	}
	if got := plus(math.MaxInt64, 1); got != math.MaxInt64 {
		t.Error(got)
	}
}
