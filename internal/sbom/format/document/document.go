// Package document is what the readers of foreign inventories share: the limits
// on a document, a way through its JSON that counts while it reads, and a
// [Builder] that keeps what it says.
//
// Start with [Check], which every document has to pass first, then [NewWalker]
// and [NewBuilder]. [Licenses] and [Expression] are about how documents state
// licences.
//
// Sources: RFC 8259 for JSON.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/bounded"
)

// The limits on foreign documents.
const (
	// MaxBytes of a document. The largest that scanners write for an image with
	// 10,000 packages and all their files are about 60 MB.
	MaxBytes = 128 << 20
	// MaxDepth is several times the nesting of any of the formats; only
	// components within components go deeper than ten.
	MaxDepth = 64
	// MaxPackages of an inventory, as many as our own may have.
	MaxPackages = 500_000
	// MaxStatements about vulnerabilities. A supplier's document about one
	// vulnerability in all its products has some 10,000.
	MaxStatements = 100_000
	// MaxInner bounds the lists inside one package or statement.
	MaxInner = 10_000
	// MaxText is how many bytes a name, version or path may have.
	MaxText = 4096

	// maxElements bounds the lists that are walked without being kept.
	maxElements = 4_000_000
	// maxValues is what a document of MaxBytes holds at 16 bytes a value; what
	// scanners write has 25 and more.
	maxValues = MaxBytes / 16
	// maxGaps of a document; the rest would not be read by anybody.
	maxGaps = 10_000
)

var (
	// ErrTooMany is wrapped by errors about a list that is longer than its limit.
	ErrTooMany = errors.New("more items than are read")
	// ErrTooLong is wrapped by errors about a text that is longer than its limit.
	ErrTooLong = errors.New("longer than any real one")
)

// Check refuses what is no JSON document within the limits: too large, too
// deep, not in UTF-8, or with a key twice in one object, which two readers
// would read as two documents.
func Check(data []byte) error {
	if len(data) > MaxBytes {
		return fmt.Errorf("%w of %d bytes", bounded.ErrTooLarge, MaxBytes)
	}
	// Documents quote the labels and annotations of the image, where two keys
	// may differ in case only; nothing reads those.
	return bounded.Rules{
		Depth: MaxDepth, Values: maxValues,
		FreeMaps: []string{"Labels", "annotations", "labels", "environment", "ecosystem_specific", "database_specific"},
	}.Check(data)
}

// Trim takes off the byte order mark that some programs put before JSON.
func Trim(data []byte) []byte { return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) }

// Time reads an RFC 3339 time. The zero time stands for text that is none, and
// for the zero times that programs write when they know none.
func Time(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1990 {
		return time.Time{}
	}
	return t.UTC()
}

// Clip shortens s to at most n bytes without splitting a character.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}

// Clean replaces what a terminal would obey.
func Clean(s string) string {
	control := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }
	if !strings.ContainsFunc(s, control) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if control(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}
