package body

import (
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/media"
)

func small() string {
	return `{"model":"captioner","messages":[{"role":"system","content":"You are a helpful assistant for claims."},{"role":"user","content":"Say in one sentence what happened to the car in this claim, please."}],"max_tokens":64,"temperature":0.2}`
}

func prose(n int) string {
	return `{"model":"captioner","messages":[{"role":"user","content":"` + strings.Repeat(`The left front door is dented, and the paint is scratched.\n`, n/60) + `"}]}`
}

func picture(n int) string {
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i * 7)
	}
	return `{"model":"captioner","messages":[{"role":"user","content":[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` +
		base64.StdEncoding.EncodeToString(content) + `"}}]}]}`
}

func BenchmarkParse(b *testing.B) {
	buffer := make([]byte, 32<<10)
	drain := func(r io.Reader, where, declared string, _ *media.Limits) (media.Part, error) {
		for {
			if _, err := r.Read(buffer); err == io.EOF {
				return media.Part{Where: where}, nil
			} else if err != nil {
				return media.Part{}, err
			}
		}
	}
	for _, bc := range []struct {
		name, text string
		inspect    Inspect
	}{
		{"small", small(), drain}, {"prose 10 KB", prose(10 << 10), drain},
		{"image 2 MB, lifted", picture(2 << 20 * 3 / 4), drain}, {"image 2 MB, lifted and hashed", picture(2 << 20 * 3 / 4), measured},
	} {
		b.Run(bc.name, func(b *testing.B) {
			var p Parser
			m, l := jsonMessage(chat(b), bc.text), limits()
			b.SetBytes(int64(len(bc.text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Parse(m, l, bc.inspect); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
