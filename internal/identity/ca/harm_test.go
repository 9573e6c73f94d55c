package ca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
)

func mustKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// replaceKey puts another key into the file of authorities.
func replaceKey(data, key []byte) []byte {
	var all []map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		panic(err)
	}
	all[0]["key"] = key
	out, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return out
}
