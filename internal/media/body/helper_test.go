package body

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"

	"github.com/apexlogic/apex/internal/media"
)

// measured describes content by its length and digest alone.
func measured(r io.Reader, where, declared string, _ *media.Limits) (media.Part, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	part := media.Part{Where: where, Declared: declared, Bytes: n}
	h.Sum(part.Digest[:0])
	return part, err
}

func limits() *media.Limits {
	l := media.Defaults()
	return &l
}

func jsonMessage(api *API, text string) Message {
	return Message{Type: []string{"application/json"}, API: api, Data: []byte(text)}
}

func chat(tb testing.TB) *API {
	tb.Helper()
	api, ok := OpenAI("/v1/chat/completions")
	if !ok {
		tb.Fatal("the chat's table is missing")
	}
	return api
}

// anyType is an API whose messages have any type, as those of nobody's protocol.
func anyType(api *API) *API {
	with := *api
	with.types = nil
	return &with
}

func parse(t *testing.T, m Message) *Body {
	t.Helper()
	var p Parser
	b, err := p.Parse(m, limits(), measured)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return b
}

func texts(all []media.Text) (out []string) {
	for _, t := range all {
		out = append(out, t.Where+" "+t.Role+": "+string(t.Value))
	}
	return out
}

func repeat(s string, n int) string { return string(bytes.Repeat([]byte(s), n)) }
