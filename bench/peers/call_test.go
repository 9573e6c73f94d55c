package peers

import (
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/verify"
)

// BenchmarkOneCall asks one verifier about 100 images with two signatures each,
// all of which are needed, in one call: first cold, then again. The figures are
// of the whole call; there is no peer that does this.
func BenchmarkOneCall(b *testing.B) {
	s := fill(b, images, 2)
	g := s.generation(fact.FormatBundle)
	s = s.over(s.Secure)
	questions := s.questions()
	ask := func(b *testing.B, v *verify.Verifier) {
		report := v.Verify(b.Context(), questions)
		allowed(b, &report)
	}
	client := s.client()
	defer client.Close()
	known := newVerifier(b, client, g)
	ask(b, known)
	compare(b, s.house, 1,
		contender{name: "cold", pass: func(b *testing.B) {
			client := s.client()
			defer client.Close()
			ask(b, newVerifier(b, client, g))
		}},
		contender{name: "warm", pass: func(b *testing.B) { ask(b, known) }},
	)
}
