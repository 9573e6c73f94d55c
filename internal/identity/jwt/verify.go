package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
)

// verify reports whether a signature over input is by a key. The caller has made
// sure that the algorithm is of the key's family. A JOSE library would parse the
// token a second time, which costs half as much as the signature.
//
// RFC 7518 section 3.3 (RS), 3.4 (ES), 3.5 (PS); RFC 8037 section 3.1 (EdDSA).
func verify(public crypto.PublicKey, algorithm, input string, signature []byte) bool {
	switch k := public.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, []byte(input), signature)
	case *ecdsa.PublicKey:
		// Two numbers of the size of the curve, and nothing else.
		size := (k.Curve.Params().BitSize + 7) / 8
		if len(signature) != 2*size {
			return false
		}
		_, digest := sum(algorithm, input)
		var r, s big.Int
		r.SetBytes(signature[:size])
		s.SetBytes(signature[size:])
		return ecdsa.Verify(k, digest, &r, &s) // refuses zero, and what is not below the order
	case *rsa.PublicKey:
		hash, digest := sum(algorithm, input)
		if algorithm[:2] == "PS" {
			return rsa.VerifyPSS(k, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(k, hash, digest, signature) == nil
	}
	return false
}

// sum hashes input as the last three digits of an algorithm's name say.
func sum(algorithm, input string) (crypto.Hash, []byte) {
	switch algorithm[2:] {
	case "384":
		d := sha512.Sum384([]byte(input))
		return crypto.SHA384, d[:]
	case "512":
		d := sha512.Sum512([]byte(input))
		return crypto.SHA512, d[:]
	}
	d := sha256.Sum256([]byte(input))
	return crypto.SHA256, d[:]
}
