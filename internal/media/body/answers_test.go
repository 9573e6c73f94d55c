package body

import (
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
)

func TestANameInAnAnswerCountsWhereNobodyKnowsThePlace(t *testing.T) {
	doc := `{"object":"list","elsewhere":"AKIAIOSFODNN7EXAMPLE"}`
	for _, tc := range []struct {
		api  *API
		want []string
	}{
		{OpenAIAnswers(), []string{"/elsewhere : AKIAIOSFODNN7EXAMPLE"}},
		{Answers(), []string{"/object : list", "/elsewhere : AKIAIOSFODNN7EXAMPLE"}},
		{OpenAIEvents(), []string{"/elsewhere : AKIAIOSFODNN7EXAMPLE"}},
		{chat(t), nil}, // in a request it can only steer, and steers nothing
	} {
		b := parse(t, jsonMessage(tc.api, doc))
		if got := texts(b.Controls); !slices.Equal(got, tc.want) || len(b.Texts) > 0 {
			t.Errorf("%s: %q %q", tc.api.Name, got, texts(b.Texts))
		}
	}
}

func TestTheMemoryOfAPassingMessageIsUsedAgain(t *testing.T) {
	var p Parser
	l := limits()
	m := jsonMessage(OpenAIEvents(), `{"choices":[{"index":3,"delta":{"content":"a \u0062"}}]}`)
	m.Passing = true
	var b *Body
	allocs := testing.AllocsPerRun(100, func() {
		var err error
		if b, err = p.Parse(m, l, measured); err != nil {
			t.Fatal(err)
		}
	})
	if got := texts(b.Texts); allocs > 1 || len(got) != 1 || got[0] != "/choices/0/delta/content 3 : a b" {
		t.Errorf("%v allocations, %q", allocs, got)
	}
	m.Passing = false
	kept, err := p.Parse(m, l, measured)
	if err != nil {
		t.Fatal(err)
	}
	where := kept.Texts[0].Where
	if _, err := p.Parse(jsonMessage(OpenAIEvents(), `{"choices":[{"delta":{"refusal":"`+strings.Repeat(`\u0063`, 40)+`"}}]}`), l, measured); err != nil || where != "/choices/0/delta/content" {
		t.Errorf("what is kept became %q: %v", where, err)
	}
}

func TestWhatADeltaIsDependsOnTheTableOfTheEvent(t *testing.T) {
	r := Realtime()
	for _, tc := range []struct {
		name         string
		api          *API
		doc          string
		texts, parts []string
	}{
		{"audio of a client", r.Client, `{"type":"input_audio_buffer.append","audio":"aGVsbG8="}`, nil, []string{"/audio audio/pcm"}},
		{"an item of a client", r.Client, `{"type":"conversation.item.create","item":{"role":"user","content":[{"type":"input_text","text":"hi"},{"type":"input_audio","audio":"aGVsbG8="}]}}`,
			[]string{"/item/content/0/text user: hi"}, []string{"/item/content/1/audio audio/pcm"}},
		{"text of a server", r.Server, `{"type":"response.text.delta","output_index":1,"content_index":0,"delta":"aGVsbG8="}`, []string{"/delta 1 0 : aGVsbG8="}, nil},
		{"audio of a server", r.Audio, `{"type":"response.audio.delta","delta":"aGVsbG8="}`, nil, []string{"/delta audio/pcm"}},
		{"a piece of audio of an answer", OpenAIEvents(), `{"choices":[{"delta":{"audio":{"data":"aGVsbG8="}}}]}`, nil, []string{"/choices/0/delta/audio/data audio/pcm"}},
		{"an instruction of a session", r.Client, `{"type":"session.update","session":{"instructions":"be kind"}}`, []string{"/session/instructions : be kind"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := parse(t, jsonMessage(tc.api, tc.doc))
			var parts []string
			for _, p := range b.Parts {
				parts = append(parts, p.Where+" "+p.Declared)
			}
			got := texts(b.Texts)
			if !slices.Equal(got, tc.texts) || !slices.Equal(parts, tc.parts) {
				t.Errorf("%q %q", got, parts)
			}
		})
	}
	if !r.IsAudio("response.output_audio.delta") || r.IsAudio("response.output_audio_transcript.delta") {
		t.Error("the types whose delta is audio are mistaken")
	}
}

func TestAnAnswerOfTheOpenInferenceProtocolIsItsTensors(t *testing.T) {
	doc := `{"model_name":"m","outputs":[{"name":"o","shape":[2],"datatype":"BYTES","data":["a","b"]},{"name":"p","shape":[1],"datatype":"FP32","data":[1.5]}]}`
	b := parse(t, jsonMessage(OpenInferenceAnswers(), doc))
	if len(b.Parts) != 2 || b.Parts[1].Kind != media.Tensor || b.Parts[1].Datatype != "FP32" || len(b.Texts) != 2 || b.Model != "m" {
		t.Errorf("%+v", b)
	}
	var p Parser
	if _, err := p.Parse(jsonMessage(OpenInferenceAnswers(), strings.Replace(doc, "[1.5]", "[1.5,2]", 1)), limits(), measured); err == nil {
		t.Error("a tensor with more elements than its shape says passes")
	}
}

func TestAShapeHasAsManyElementsAsItsDimensionsMultiply(t *testing.T) {
	for _, tc := range []struct {
		shape []int64
		want  int64
		ok    bool
	}{
		{nil, 1, true}, {[]int64{2, 3}, 6, true}, {[]int64{2, 0}, 0, true}, {[]int64{-1}, 0, false}, {[]int64{1 << 40, 1 << 40}, 0, false}, {make([]int64, maxDimensions+1), 0, false},
	} {
		if n, ok := Elements(tc.shape); ok != tc.ok || ok && n != tc.want {
			t.Errorf("%v: %d %v", tc.shape, n, ok)
		}
	}
	if w, ok := Width("FP64"); w != 8 || !ok {
		t.Errorf("FP64 has %d bytes", w)
	}
	if _, ok := Width("FP65"); ok {
		t.Error("FP65 is a datatype")
	}
}
