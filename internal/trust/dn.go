package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// distinguished is a distinguished name: attribute type, as RFC 4514 abbreviates
// it, to its values.
type distinguished map[string][]string

// dnTypes are the attributes that an identity may name: those of the Notary
// Project specification and the common name.
var dnTypes = [...]string{"CN", "O", "OU", "C", "ST", "L", "STREET", "POSTALCODE", "SERIALNUMBER"}

// maxDN bounds an identity.
const maxDN = 1024

// parseDN reads "CN=a,O=b\, c" (RFC 4514 with backslash escapes of single
// characters). An optional prefix "x509.subject:" is what trust policies of
// Notation write.
func parseDN(text string) (distinguished, error) {
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "x509.subject:"))
	if len(text) > maxDN {
		return nil, fmt.Errorf("longer than %d bytes", maxDN)
	}
	if text == "" || text == "*" {
		return nil, errors.New("it names nobody; write CN=…,O=…")
	}
	dn := distinguished{}
	for _, part := range splitDN(text) {
		key, value, ok := strings.Cut(part, "=")
		key = strings.ToUpper(strings.TrimSpace(key))
		value = unescapeDN(strings.TrimSpace(value))
		if key == "S" {
			key = "ST"
		}
		if !ok || value == "" {
			return nil, fmt.Errorf("%q is not ATTRIBUTE=value", part)
		}
		if !slices.Contains(dnTypes[:], key) {
			return nil, fmt.Errorf("attribute %q is not one of %s", key, strings.Join(dnTypes[:], ", "))
		}
		dn[key] = append(dn[key], value)
	}
	return dn, nil
}

// splitDN splits at commas and plus signs that are not escaped.
func splitDN(text string) []string {
	var parts []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case ',', '+':
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

func unescapeDN(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func distinguishedOf(cert *x509.Certificate) distinguished {
	s := cert.Subject
	dn := distinguished{
		"O": s.Organization, "OU": s.OrganizationalUnit, "C": s.Country, "ST": s.Province,
		"L": s.Locality, "STREET": s.StreetAddress, "POSTALCODE": s.PostalCode,
	}
	if s.CommonName != "" {
		dn["CN"] = []string{s.CommonName}
	}
	if s.SerialNumber != "" {
		dn["SERIALNUMBER"] = []string{s.SerialNumber}
	}
	return dn
}

// within reports whether every attribute of d is in other. Values are compared
// byte for byte: two spellings of one name are two names.
func (d distinguished) within(other distinguished) bool {
	for key, values := range d {
		for _, v := range values {
			if !slices.Contains(other[key], v) {
				return false
			}
		}
	}
	return true
}
