package gateway

import (
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/apexlogic/apex/internal/access"
	"github.com/apexlogic/apex/verdict"
)

// talk sends messages to a server that says each of them back, as its own event,
// and returns what came instead of one of them; "" when all came back.
func (w *world) talk(t *testing.T, path string, messages ...string) string {
	t.Helper()
	w.behind.answer(parrot)
	c, _, err := w.dial(t, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(-1)
	for i, m := range messages {
		if err := c.Write(t.Context(), websocket.MessageText, []byte(m)); err != nil {
			t.Fatal(err)
		}
		_, back, err := c.Read(t.Context())
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if string(back) != m {
			if i < len(messages)-1 {
				t.Fatalf("message %d is answered %s", i, back)
			}
			return string(back)
		}
	}
	c.Close(websocket.StatusNormalClosure, "")
	return ""
}

func TestASpokenAnswerCountsAsManyTokensAsItMayHave(t *testing.T) {
	const create, began = `{"type":"response.create"}`, `{"type":"response.created"}`
	session := func(kind, bound string) string { return `{"type":"session.` + kind + `","session":{` + bound + `}}` }
	response := func(bound string) string { return `{"type":"response.create","response":{` + bound + `}}` }
	answer := func(most int64) Limits { return Limits{Answer: most, Tokens: 1000} }
	for _, tc := range []struct {
		name     string
		limits   Limits
		messages []string
		code     verdict.Code // of the last one
	}{
		{"an answer as long as the route lets them be", answer(100), []string{response(`"max_output_tokens":100`)}, ""},
		{"a longer one", answer(100), []string{response(`"max_output_tokens":101`)}, verdict.LimitTokens},
		{"by its older name", answer(100), []string{response(`"max_response_output_tokens":101`)}, verdict.LimitTokens},
		{"by the name that a chat has for it", answer(100), []string{response(`"max_tokens":101`)}, verdict.LimitTokens},
		{"a session whose answers are longer", answer(100), []string{session("update", `"max_output_tokens":101`)}, verdict.LimitTokens},
		{"a session by the older name", answer(100), []string{session("update", `"max_response_output_tokens":101`)}, verdict.LimitTokens},
		{"a session whose answers are not", answer(100), []string{session("update", `"max_response_output_tokens":100`)}, ""},
		{"inf is the most of the route", answer(100), []string{response(`"max_output_tokens":"inf"`)}, ""},
		{"inf is the most of the route, which is too much", answer(2000), []string{response(`"max_output_tokens":"inf"`)}, verdict.LimitTokens},
		{"another word", answer(100), []string{response(`"max_output_tokens":"101"`)}, verdict.StreamInvalid},
		{"a negative bound", answer(100), []string{response(`"max_output_tokens":-1`)}, verdict.StreamInvalid},
		{"a bound in another case", answer(100), []string{response(`"Max_Output_Tokens":101`)}, verdict.StreamInvalid},
		{"a third answer, where there are tokens for it", answer(0), []string{response(`"max_output_tokens":300`), response(`"max_output_tokens":300`), response(`"max_output_tokens":300`)}, ""},
		{"a third one, where there are none", answer(0), []string{response(`"max_output_tokens":400`), response(`"max_output_tokens":400`), response(`"max_output_tokens":400`)}, verdict.LimitTokens},
		{"answers without a bound have the route's", answer(400), []string{create, create, create}, verdict.LimitTokens},
		{"answers without a bound have the session's", answer(400), []string{session("updated", `"max_output_tokens":10`), create, create, create}, ""},
		{"a bound that the server did not confirm is none", answer(400), []string{session("update", `"max_output_tokens":10`), create, create, create}, verdict.LimitTokens},
		{"inf in a session with a bound", answer(400), []string{session("updated", `"max_output_tokens":10`), response(`"max_output_tokens":"inf"`), response(`"max_output_tokens":"inf"`), response(`"max_output_tokens":"inf"`)}, verdict.LimitTokens},
		{"answers that nobody asked for", answer(400), []string{began, began, began}, verdict.LimitTokens},
		{"answers that nobody asked for, short ones", answer(40), []string{began, began, began}, ""},
		{"answers that were asked for are paid once", answer(300), []string{create, began, create, began, create, began}, ""},
		{"an answer that is longer than what was paid for", answer(0), []string{response(`"max_output_tokens":10`), `{"type":"response.created","response":{"max_output_tokens":1200}}`}, verdict.LimitTokens},
		{"events that ask for nothing", answer(400), []string{session("update", `"voice":"a"`), session("update", `"voice":"b"`), session("update", `"voice":"c"`), `{"type":"input_audio_buffer.commit"}`}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, func(r *Route) { r.Limits = tc.limits })
			last := w.talk(t, realtime, tc.messages...)
			if tc.code == "" && last != "" || !strings.Contains(last, string(tc.code)) {
				t.Errorf("the last message is answered %q", last)
			}
			if o := w.outcome(t); o.Code != string(tc.code) {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestASpokenAnswerHasAPrice(t *testing.T) {
	priced := func(cost int64) func(*Route) {
		return func(r *Route) {
			r.Limits.Cost, r.Models = cost, map[string]Model{"captioner": {Price: &Price{Input: 1, Output: 100}}}
		}
	}
	const ask = `{"type":"response.create","response":{"max_output_tokens":50}}`
	if last := newWorld(t, priced(6000)).talk(t, realtime, ask); last != "" {
		t.Error(last)
	}
	if last := newWorld(t, priced(4000)).talk(t, realtime, ask); !strings.Contains(last, string(verdict.LimitCost)) {
		t.Error(last)
	}
}

// modest permits what its question allows, once a stream has begun.
type modest struct{ allows func(map[string]any) bool }

func (m modest) Decide(q *access.Request) access.Decision {
	if m.allows(q.Context) {
		return access.Decision{Allow: true, Code: verdict.OK}
	}
	return access.Decision{Code: verdict.AccessDenied, Detail: "too much"}
}

func TestPoliciesAreAskedAboutEveryMessageOfAStream(t *testing.T) {
	short := func(c map[string]any) bool { most, _ := c["maxTokens"].(int64); return most <= 100 }
	cheap := func(c map[string]any) bool { n, _ := c["tokens"].(int64); return n <= 100 }
	wordsOnly := func(c map[string]any) bool { n, _ := c["parts"].(int64); return n == 0 }
	small := func(c map[string]any) bool { n, _ := c["bytes"].(int64); return n <= 100 }
	unmarked := func(c map[string]any) bool { all, _ := c["digests"].([]string); return len(all) == 0 }
	const picture = `{"type":"conversation.item.create","item":{"content":[{"type":"input_image","image_url":"data:image/png;base64,UE5H"}]}}`
	const words = `{"type":"conversation.item.create","item":{"content":[{"type":"input_text","text":"Hi"}]}}`
	response := func(bound string) string {
		return `{"type":"response.create","response":{"max_output_tokens":` + bound + `}}`
	}
	for _, tc := range []struct {
		name       string
		allows     func(map[string]any) bool
		trap, twin string
	}{
		{"how long an answer may be", short, response("101"), response("100")},
		{"an answer without an end", short, response(`"inf"`), response("100")},
		{"how long all answers may be", short, `{"type":"session.update","session":{"max_response_output_tokens":101}}`, `{"type":"session.update","session":{"max_response_output_tokens":100}}`},
		{"what it costs", cheap, response("101"), response("50")},
		{"whether there is a picture", wordsOnly, picture, words},
		{"which picture", unmarked, picture, words},
		{"how long it is", small, strings.Replace(words, "Hi", strings.Repeat("Hi ", 40), 1), words},
	} {
		t.Run(tc.name, func(t *testing.T) {
			policies := func(r *Route) { r.Access = modest{tc.allows} }
			if last := newWorld(t, policies).talk(t, realtime, words, tc.trap); !strings.Contains(last, string(verdict.AccessDenied)) {
				t.Errorf("it is answered %q", last)
			}
			if last := newWorld(t, policies).talk(t, realtime, words, tc.twin); last != "" {
				t.Errorf("its twin is answered %q", last)
			}
		})
	}
}

func TestNewPoliciesAreToldWhatTheLastMessageAskedFor(t *testing.T) {
	upTo := func(most int64) Decider {
		return modest{func(c map[string]any) bool { n, _ := c["maxTokens"].(int64); return n <= most }}
	}
	for asked, ends := range map[string]bool{"100": true, "50": false} {
		w := newWorld(t, func(r *Route) { r.Access = upTo(100) })
		w.behind.answer(parrot)
		c, _, err := w.dial(t, realtime, nil)
		if err != nil {
			t.Fatal(err)
		}
		say := func(message string) string {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
				return err.Error()
			}
			_, back, err := c.Read(t.Context())
			if err != nil {
				return err.Error()
			}
			return string(back)
		}
		ask := `{"type":"response.create","response":{"max_output_tokens":` + asked + `}}`
		if back := say(ask); back != ask {
			t.Fatal(back)
		}
		again := *w.route
		again.Access = upTo(50)
		w.use(t, "two", &again)
		if back := say(`{"type":"x"}`); (back != `{"type":"x"}`) != ends {
			t.Errorf("after an answer of %s tokens, where 50 are allowed now: %s", asked, back)
		}
	}
}
