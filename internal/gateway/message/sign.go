package message

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/identity"
	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// The extension attributes that carry who sends an event and what they signed.
const (
	Signed    = "apexsigned"    // the names that are signed, sorted, with commas between
	Chain     = "apexchain"     // an X.509-SVID: DER, leaf first, all together in base64
	Signature = "apexsignature" // with Chain: DSSE's signature by the leaf's key, in base64
	Token     = "apextoken"     // or a JWT-SVID whose audience names what is signed
)

// PayloadType is DSSE's type of what is signed: the JSON object with the
// attributes that Signed names and the digest of the data, written by RFC 8785.
const PayloadType = "application/vnd.apex.message.v1+json"

// maxChain is the longest chain that is looked at.
const maxChain = 4

// Sign signs an event with the key of an X.509-SVID. It sets the time when there
// is none, and signs every attribute that the event has.
func Sign(e *Event, key crypto.Signer, chain []*x509.Certificate, now time.Time) error {
	if len(chain) == 0 || len(chain) > maxChain {
		return fmt.Errorf("sign a message: a chain of %d certificates, 1 to %d are needed", len(chain), maxChain)
	}
	var der []byte
	for _, c := range chain {
		der = append(der, c.Raw...)
	}
	delete(e.Attributes, Token)
	delete(e.Attributes, Signature)
	e.Attributes[Chain] = base64.StdEncoding.EncodeToString(der)
	if err := prepare(e, now); err != nil {
		return fmt.Errorf("sign a message: %w", err)
	}
	payload, err := payload(e)
	if err != nil {
		return fmt.Errorf("sign a message: %w", err)
	}
	algorithm, hash, err := algorithmOf(chain[0].PublicKey)
	if err != nil {
		return fmt.Errorf("sign a message: %w", err)
	}
	signed := pae(payload)
	var sig []byte
	switch {
	case algorithm == x509.PureEd25519:
		sig, err = key.Sign(rand.Reader, signed, crypto.Hash(0))
	case algorithm == x509.SHA256WithRSAPSS:
		sig, err = key.Sign(rand.Reader, digestOf(hash, signed), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash})
	default:
		sig, err = key.Sign(rand.Reader, digestOf(hash, signed), hash)
	}
	if err != nil {
		return fmt.Errorf("sign a message: %w", err)
	}
	e.Attributes[Signature] = base64.StdEncoding.EncodeToString(sig)
	return e.check()
}

// Bind makes an event ready for a JWT-SVID, and returns the audience that the
// token has to have beside the one of the receiver: it names the event and its
// data, so that the token stands for nothing else. Put it under [Token].
func Bind(e *Event, now time.Time) (audience string, err error) {
	for _, name := range []string{Chain, Signature, Token} {
		delete(e.Attributes, name)
	}
	if err := prepare(e, now); err != nil {
		return "", fmt.Errorf("bind a message: %w", err)
	}
	payload, err := payload(e)
	if err != nil {
		return "", fmt.Errorf("bind a message: %w", err)
	}
	return audienceOf(payload), nil
}

func prepare(e *Event, now time.Time) error {
	if e.Attributes["time"] == "" {
		e.Attributes["time"] = now.UTC().Format(time.RFC3339Nano)
	}
	delete(e.Attributes, Signed)
	e.Attributes[Signed] = strings.Join(e.names(), ",")
	return e.check()
}

// payload is what is signed. It is nowhere sent: who verifies writes it anew,
// from the event that is passed on.
func payload(e *Event) ([]byte, error) {
	names := strings.Split(e.Attributes[Signed], ",")
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		return nil, malformed("the names that are signed are not sorted, or one is there twice")
	}
	attributes := map[string]string{Signed: e.Attributes[Signed]}
	for _, name := range names {
		value, ok := e.Attributes[name]
		if !ok || name == Signature || name == Token || name == Signed {
			return nil, media.Refuse(verdict.MessageSignature, "", "an attribute that is signed is missing")
		}
		attributes[name] = value
	}
	for _, name := range slices.Concat(core, []string{Chain}) {
		if _, there := e.Attributes[name]; there && !slices.Contains(names, name) {
			return nil, media.Refuse(verdict.MessageSignature, "", "the attribute %s is not signed", name)
		}
	}
	sum := sha256.Sum256(e.Data)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // RFC 8785 escapes what has to be; check refused what Go escapes beyond that
	err := enc.Encode(struct {
		Attributes map[string]string `json:"attributes"`
		Data       string            `json:"data"`
	}{attributes, "sha256:" + hex.EncodeToString(sum[:])})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// pae is DSSE's pre-authentication encoding.
func pae(payload []byte) []byte {
	b := append([]byte("DSSEv1 "), strconv.Itoa(len(PayloadType))...)
	b = append(append(b, ' '), PayloadType...)
	b = strconv.AppendInt(append(b, ' '), int64(len(payload)), 10)
	return append(append(b, ' '), payload...)
}

func audienceOf(payload []byte) string {
	sum := sha256.Sum256(pae(payload))
	return "apex-message:sha256:" + hex.EncodeToString(sum[:])
}

func digestOf(hash crypto.Hash, b []byte) []byte {
	h := hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// algorithmOf is the one algorithm that a key signs messages with: nothing in a
// message chooses it.
func algorithmOf(public any) (x509.SignatureAlgorithm, crypto.Hash, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return x509.ECDSAWithSHA256, crypto.SHA256, nil
		case elliptic.P384():
			return x509.ECDSAWithSHA384, crypto.SHA384, nil
		}
	case ed25519.PublicKey:
		return x509.PureEd25519, 0, nil
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n >= 2048 && n <= 8192 {
			return x509.SHA256WithRSAPSS, crypto.SHA256, nil
		}
	}
	return 0, 0, errors.New("messages are signed with ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits")
}

// shown returns what an event shows of its sender, once the sender proved to
// have its key; bound is the audience that a token has to have, "" without one.
func shown(e *Event, payload []byte) (c *identity.Credentials, bound string, err error) {
	chain, hasChain := e.Attributes[Chain]
	signature, hasSignature := e.Attributes[Signature]
	token, hasToken := e.Attributes[Token]
	refuse := func(what string) (*identity.Credentials, string, error) {
		return nil, "", media.Refuse(verdict.MessageSignature, "", "%s", what)
	}
	switch {
	case hasToken && !hasChain && !hasSignature && token != "":
		return &identity.Credentials{Bearer: token}, audienceOf(payload), nil
	case !hasChain || !hasSignature || hasToken:
		return refuse("the message needs a chain of certificates and a signature, or a token, and not both")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(chain)
	if err != nil {
		return refuse("the chain of certificates is not base64")
	}
	peer, err := x509.ParseCertificates(der)
	if err != nil || len(peer) == 0 || len(peer) > maxChain {
		return refuse("the chain of certificates cannot be read")
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(signature)
	if err != nil {
		return refuse("the signature is not base64")
	}
	algorithm, _, err := algorithmOf(peer[0].PublicKey)
	if err != nil {
		return refuse("the key of the certificate is of no kind that signs messages")
	}
	if err := peer[0].CheckSignature(algorithm, pae(payload), sig); err != nil {
		return refuse("the signature is not by the key of the certificate, or the message was changed")
	}
	return &identity.Credentials{Peer: peer}, "", nil
}
