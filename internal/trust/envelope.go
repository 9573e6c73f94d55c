package trust

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/apexlogic/apex/internal/bounded"
)

// payloadTypeInToto is the only payload type that an image's envelope may have.
const payloadTypeInToto = "application/vnd.in-toto+json"

// envelope is a DSSE envelope with its base64 undone.
type envelope struct {
	payloadType string
	payload     []byte
	sigs        []envelopeSig
}

type envelopeSig struct {
	keyID string
	sig   []byte
}

// pae is DSSE's pre-authentication encoding: what is signed.
func pae(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len("DSSEv1 ")+len(payloadType)+len(payload)+24)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}

// parseEnvelope reads DSSE JSON strictly: exact field names, no duplicate keys.
func parseEnvelope(raw []byte) (*envelope, error) {
	if len(raw) > maxBundle {
		return nil, fmt.Errorf("envelope: %w of %d bytes", bounded.ErrTooLarge, maxBundle)
	}
	if err := checkJSON(raw); err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	// "cert" is what in-toto's own tools add; nothing trusts it.
	return decodeEnvelope(raw, "sig", "keyid", "cert")
}

// decodeEnvelope is parseEnvelope for JSON that was checked already;
// sigFields are the fields that a signature may have.
func decodeEnvelope(raw []byte, sigFields ...string) (*envelope, error) {
	fields, err := object(raw, "payload", "payloadType", "signatures")
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	e := &envelope{}
	if err := decodeString(fields.get("payloadType"), &e.payloadType); err != nil {
		return nil, fmt.Errorf("envelope payloadType: %w", err)
	}
	if e.payload, err = decodeBase64(fields.get("payload")); err != nil {
		return nil, fmt.Errorf("envelope payload: %w", err)
	}
	sigs, err := array(fields.get("signatures"))
	if err != nil {
		return nil, fmt.Errorf("envelope signatures: %w", err)
	}
	if len(sigs) == 0 {
		return nil, errors.New("envelope: it has no signature")
	}
	if len(sigs) > maxSignatures {
		return nil, fmt.Errorf("envelope: %d signatures, at most %d are read", len(sigs), maxSignatures)
	}
	for _, raw := range sigs {
		fields, err := object(raw, sigFields...)
		if err != nil {
			return nil, fmt.Errorf("envelope signature: %w", err)
		}
		var s envelopeSig
		if s.sig, err = decodeBase64(fields.get("sig")); err != nil {
			return nil, fmt.Errorf("envelope signature: %w", err)
		}
		if len(fields.get("keyid")) > 0 {
			if err := decodeString(fields.get("keyid"), &s.keyID); err != nil {
				return nil, fmt.Errorf("envelope keyid: %w", err)
			}
		}
		e.sigs = append(e.sigs, s)
	}
	return e, nil
}
