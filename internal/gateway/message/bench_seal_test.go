package message

import (
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/seal"
)

// BenchmarkMessage is what one event costs its sender, the gateway that checks and
// verifies it, and its receiver, with one sealed part.
func BenchmarkMessage(b *testing.B) {
	p := newPost(b, nil)
	key := sealKey(b)
	route, err := NewSealing([]string{"/patient"}, []string{key.ID()})
	if err != nil {
		b.Fatal(err)
	}
	to := []*seal.PublicKey{key.Public()}
	sealedEvent := sealed4(b, key, time.Time{}, "/patient")
	signed := sealedEvent.Clone()
	if err := Sign(signed, p.key, p.chain, p.clock.Now()); err != nil {
		b.Fatal(err)
	}
	for name, run := range map[string]func() error{
		"seal": func() error {
			e := event("1")
			e.Data = []byte(visit)
			return Seal(e, to, []string{"/patient"}, time.Time{})
		},
		"sign":   func() error { return Sign(sealedEvent.Clone(), p.key, p.chain, p.clock.Now()) },
		"verify": func() error { _, err := p.gate.Verify(b.Context(), signed); return err },
		"check":  func() error { return route.Check(signed, epoch) },
		"open":   func() error { _, err := Open(signed.Clone(), key, epoch); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpu()
			for b.Loop() {
				if err := run(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric((cpu()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
