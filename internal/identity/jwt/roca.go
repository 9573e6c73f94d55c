package jwt

import (
	"math/big"
	"sync"
)

// rocaPrimes are the odd primes up to 167: those that divide the modulus of all
// sizes in what follows.
var rocaPrimes = [...]uint16{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167}

// powers has, for each of the primes, which remainders are powers of 65537.
var powers = sync.OnceValue(func() (is [len(rocaPrimes)][168]bool) {
	for i, p := range rocaPrimes {
		for x := 1 % p; !is[i][x]; x = uint16(uint32(x) * 65537 % uint32(p)) {
			is[i][x] = true
		}
	}
	return is
})

// isROCA reports whether an RSA modulus was made by a library whose private keys
// can be computed from the public ones (CVE-2017-15361; Nemec et al., "The Return
// of Coppersmith's Attack", CCS 2017, section 3.2): modulo each small prime it is
// a power of 65537. Of other keys, one in 2^27 is.
func isROCA(n *big.Int) bool {
	is := powers()
	var p, rest big.Int
	for i, prime := range rocaPrimes {
		if !is[i][rest.Mod(n, p.SetUint64(uint64(prime))).Uint64()] {
			return false
		}
	}
	return true
}
