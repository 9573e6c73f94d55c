package attestation_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/apexlogic/apex/internal/sbom"
	"github.com/apexlogic/apex/internal/trust/trusttest"
)

// BenchmarkOneAttestation examines a folder with one archive and its attestation.
func BenchmarkOneAttestation(b *testing.B) {
	x := index{b, trusttest.NewSigstore(b, signedAt)}
	dir := b.TempDir()
	for name, data := range map[string][]byte{archive: []byte(content), archive + ".publish.attestation": marshal(b, x.pep740(signing{}))} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	o := sbom.Options{Attestations: x.options()}
	for b.Loop() {
		_, report, err := sbom.Examine(b.Context(), sbom.Folder(dir), o)
		if err != nil || len(report.Attested) != 1 {
			b.Fatal(report, err)
		}
	}
}
