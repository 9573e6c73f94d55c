package gateway

import (
	"math"

	"github.com/apexlogic/apex/internal/media"
)

// What content costs in tokens, about, for models that say so in public: four
// bytes of text, 750 pixels of an image (Anthropic, "Vision"), a 32nd of a second
// of sound and a 263rd of one of video (Google, "Understand and count tokens").
const (
	bytesToken  = 4
	pixelsToken = 750
	audioSecond = 32
	videoSecond = 263
)

// Tokens are what a request is predicted to cost: what it sends, and the most
// that it asks for.
type Tokens struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output,omitempty"`
}

// Price of a model's tokens, in millionths of a millionth of the money that
// limits are in, each.
type Price struct{ Input, Output int64 }

// predict says what the request will cost. Whatever no table calls text counts too:
// a model is given tools and their schemas, and servers hand on what they do not know. What is too much to count is the
// largest number there is.
func (x *Exchange) predict() Tokens {
	bytes := x.Body.Unnamed
	for i := range x.Body.Texts {
		bytes += int64(len(x.Body.Texts[i].Value))
	}
	t := Tokens{Input: plus(bytes/bytesToken+1, x.Body.TokenIDs)}
	for i := range x.Body.Parts {
		p := &x.Body.Parts[i]
		switch p.Kind {
		case media.Image:
			t.Input = plus(t.Input, p.Pixels()/pixelsToken+1)
		case media.Audio:
			t.Input = plus(t.Input, int64(p.Duration.Seconds()*audioSecond)+1)
		case media.Video:
			t.Input = plus(t.Input, int64(p.Duration.Seconds()*videoSecond)+1)
		}
	}
	answer := x.Body.MaxTokens
	if answer == 0 {
		answer = x.Route.Limits.Answer
	}
	t.Output = times(times(answer, max(x.Body.Choices, 1)), max(x.Body.Prompts, 1))
	return t
}

// plus and times are of numbers that are not negative; what would overflow is
// the largest number there is.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func times(a, b int64) int64 {
	if a != 0 && b > math.MaxInt64/a {
		return math.MaxInt64
	}
	return a * b
}
