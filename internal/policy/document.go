package policy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/verdict"
)

// The kinds of signed documents, as they are named in their payload types.
const (
	DocumentException  = "PolicyException"
	DocumentRevocation = "Revocation"
)

// DocumentVerifier checks the DSSE envelope of a document against the TrustRoot
// entries that are for the use, and returns what was signed and by whom. An
// error means that nobody whom we believe for this use signed it.
type DocumentVerifier func(use v1alpha1.TrustUse, kind string, envelope []byte) (doc []byte, signers []fact.Signing, err error)

// verifySpec checks that the signature covers exactly this spec and returns the
// names of the entries that signed it. spec is a copy without its signature.
func verifySpec(verify DocumentVerifier, use v1alpha1.TrustUse, kind string, signature *v1alpha1.DocumentSignature, spec any) ([]string, error) {
	if signature == nil {
		return nil, fmt.Errorf("it is not signed")
	}
	envelope, err := base64.StdEncoding.DecodeString(signature.Envelope)
	if err != nil {
		return nil, fmt.Errorf("spec.signature.envelope is not base64: %w", err)
	}
	doc, signers, err := verify(use, kind, envelope)
	if err != nil {
		return nil, err
	}
	want, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	same, err := equalJSON(want, doc)
	if err != nil {
		return nil, err
	}
	if !same {
		return nil, fmt.Errorf("the signature is over another text than the spec that it is in")
	}
	var names []string
	for i := range signers {
		if signers[i].Code == verdict.OK {
			names = append(names, signers[i].TrustedBy...)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no TrustRoot entry for %s signed it", use)
	}
	return names, nil
}

// equalJSON compares two documents without regard to order and white space.
func equalJSON(a, b []byte) (bool, error) {
	var normal [2][]byte
	for i, data := range [][]byte{a, b} {
		var v any
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			return false, fmt.Errorf("signed document: %w", err)
		}
		out, err := json.Marshal(v)
		if err != nil {
			return false, err
		}
		normal[i] = out
	}
	return bytes.Equal(normal[0], normal[1]), nil
}
