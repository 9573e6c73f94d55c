package jwt

import (
	"crypto/rand"
	"math/big"
	"testing"
)

func TestAModulusOfTheBrokenLibraryIsRecognised(t *testing.T) {
	// N = k*M + 65537^a mod M, where M is the product of the primes.
	m := big.NewInt(1)
	for _, p := range rocaPrimes {
		m.Mul(m, big.NewInt(int64(p)))
	}
	for range 50 {
		a, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 200))
		if err != nil {
			t.Fatal(err)
		}
		k, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 1800))
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).Exp(big.NewInt(65537), a, m)
		n.Add(n, k.Mul(k, m))
		if !isROCA(n) {
			t.Fatal("one of its moduli is not recognised")
		}
		if other, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 2048)); err != nil || isROCA(other.SetBit(other, 0, 1)) {
			t.Fatalf("another number is taken for one: %v", err)
		}
	}
}
