package identity_test

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/identity"
)

func TestAnIDNamesWhoVouchesForIt(t *testing.T) {
	for id, want := range map[string]string{
		"spiffe://claims.example/intake/1":          "claims.example",
		"spiffe://claims.example":                   "claims.example",
		"spiffe://claims.example/a#b":               "claims.example",
		"https://id.example/tenant#ada":             "https://id.example/tenant",
		"https://id.example#spiffe://claims.exa/x#": "https://id.example",
		"claims.example/intake":                     "claims.example/intake", // no SPIFFE ID, so no trust domain
		"anonymous":                                 "anonymous",
		"":                                          "",
	} {
		if got := identity.IssuerOf(id); got != want {
			t.Errorf("%q is vouched for by %q, want %q", id, got, want)
		}
	}
}

func TestASPIFFEIDIsOneToTheLetter(t *testing.T) {
	for id, want := range map[string]bool{
		"spiffe://claims.example/intake/1":                     true,
		"spiffe://claims.example/in.take_1-A":                  true,
		"spiffe://claims.example":                              true,
		"spiffe://" + strings.Repeat("a", 255):                 true,
		"spiffe://" + strings.Repeat("a", 256):                 false,
		"spiffe://claims.example/" + strings.Repeat("a", 2024): true,
		"spiffe://claims.example/" + strings.Repeat("a", 2025): false,
		"spiffe://Claims.example/intake":                       false,
		"SPIFFE://claims.example/intake":                       false,
		"spiffe://claims.example/":                             false,
		"spiffe://claims.example/intake/":                      false,
		"spiffe://claims.example//intake":                      false,
		"spiffe://claims.example/a/../b":                       false,
		"spiffe://claims.example/./b":                          false,
		"spiffe://claims.example/a%2fb":                        false,
		"spiffe://claims.example/in\u212aeep":                  false, // KELVIN SIGN, whose lower case is a k
		"spiffe://claims.example:443/intake":                   false,
		"spiffe://user@claims.example/intake":                  false,
		"spiffe:///intake":                                     false,
		"https://claims.example/intake":                        false,
		"":                                                     false,
	} {
		if got := identity.IsSPIFFE(id); got != want {
			t.Errorf("%.80q: %t", id, got)
		}
	}
}
