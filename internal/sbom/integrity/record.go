package integrity

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"iter"
	"strings"
)

// MaxRecord is how large a RECORD is read; that of the largest wheels has 2 MB.
const MaxRecord = 32 << 20

// Record yields the rows of a RECORD: the path as written, relative to the
// folder of the dist-info folder, and its digest as "sha256:<hex>", "" where
// there is none or one that proves nothing (MD5 and SHA-1). Rows that cannot be
// read are left out.
func Record(data []byte) iter.Seq2[string, string] {
	return func(yield func(path, digest string) bool) {
		for line := range bytes.Lines(data) {
			path, digest, ok := recordRow(strings.TrimRight(string(line), "\r\n"))
			if ok && !yield(path, digest) {
				return
			}
		}
	}
}

// recordRow reads `path,algorithm=base64,size`; a path with a comma or a quote
// stands in quotes (RFC 4180).
func recordRow(line string) (path, digest string, ok bool) {
	rest := line
	if strings.HasPrefix(line, `"`) {
		var b strings.Builder
		rest = line[1:]
		for {
			before, after, found := strings.Cut(rest, `"`)
			if !found {
				return "", "", false
			}
			b.WriteString(before)
			if rest = after; !strings.HasPrefix(rest, `"`) {
				break
			}
			b.WriteByte('"')
			rest = rest[1:]
		}
		path = b.String()
		rest = strings.TrimPrefix(rest, ",")
	} else {
		path, rest, _ = strings.Cut(line, ",")
	}
	if path == "" || strings.ContainsRune(path, 0) {
		return "", "", false
	}
	sum, _, _ := strings.Cut(rest, ",")
	algorithm, encoded, _ := strings.Cut(sum, "=")
	size := map[string]int{"sha256": 32, "sha384": 48, "sha512": 64}[strings.ToLower(algorithm)]
	if size == 0 {
		return path, "", true
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil || len(raw) != size {
		return path, "", true
	}
	return path, strings.ToLower(algorithm) + ":" + hex.EncodeToString(raw), true
}
