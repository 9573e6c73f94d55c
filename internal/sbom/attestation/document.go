package attestation

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/bounded"
)

// The types of predicates that are read. Others are a gap: what they say is not
// known here.
const (
	pypiPublish = "https://docs.pypi.org/attestations/publish/v1"
	npmPublish  = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1"
	slsaV1      = "https://slsa.dev/provenance/v1"
	slsaV02     = "https://slsa.dev/provenance/v0.2"
)

// errForeign is for JSON that is none of the documents.
var errForeign = errors.New("it is neither an attestation of PEP 740 nor one of npm")

// signed is one attestation, whichever way it was packed.
type signed struct {
	statement   statement
	payload     []byte // the bytes that were signed
	bundle      []byte // for package trust
	certificate []byte // DER; nil where a key signed
	key         string // id of that key
	publisher   *publisher
}

// publisher is whom an index names. Nobody signed that: it is held against the
// certificate.
type publisher struct {
	Kind         string `json:"kind"`
	Repository   string `json:"repository"`
	Workflow     string `json:"workflow"`
	WorkflowPath string `json:"workflow_filepath"`
	Email        string `json:"email"`
}

// statement is an in-toto statement, as far as it is read.
type statement struct {
	Type      string `json:"_type"`
	Predicate string `json:"predicateType"`
	Subjects  []struct {
		Name   string            `json:"name"`
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
}

// pep740 is an attestation object of PEP 740.
type pep740 struct {
	Version  int `json:"version"`
	Material *struct {
		Certificate []byte            `json:"certificate"`
		Entries     []json.RawMessage `json:"transparency_entries"`
		Timestamps  [][]byte          `json:"timestamps"`
	} `json:"verification_material"`
	Envelope *struct {
		Statement []byte `json:"statement"`
		Signature []byte `json:"signature"`
	} `json:"envelope"`
}

// raw is any of the documents.
type raw struct {
	pep740
	Bundles []struct {
		Publisher    *publisher `json:"publisher"`
		Attestations []pep740   `json:"attestations"`
	} `json:"attestation_bundles"`
	Attestations []struct {
		Bundle json.RawMessage `json:"bundle"`
	} `json:"attestations"`
	MediaType string `json:"mediaType"`
}

// parse reads a document. It wraps errForeign when it is of another kind.
func parse(data []byte) ([]signed, error) {
	var doc raw
	if err := bounded.JSON(data, maxDepth, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", errForeign, err)
	}
	var out []signed
	add := func(s signed, err error) error {
		if err == nil {
			out = append(out, s)
		}
		return err
	}
	switch {
	case doc.Bundles != nil:
		if doc.Version != 1 {
			return nil, fmt.Errorf("the provenance is of version %d, and 1 is read", doc.Version)
		}
		for _, b := range doc.Bundles {
			for i := range b.Attestations {
				s, err := b.Attestations[i].signed()
				s.publisher = b.Publisher
				if err := add(s, err); err != nil {
					return nil, err
				}
			}
		}
	case doc.Material != nil || doc.Envelope != nil:
		if err := add(doc.pep740.signed()); err != nil {
			return nil, err
		}
	case doc.Attestations != nil:
		for _, a := range doc.Attestations {
			if err := add(ofBundle(a.Bundle)); err != nil {
				return nil, err
			}
		}
	case doc.MediaType != "":
		if err := add(ofBundle(data)); err != nil {
			return nil, err
		}
	default:
		return nil, errForeign
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no attestation")
	}
	return out, nil
}

type object = map[string]any

// signed makes a bundle of an attestation object: the same parts under the names
// that sigstore gives them.
func (a *pep740) signed() (signed, error) {
	switch {
	case a.Version != 1:
		return signed{}, fmt.Errorf("the attestation is of version %d, and 1 is read", a.Version)
	case a.Material == nil || a.Envelope == nil || len(a.Material.Certificate) == 0:
		return signed{}, errors.New("the attestation has no envelope, or nothing to verify it with")
	}
	material := object{"certificate": object{"rawBytes": a.Material.Certificate}, "tlogEntries": a.Material.Entries}
	if len(a.Material.Timestamps) > 0 {
		var stamps []object
		for _, t := range a.Material.Timestamps {
			stamps = append(stamps, object{"signedTimestamp": t})
		}
		material["timestampVerificationData"] = object{"rfc3161Timestamps": stamps}
	}
	s := signed{payload: a.Envelope.Statement, certificate: a.Material.Certificate}
	return s.pack("application/vnd.dev.sigstore.bundle.v0.3+json", material, payloadInToto, []object{{"sig": a.Envelope.Signature}})
}

const payloadInToto = "application/vnd.in-toto+json"

// ofBundle reads a sigstore bundle with an envelope. Only the parts that are
// looked at here are handed on, so that nobody reads it in another way.
func ofBundle(data []byte) (signed, error) {
	type certificate struct {
		RawBytes []byte `json:"rawBytes"`
	}
	var b struct {
		MediaType string `json:"mediaType"`
		Material  struct {
			Certificate *certificate `json:"certificate"`
			Chain       *struct {
				Certificates []certificate `json:"certificates"`
			} `json:"x509CertificateChain"`
			Key *struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
			Entries []json.RawMessage `json:"tlogEntries"`
			Stamps  json.RawMessage   `json:"timestampVerificationData"`
		} `json:"verificationMaterial"`
		Envelope *struct {
			Payload     []byte `json:"payload"`
			PayloadType string `json:"payloadType"`
			Signatures  []struct {
				Sig   []byte `json:"sig"`
				KeyID string `json:"keyid"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return signed{}, fmt.Errorf("bundle: %w", err)
	}
	if b.Envelope == nil || len(b.Envelope.Signatures) != 1 {
		return signed{}, errors.New("bundle: it has no envelope with one signature")
	}
	s := signed{payload: b.Envelope.Payload}
	material := object{}
	switch {
	case b.Material.Certificate != nil:
		s.certificate = b.Material.Certificate.RawBytes
		material["certificate"] = b.Material.Certificate
	case b.Material.Chain != nil && len(b.Material.Chain.Certificates) > 0:
		s.certificate = b.Material.Chain.Certificates[0].RawBytes
		material["x509CertificateChain"] = b.Material.Chain
	case b.Material.Key != nil:
		s.key = b.Material.Key.Hint
		material["publicKey"] = b.Material.Key
	default:
		return signed{}, errors.New("bundle: it has nothing to verify it with")
	}
	if b.Material.Entries != nil {
		material["tlogEntries"] = b.Material.Entries
	}
	if b.Material.Stamps != nil {
		material["timestampVerificationData"] = b.Material.Stamps
	}
	sig := b.Envelope.Signatures[0]
	if s.key == "" {
		s.key = sig.KeyID
	}
	return s.pack(b.MediaType, material, b.Envelope.PayloadType, []object{{"sig": sig.Sig, "keyid": sig.KeyID}})
}

// pack writes the bundle and reads the statement.
func (s signed) pack(mediaType string, material object, payloadType string, sigs []object) (signed, error) {
	if payloadType != payloadInToto {
		return signed{}, fmt.Errorf("its payload is %q and no statement", clip(payloadType))
	}
	if err := bounded.JSON(s.payload, maxDepth, &s.statement); err != nil {
		return signed{}, fmt.Errorf("statement: %w", err)
	}
	var err error
	s.bundle, err = json.Marshal(object{
		"mediaType": mediaType, "verificationMaterial": material,
		"dsseEnvelope": object{"payload": base64.StdEncoding.EncodeToString(s.payload), "payloadType": payloadType, "signatures": sigs},
	})
	return s, err
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return s[:maxText] + "…"
}
