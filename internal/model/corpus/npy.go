package corpus

import (
	"math/big"
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// bigMagic is the number that legacy torch files begin with.
func bigMagic() *big.Int {
	n, _ := new(big.Int).SetString("1950a86a20f9469cfc6c", 16)
	return n
}

// npy is an array file of version 1.0 with the header that numpy pads to 64.
func npy(descr, shape string, fortran bool, data string) string {
	order := "False"
	if fortran {
		order = "True"
	}
	return npyHeader(1, "{'descr': "+descr+", 'fortran_order': "+order+", 'shape': "+shape+", }") + data
}

func npyHeader(major int, dict string) string {
	fixed := 10
	if major > 1 {
		fixed = 12
	}
	dict += strings.Repeat(" ", 63-(fixed+len(dict))%64) + "\n"
	if major == 1 {
		return "\x93NUMPY\x01\x00" + le16(len(dict)) + dict
	}
	return "\x93NUMPY" + string([]byte{byte(major), 0}) + le32(len(dict)) + dict
}

// npyObject is an array of Python objects, which is a pickle behind a header.
func npyObject(pkl string) string { return npy("'|O'", "(1,)", false, pkl) }
