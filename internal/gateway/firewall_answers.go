package gateway

import (
	"net/http"
	"time"

	"github.com/apexlogic/apex/internal/gateway/stream"
	"github.com/apexlogic/apex/internal/gateway/waf"
)

// AnswerFirewall looks for what a server leaks; *waf.WAF is one.
type AnswerFirewall interface {
	CheckAnswer(*waf.Answer) waf.AnswerResult
}

// checkAnswer holds an answer that came as a whole against the rules about
// answers. It is told of everything before its first byte passes.
func (x *Exchange) checkAnswer(a *stream.Answer) error {
	w := waf.Answer{Status: a.Status, Structure: x.structure[:0], Texts: x.texts[:0]}
	// Why it failed, a server says itself; and a page is nothing that an AI API
	// answers, while a text may be a transcript.
	good := a.Status < http.StatusBadRequest
	transcript := good && len(a.Text) > 0 && a.Type != "text/html" && (x.Route.API == OpenAI || x.Route.API == OpenInference)
	texts, controls := &w.Structure, &w.Structure
	if transcript || good && len(a.Text) == 0 && x.Route.answers() != nil {
		texts = &w.Texts
	}
	if transcript {
		controls = &w.Texts
	}
	if len(a.Text) > 0 {
		*texts = append(*texts, a.Text)
	}
	if a.Body != nil {
		for i := range a.Body.Texts {
			*texts = append(*texts, a.Body.Texts[i].Value)
		}
		for i := range a.Body.Controls {
			*controls = append(*controls, a.Body.Controls[i].Value)
		}
	}
	until := time.Now().Add(x.Route.perMessage) // an answer has the budget that a request has
	result := x.Route.AnswerFirewall.CheckAnswer(&w)
	clear(w.Structure)
	clear(w.Texts)
	x.structure, x.texts = w.Structure[:0], w.Texts[:0]
	x.Outcome.WAF = &WAFRecord{RuleSet: waf.Version(), Score: result.Score, Text: result.Text, Rules: result.Rules, Partial: result.Partial}
	if result.Block {
		x.Route.Units.Withheld.Add(1)
		return &stream.Cut{Code: result.Code, Detail: result.Code.Info().Meaning}
	}
	if time.Now().After(until) {
		return &stream.Cut{Code: errLate.Code, Detail: errLate.Detail}
	}
	return nil
}
