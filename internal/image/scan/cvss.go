package scan

import (
	"math"
	"strings"
)

// vectorScore computes the base score of a CVSS v3.0 or v3.1 vector (FIRST,
// CVSS v3.1 Specification, §7.1 and §7.4; Appendix A for rounding). It returns
// 0 for a vector that lacks a base metric or holds a value that is none.
func vectorScore(vector string) float64 {
	metric := map[string]string{}
	for i, part := range strings.Split(clip(vector, maxID), "/") {
		name, value, ok := strings.Cut(part, ":")
		if _, twice := metric[name]; !ok || twice {
			return 0
		}
		if i > 0 {
			metric[name] = value
		}
	}
	ok := true
	weigh := func(name string, weights map[string]float64) float64 {
		w, known := weights[metric[name]]
		ok = ok && known
		return w
	}
	changed := metric["S"] == "C"
	ok = changed || metric["S"] == "U"
	privileges := map[string]float64{"N": 0.85, "L": 0.62, "H": 0.27}
	if changed {
		privileges = map[string]float64{"N": 0.85, "L": 0.68, "H": 0.5}
	}
	loss := map[string]float64{"H": 0.56, "L": 0.22, "N": 0}
	exploitability := 8.22 *
		weigh("AV", map[string]float64{"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}) *
		weigh("AC", map[string]float64{"L": 0.77, "H": 0.44}) *
		weigh("PR", privileges) *
		weigh("UI", map[string]float64{"N": 0.85, "R": 0.62})
	base := 1 - (1-weigh("C", loss))*(1-weigh("I", loss))*(1-weigh("A", loss))
	if !ok {
		return 0
	}
	impact := 6.42 * base
	if changed {
		impact = 7.52*(base-0.029) - 3.25*math.Pow(base-0.02, 15)
	}
	if impact <= 0 {
		return 0
	}
	if changed {
		return roundUp(min(1.08*(impact+exploitability), 10))
	}
	return roundUp(min(impact+exploitability, 10))
}

// roundUp is CVSS v3.1's Roundup, which works on integers so that all machines agree.
func roundUp(x float64) float64 {
	n := int(math.Round(x * 100_000))
	if n%10_000 == 0 {
		return float64(n) / 100_000
	}
	return float64(n/10_000+1) / 10
}
