package peers

import (
	"testing"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/image"
)

// BenchmarkColdBundle verifies 100 images with one signature each, a sigstore
// bundle by referrers. Every pass begins without connections and caches.
// "apex" establishes facts as cosign does, "engine" judges them by a policy too,
// "floor" makes Apex's requests and nothing else.
//
// The registry speaks HTTPS, as registries do. Over plain HTTP, on the loopback
// interface only, cosign tries a TLS handshake for every repository, which makes
// the comparison easier for us than it is anywhere else.
func BenchmarkColdBundle(b *testing.B) {
	s := fill(b, images, 1)
	cold(b, s, true, image.Places{Bundles: true}, fact.FormatBundle)
}

// BenchmarkColdLegacy is the same for cosign's older format, under tags.
func BenchmarkColdLegacy(b *testing.B) {
	s := fill(b, images, 1, "--new-bundle-format=false")
	cold(b, s, false, image.Places{LegacySignatures: true}, fact.FormatLegacy)
}

func cold(b *testing.B, s *stock, bundles bool, at image.Places, format fact.Format) {
	root, g := s.root(), s.generation(format)
	for _, way := range []struct{ name, host string }{{"https", s.Secure}, {"http", s.Plain}} {
		b.Run(way.name, func(b *testing.B) {
			t := s.over(way.host)
			compare(b, s.house, images,
				contender{name: "cosign", pass: t.withCosign(bundles)},
				contender{name: "apex", pass: t.inspect(root, at)},
				contender{name: "floor", pass: t.floor(bundles)},
				contender{name: "engine", pass: t.decide(g)},
			)
		})
	}
}
