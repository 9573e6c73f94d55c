package main

import (
	"fmt"
	"strconv"
	"strings"
)

// byteCount is a flag of bytes: 268435456, 256MiB, 1GiB.
type byteCount struct{ to *int64 }

var byteUnits = [...]struct {
	name  string
	shift uint
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}}

// Set reads a count that is more than nothing.
func (b byteCount) Set(s string) error {
	number, shift := s, uint(0)
	for _, unit := range byteUnits {
		if before, ok := strings.CutSuffix(s, unit.name); ok {
			number, shift = before, unit.shift
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > 1<<(62-shift) {
		return fmt.Errorf("%q is not a number of bytes such as 256MiB or 1GiB", s)
	}
	*b.to = n << shift
	return nil
}

// String returns the count in its largest whole unit; "" for none.
func (b byteCount) String() string {
	if b.to == nil || *b.to == 0 {
		return ""
	}
	for i := len(byteUnits) - 1; i >= 0; i-- {
		if u := byteUnits[i]; *b.to%(1<<u.shift) == 0 {
			return strconv.FormatInt(*b.to>>u.shift, 10) + u.name
		}
	}
	return strconv.FormatInt(*b.to, 10)
}

// Type is how help names the value.
func (byteCount) Type() string { return "bytes" }
