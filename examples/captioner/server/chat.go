package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// maxMessages is more than a conversation about one picture has.
const maxMessages = 64

type chatRequest struct {
	Model    string    `json:"model"`
	Messages []message `json:"messages"`
	Stream   bool      `json:"stream"`
}

type message struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

// content is a text, or a list of parts.
type content []part

type part struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	ImageURL struct {
		URL string `json:"url"`
	} `json:"image_url"`
}

// UnmarshalJSON reads both forms.
func (c *content) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*c = content{{Type: "text"}}
		return json.Unmarshal(data, &(*c)[0].Text)
	}
	return json.Unmarshal(data, (*[]part)(c))
}

func (s *server) models(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"object": "list", "data": []any{
		map[string]any{"id": ModelName, "object": "model", "created": 0, "owned_by": "vision"},
	}})
}

// chat answers the last question about the last picture.
func (s *server) chat(w http.ResponseWriter, r *http.Request) {
	var ask chatRequest
	if !read(w, r, &ask) {
		return
	}
	switch {
	case ask.Model != ModelName:
		refuse(w, http.StatusNotFound, "there is no model of this name")
		return
	case len(ask.Messages) == 0 || len(ask.Messages) > maxMessages:
		refuse(w, http.StatusBadRequest, fmt.Sprintf("messages has to hold 1 to %d messages", maxMessages))
		return
	}
	var question, url string
	for _, m := range ask.Messages {
		for _, p := range m.Content {
			switch p.Type {
			case "text":
				question = p.Text
			case "image_url":
				url = p.ImageURL.URL
			default:
				refuse(w, http.StatusBadRequest, "a part of a message is of type text or image_url")
				return
			}
		}
	}
	if url == "" {
		refuse(w, http.StatusBadRequest, "a message has to hold a picture: image_url with a data: URL")
		return
	}
	picture, err := pictureOf(url)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	caption, sure := s.model.Caption(picture)
	text := reply(question, caption)
	if sure < .5 {
		text = "I am not sure. Perhaps " + text
	}
	id, created := "chatcmpl-captioner", s.now().Unix()
	if !ask.Stream {
		answer(w, http.StatusOK, map[string]any{
			"id": id, "object": "chat.completion", "created": created, "model": ModelName,
			"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": text}}},
			"usage":   usage(question, text),
		})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	chunk := func(delta map[string]any, finish any) {
		data, _ := json.Marshal(map[string]any{
			"id": id, "object": "chat.completion.chunk", "created": created, "model": ModelName,
			"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
		})
		fmt.Fprintf(w, "data: %s\n\n", data)
		http.NewResponseController(w).Flush()
	}
	chunk(map[string]any{"role": "assistant", "content": ""}, nil)
	for _, word := range strings.SplitAfter(text, " ") {
		chunk(map[string]any{"content": word}, nil)
	}
	chunk(map[string]any{}, "stop")
	fmt.Fprint(w, "data: [DONE]\n\n")
}

// reply puts the caption ("a red circle") into words that fit the question.
func reply(question, caption string) string {
	words := strings.Fields(caption)
	q := strings.ToLower(question)
	switch {
	case strings.Contains(q, "colour") || strings.Contains(q, "color"):
		return words[1]
	case strings.Contains(q, "shape"):
		return words[2]
	}
	return caption
}

// usage counts words: the model has no tokens.
func usage(question, text string) map[string]int {
	in, out := len(strings.Fields(question)), len(strings.Fields(text))
	return map[string]int{"prompt_tokens": in, "completion_tokens": out, "total_tokens": in + out}
}
