package body

import (
	"math"
	"strconv"

	"github.com/apexlogic/apex/verdict"
)

// maxDigits bounds the length of a number: what is longer is rounded by some
// readers and refused by others.
const maxDigits = 64

// number reads a number. Whole is true when it is an integer of 64 bits.
func (p *Parser) number() (n int64, whole bool, err error) {
	d, start := p.data, p.at
	i := start
	if i < len(d) && d[i] == '-' {
		i++
	}
	first := i
	var u uint64
	for i < len(d) && d[i]-'0' <= 9 {
		u = u*10 + uint64(d[i]-'0')
		i++
	}
	digits := i - first
	if digits == 0 {
		return 0, false, p.malformed("this is no JSON value")
	}
	if digits > 1 && d[first] == '0' {
		return 0, false, p.malformed("a number begins with 0")
	}
	whole = true
	if i < len(d) && d[i] == '.' {
		whole = false
		i++
		from := i
		for i < len(d) && d[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return 0, false, p.malformed("a number ends with its point")
		}
	}
	exponent := false
	if i < len(d) && d[i]|0x20 == 'e' {
		whole, exponent = false, true
		i++
		if i < len(d) && (d[i] == '+' || d[i] == '-') {
			i++
		}
		from := i
		for i < len(d) && d[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return 0, false, p.malformed("a number has an empty exponent")
		}
	}
	p.at = i
	if i-start <= 18 && !exponent { // fits into 64 bits, and into every float
		n = int64(u)
		if d[start] == '-' {
			n = -n
		}
		return n, whole, nil
	}
	return p.longNumber(d[start:i], whole)
}

// longNumber judges a number that might not fit.
func (p *Parser) longNumber(s []byte, whole bool) (int64, bool, error) {
	if len(s) > maxDigits {
		return 0, false, p.refuse(verdict.BodyMalformed, "a number has more than %d characters", maxDigits)
	}
	if whole {
		n, err := strconv.ParseInt(string(s), 10, 64)
		if err == nil {
			return n, true, nil
		}
		if _, err := strconv.ParseUint(string(s), 10, 64); err == nil {
			return math.MaxInt64, false, nil
		}
		return 0, false, p.refuse(verdict.BodyMalformed, "a whole number does not fit into 64 bits: readers differ in what they make of it")
	}
	if f, err := strconv.ParseFloat(string(s), 64); err != nil || math.IsInf(f, 0) {
		return 0, false, p.refuse(verdict.BodyMalformed, "a number does not fit into a double: readers differ in what they make of it")
	}
	return 0, false, nil
}
