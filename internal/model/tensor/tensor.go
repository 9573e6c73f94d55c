// Package tensor scans formats that are a header over numbers: safetensors and
// its index, GGUF and the ggml files before it, NumPy's .npy, R's .rds, UBJSON.
//
// Such a file runs nothing by itself. What is looked for is a header that two
// loaders read differently, lengths that overflow in loaders written in C,
// bytes that no header accounts for, and what the header carries beside
// numbers: chat templates, pickled objects, promises. Numbers are not read.
//
// Start from [Formats]. [DTypeSize] is for who reads the tensors it reports.
//
// Sources: the safetensors format (github.com/huggingface/safetensors,
// README), the GGUF specification (github.com/ggml-org/ggml, docs/gguf.md),
// NEP 1 and numpy.lib.format, "R Internals" 1.8 "Serialization Formats".
package tensor

import (
	"cmp"
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Formats are all formats of this package.
func Formats() []scan.Format {
	return []scan.Format{Safetensors(), SafetensorsIndex(), GGUF(), GGML(), NumPy(), R(), UBJSON()}
}

// mostReports is how often one scan reports by one rule: a file of a million
// tensors that are all wrong is as bad as one of twenty.
const mostReports = 20

// reporter reports what one scan finds, each rule a limited number of times.
type reporter struct {
	*scan.Place
	reported map[*scan.Rule]int
}

func report(p *scan.Place) *reporter {
	return &reporter{Place: p, reported: map[*scan.Rule]int{}}
}

// say reports by a rule; the detail is as for fmt.Sprintf.
func (r *reporter) say(rule *scan.Rule, where scan.Where, detail string, args ...any) {
	if r.reported[rule] < mostReports {
		r.reported[rule]++
		r.Report(rule, where, fmt.Sprintf(detail, args...))
	}
}

// short cuts foreign text for a sentence.
func short[T string | []byte](s T) string {
	const longest = 80
	if len(s) <= longest {
		return string(s)
	}
	return string(s[:longest]) + "…"
}

// extent is the place of a tensor's bytes.
type extent struct {
	begin, end int64
	index      int // in the order of the header
}

// byPlace orders extents as they stand in the file.
func byPlace(a, b extent) int {
	return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.index, b.index))
}
