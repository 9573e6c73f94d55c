package corpus

import "math/rand/v2"

// noise returns n bytes that look random and are the same in every run.
func noise(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 0xa9e8))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// weights returns n little-endian float32 values of a normal distribution, as
// trained parameters have.
func weights(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 0x77))
	b := make([]byte, 0, 4*n)
	for range n {
		b = append(b, lef32(float32(r.NormFloat64()*0.05))...)
	}
	return string(b)
}

// doubles is weights in float64.
func doubles(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 0x88))
	b := make([]byte, 0, 8*n)
	for range n {
		b = append(b, lef64(r.NormFloat64())...)
	}
	return string(b)
}

// counts returns n little-endian int64 values from 0 to below limit.
func counts(seed uint64, n, limit int) string {
	r := rand.New(rand.NewPCG(seed, 0x99))
	b := make([]byte, 0, 8*n)
	for range n {
		b = append(b, le64(r.IntN(limit))...)
	}
	return string(b)
}
