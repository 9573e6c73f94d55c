package registry

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// parseDecimal reads an unsigned decimal number: digits only, no sign, no
// spaces, at most the largest int64.
func parseDecimal(s string) (int64, bool) {
	if s == "" || len(s) > 19 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// parseContentRange reads the Content-Range of an uploaded chunk, which the
// specification writes as first-last, both inclusive, without a unit.
func parseContentRange(s string) (first, last int64, ok bool) {
	a, b, cut := strings.Cut(s, "-")
	first, okFirst := parseDecimal(a)
	last, okLast := parseDecimal(b)
	if !cut || !okFirst || !okLast || last < first || last == math.MaxInt64 {
		return 0, 0, false
	}
	return first, last, true
}

// rangeKind says what to do about a Range header.
type rangeKind uint8

const (
	rangeIgnored       rangeKind = iota // malformed, or several ranges: the whole is sent
	rangeSatisfiable                    // one range that has bytes
	rangeUnsatisfiable                  // one range beyond the end
)

// judgeRange classifies a Range header for content of the given size. Only a
// single byte range is honoured, as RFC 9110 section 14.2 permits: many small
// ranges cost the server more than the client.
func judgeRange(header string, size int64) rangeKind {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.ContainsRune(spec, ',') {
		return rangeIgnored
	}
	a, b, cut := strings.Cut(strings.TrimSpace(spec), "-")
	if !cut {
		return rangeIgnored
	}
	if a == "" { // the last n bytes
		n, ok := parseDecimal(b)
		switch {
		case !ok:
			return rangeIgnored
		case n == 0 || size == 0:
			return rangeUnsatisfiable
		}
		return rangeSatisfiable
	}
	first, ok := parseDecimal(a)
	if !ok {
		return rangeIgnored
	}
	if b != "" {
		if last, ok := parseDecimal(b); !ok || last < first {
			return rangeIgnored
		}
	}
	if first >= size {
		return rangeUnsatisfiable
	}
	return rangeSatisfiable
}

// page is one part of a sorted listing.
type page struct {
	last string // the listing begins after this
	n    int    // at most this many, maxPage when not asked for
	zero bool   // n=0 was asked for: an empty list and no link
}

// parsePage reads n and last. max is the largest page that is given; asking
// for more gives that many and a link to the rest.
func parsePage(q url.Values, max int) (page, *problem) {
	p := page{last: q.Get("last"), n: max}
	if text := q.Get("n"); text != "" {
		n, ok := parseDecimal(text)
		if !ok {
			return page{}, refuse(http.StatusBadRequest, codeUnsupported, "n must be a number from 0 on")
		}
		p.n, p.zero = int(min(n, int64(max))), n == 0
	}
	return p, nil
}

// cut returns the page's part of the sorted names, and whether more follow.
func (p page) cut(names []string) (part []string, more bool) {
	from := 0
	if p.last != "" {
		for from < len(names) && names[from] <= p.last {
			from++
		}
	}
	names = names[from:]
	if p.zero {
		return nil, false
	}
	if len(names) > p.n {
		return names[:p.n], true
	}
	return names, false
}

// linkNext is the Link header to the page after last (RFC 8288).
func linkNext(path string, q url.Values, last string) string {
	next := url.Values{"last": {last}}
	for _, keep := range []string{"n", "artifactType"} {
		if v := q.Get(keep); v != "" {
			next.Set(keep, v)
		}
	}
	return "<" + path + "?" + next.Encode() + `>; rel="next"`
}
