package advisory_test

import (
	"cmp"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The orders of versions of the second evaluation.

// refCompare compares two versions; ok is false when one is none.
func refCompare(ecosystem, a, b string) (c int, ok bool) {
	family, _, _ := strings.Cut(ecosystem, ":")
	switch family {
	case "PyPI":
		x, okA := refPEP440(a)
		y, okB := refPEP440(b)
		if !okA || !okB {
			return 0, false
		}
		return refTuple(x, y), true
	case "npm", "Go":
		x, okA := refSemver(a)
		y, okB := refSemver(b)
		if !okA || !okB {
			return 0, false
		}
		return refTuple(x, y), true
	case "Debian":
		return refDpkg(a, b), true
	case "Rocky Linux":
		return refRPM(a, b), true
	case "Alpine":
		return refApk(a, b), true
	}
	return 0, false
}

// A tuple of numbers (*big.Int), texts and tuples, compared as Python compares
// them. -∞ and ∞ are special texts.
func refTuple(a, b []any) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if c := refItem(a[i], b[i]); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

type infinity int

func refItem(a, b any) int {
	rank := func(x any) int {
		if i, ok := x.(infinity); ok {
			return int(i)
		}
		return 0
	}
	if rank(a) != rank(b) || rank(a) != 0 {
		return rank(a) - rank(b)
	}
	switch x := a.(type) {
	case *big.Int:
		return x.Cmp(b.(*big.Int))
	case string:
		return strings.Compare(x, b.(string))
	case []any:
		return refTuple(x, b.([]any))
	}
	panic("no item")
}

func refNumber(s string) *big.Int {
	n := new(big.Int)
	if s != "" {
		n.SetString(s, 10)
	}
	return n
}

var refPEPExpr = regexp.MustCompile(`(?i)^\s*v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)` +
	`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?([0-9]+)?)?` +
	`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]+)?)?` +
	`(?:[-_.]?(dev)[-_.]?([0-9]+)?)?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*$`)

// What was parsed is kept: the one haste that this file makes.
var pepKeys, semverKeys = map[string][]any{}, map[string][]any{}

// refPEP440 is the sort key that PEP 440 describes, as a tuple.
func refPEP440(s string) ([]any, bool) {
	key, ok := pepKeys[s]
	if !ok {
		key, _ = parsePEP440(s)
		pepKeys[s] = key
	}
	return key, key != nil
}

func parsePEP440(s string) ([]any, bool) {
	m := refPEPExpr.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	release := strings.Split(m[2], ".")
	for len(release) > 1 && strings.Trim(release[len(release)-1], "0") == "" {
		release = release[:len(release)-1]
	}
	var numbers []any
	for _, r := range release {
		numbers = append(numbers, refNumber(r))
	}
	if len(release) == 1 && strings.Trim(release[0], "0") == "" {
		numbers = nil
	}
	letter := strings.ToLower(m[3])
	switch letter {
	case "alpha":
		letter = "a"
	case "beta":
		letter = "b"
	case "c", "pre", "preview":
		letter = "rc"
	}
	hasPre, hasPost, hasDev := m[3] != "", m[5] != "" || m[6] != "", m[8] != ""
	var pre, post, dev, local any = infinity(1), infinity(-1), infinity(1), infinity(-1)
	if hasPre {
		pre = []any{letter, refNumber(m[4])}
	} else if !hasPost && hasDev {
		pre = infinity(-1)
	}
	if hasPost {
		post = refNumber(m[5] + m[7])
	}
	if hasDev {
		dev = refNumber(m[9])
	}
	if m[10] != "" {
		var parts []any
		for _, p := range punctuation.Split(strings.ToLower(m[10]), -1) {
			if strings.Trim(p, "0123456789") == "" {
				parts = append(parts, []any{refNumber(p), ""})
			} else {
				parts = append(parts, []any{infinity(-1), p})
			}
		}
		local = parts
	}
	return []any{refNumber(m[1]), numbers, pre, post, dev, local}, true
}

var refSemverExpr = regexp.MustCompile(`^v?([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z.-]+))?(?:\+.*)?$`)

func refSemver(s string) ([]any, bool) {
	key, ok := semverKeys[s]
	if !ok {
		key, _ = parseSemver(s)
		semverKeys[s] = key
	}
	return key, key != nil
}

func parseSemver(s string) ([]any, bool) {
	m := refSemverExpr.FindStringSubmatch(s)
	if m == nil {
		return nil, false
	}
	out := []any{refNumber(m[1]), refNumber(m[2]), refNumber(m[3])}
	if m[4] == "" {
		return append(out, infinity(1)), true
	}
	var pre []any
	for _, id := range strings.Split(m[4], ".") {
		if strings.Trim(id, "0123456789") == "" {
			pre = append(pre, []any{refNumber("0"), refNumber(id)})
		} else {
			pre = append(pre, []any{refNumber("1"), id})
		}
	}
	return append(out, pre), true
}

// refDpkg is the algorithm in deb-version(7), step by step.
func refDpkg(a, b string) int {
	split := func(s string) (epoch int, upstream, revision string) {
		if e, rest, ok := strings.Cut(s, ":"); ok {
			epoch, _ = strconv.Atoi(e)
			s = rest
		}
		if i := strings.LastIndex(s, "-"); i >= 0 {
			return epoch, s[:i], s[i+1:]
		}
		return epoch, s, ""
	}
	ea, ua, ra := split(a)
	eb, ub, rb := split(b)
	return cmp.Or(cmp.Compare(ea, eb), refDpkgPart(ua, ub), refDpkgPart(ra, rb))
}

func refDpkgPart(a, b string) int {
	weight := func(s string, i int) int {
		if i >= len(s) || s[i] >= '0' && s[i] <= '9' {
			return 0
		}
		switch c := s[i]; {
		case c == '~':
			return -1
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			return int(c)
		default:
			return int(c) + 256
		}
	}
	isDigit := func(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		for i < len(a) && !isDigit(a, i) || j < len(b) && !isDigit(b, j) {
			if x, y := weight(a, i), weight(b, j); x != y {
				return x - y
			}
			i, j = i+1, j+1
		}
		x, y := i, j
		for isDigit(a, i) {
			i++
		}
		for isDigit(b, j) {
			j++
		}
		if c := refNumber(a[x:i]).Cmp(refNumber(b[y:j])); c != 0 {
			return c
		}
	}
	return 0
}

var (
	skip    = regexp.MustCompile(`^[^a-zA-Z0-9~^]+`)
	number  = regexp.MustCompile(`^[0-9]+`)
	letters = regexp.MustCompile(`^[a-zA-Z]+`)
)

// refRPM is rpmvercmp as rpm-version(7) tells it.
func refRPM(a, b string) int {
	split := func(s string) (epoch int, version, release string) {
		if e, rest, ok := strings.Cut(s, ":"); ok {
			epoch, _ = strconv.Atoi(e)
			s = rest
		}
		if i := strings.LastIndex(s, "-"); i >= 0 {
			return epoch, s[:i], s[i+1:]
		}
		return epoch, s, ""
	}
	ea, va, ra := split(a)
	eb, vb, rb := split(b)
	return cmp.Or(cmp.Compare(ea, eb), refRPMPart(va, vb), refRPMPart(ra, rb))
}

func refRPMPart(a, b string) int {
	for a != "" || b != "" {
		a, b = skip.ReplaceAllString(a, ""), skip.ReplaceAllString(b, "")
		ta, tb := strings.HasPrefix(a, "~"), strings.HasPrefix(b, "~")
		if ta || tb {
			if !ta {
				return 1
			}
			if !tb {
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		ca, cb := strings.HasPrefix(a, "^"), strings.HasPrefix(b, "^")
		if ca || cb {
			switch {
			case a == "":
				return -1
			case b == "":
				return 1
			case !ca:
				return 1
			case !cb:
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		if x := number.FindString(a); x != "" {
			y := number.FindString(b)
			if y == "" {
				return 1
			}
			if c := refNumber(x).Cmp(refNumber(y)); c != 0 {
				return c
			}
			a, b = a[len(x):], b[len(y):]
			continue
		}
		x, y := letters.FindString(a), letters.FindString(b)
		if y == "" {
			return -1
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		a, b = a[len(x):], b[len(y):]
	}
	return cmp.Compare(len(a), len(b))
}

var refApkExpr = regexp.MustCompile(`^([0-9]+)((?:\.[0-9]+)*)([a-z]?)((?:_[a-z]+[0-9]*)*)(?:-r([0-9]+))?$`)

// refApk compares apk versions part by part, as apk-package(5) tells it.
func refApk(a, b string) int {
	x, y := refApkExpr.FindStringSubmatch(a), refApkExpr.FindStringSubmatch(b)
	if c := refNumber(x[1]).Cmp(refNumber(y[1])); c != 0 {
		return c
	}
	m, n := strings.Split(x[2], ".")[1:], strings.Split(y[2], ".")[1:]
	if x[2] == "" {
		m = nil
	}
	if y[2] == "" {
		n = nil
	}
	for i := 0; i < len(m) && i < len(n); i++ {
		if m[i][0] == '0' || n[i][0] == '0' {
			if c := strings.Compare(m[i], n[i]); c != 0 {
				return c
			}
		} else if c := refNumber(m[i]).Cmp(refNumber(n[i])); c != 0 {
			return c
		}
	}
	if len(m) != len(n) {
		return cmp.Compare(len(m), len(n)) // generated suffixes do not collide with this
	}
	if c := strings.Compare(x[3], y[3]); c != 0 {
		return c
	}
	rank := []string{"alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p"}
	suffix := func(s string) (int, *big.Int, bool) {
		s = strings.TrimPrefix(s, "_")
		name := strings.TrimRight(s, "0123456789")
		return slices.Index(rank, name), refNumber(s[len(name):]), s != name
	}
	rx, nx, hx := suffix(x[4])
	ry, ny, hy := suffix(y[4])
	if rx != ry {
		return cmp.Compare(rx, ry)
	}
	if hx != hy {
		return map[bool]int{true: 1, false: -1}[hx]
	}
	if c := nx.Cmp(ny); c != 0 {
		return c
	}
	if (x[5] == "") != (y[5] == "") {
		return map[bool]int{true: -1, false: 1}[x[5] == ""]
	}
	return refNumber(x[5]).Cmp(refNumber(y[5]))
}
