package integrity

import (
	"encoding/base64"
	"encoding/hex"
	"iter"
	"strings"

	"github.com/apexlogic/apex/internal/sbom/python"
)

// MaxRecord is how large a RECORD is read; that of the largest wheels has 2 MB.
const MaxRecord = 32 << 20

// Record yields the rows of a RECORD: the path as written, relative to the
// folder of the dist-info folder, and its digest as "sha256:<hex>", "" where
// there is none or one that proves nothing (MD5 and SHA-1).
func Record(data []byte) iter.Seq2[string, string] {
	return func(yield func(path, digest string) bool) {
		for _, row := range python.ParseRecord(data) {
			if strings.ContainsRune(row.Path, 0) {
				continue
			}
			if !yield(row.Path, digestOf(row.Hash)) {
				return
			}
		}
	}
}

// digestOf turns "sha256=<base64url>" into "sha256:<hex>".
func digestOf(s string) string {
	algorithm, encoded, _ := strings.Cut(s, "=")
	algorithm = strings.ToLower(algorithm)
	size := 0
	switch algorithm {
	case "sha256":
		size = 32
	case "sha384":
		size = 48
	case "sha512":
		size = 64
	default:
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil || len(raw) != size {
		return ""
	}
	return algorithm + ":" + hex.EncodeToString(raw)
}
