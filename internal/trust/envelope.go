package trust

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

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
	return decodeEnvelope(raw)
}

// checkJSON refuses JSON that two readers could read differently: duplicate
// keys, text that is not UTF-8, nesting beyond every need.
func checkJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("it is not UTF-8")
	}
	return bounded.CheckJSON(raw, maxDepth)
}

// decodeEnvelope is parseEnvelope for JSON that was checked already.
func decodeEnvelope(raw []byte) (*envelope, error) {
	fields, err := object(raw, "payload", "payloadType", "signatures")
	if err != nil {
		return nil, fmt.Errorf("envelope: %w", err)
	}
	e := &envelope{}
	if err := decodeString(fields["payloadType"], &e.payloadType); err != nil {
		return nil, fmt.Errorf("envelope payloadType: %w", err)
	}
	if e.payload, err = decodeBase64(fields["payload"]); err != nil {
		return nil, fmt.Errorf("envelope payload: %w", err)
	}
	var sigs []json.RawMessage
	if len(fields["signatures"]) > 0 {
		if err := json.Unmarshal(fields["signatures"], &sigs); err != nil {
			return nil, fmt.Errorf("envelope signatures: %w", err)
		}
	}
	if len(sigs) == 0 {
		return nil, errors.New("envelope: it has no signature")
	}
	if len(sigs) > maxSignatures {
		return nil, fmt.Errorf("envelope: %d signatures, at most %d are read", len(sigs), maxSignatures)
	}
	for _, raw := range sigs {
		// "cert" is what in-toto's own tools add; nothing trusts it.
		fields, err := object(raw, "sig", "keyid", "cert")
		if err != nil {
			return nil, fmt.Errorf("envelope signature: %w", err)
		}
		var s envelopeSig
		if s.sig, err = decodeBase64(fields["sig"]); err != nil {
			return nil, fmt.Errorf("envelope signature: %w", err)
		}
		if len(fields["keyid"]) > 0 {
			if err := decodeString(fields["keyid"], &s.keyID); err != nil {
				return nil, fmt.Errorf("envelope keyid: %w", err)
			}
		}
		e.sigs = append(e.sigs, s)
	}
	return e, nil
}

// object decodes a JSON object whose keys are all in allowed. encoding/json
// matches struct fields without regard to case; a signed document must not be
// read more generously than other verifiers read it, so keys are exact here.
func object(raw []byte, allowed ...string) (map[string]json.RawMessage, error) {
	fields, err := openObject(raw)
	if err != nil {
		return nil, err
	}
next:
	for key := range fields {
		for _, a := range allowed {
			if key == a {
				continue next
			}
		}
		return nil, fmt.Errorf("unknown field %q", clip(key))
	}
	return fields, nil
}

// openObject is object for documents that may grow fields.
func openObject(raw []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	if fields == nil {
		return nil, errors.New("expected an object")
	}
	return fields, nil
}

func decodeString(raw json.RawMessage, s *string) error {
	if len(raw) == 0 {
		return errors.New("missing")
	}
	if raw[0] != '"' {
		return errors.New("expected a string")
	}
	return json.Unmarshal(raw, s)
}

// decodeBase64 accepts the standard alphabet with padding, which every producer
// writes. An empty value is refused: nothing that is signed or signs is empty.
func decodeBase64(raw json.RawMessage) ([]byte, error) {
	var b []byte
	// A string without escapes needs no unquoting; base64 has none.
	if n := len(raw); n >= 2 && raw[0] == '"' {
		text := raw[1 : n-1]
		b = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(b, text)
		if err != nil {
			return nil, err
		}
		b = b[:n]
	}
	if len(b) == 0 {
		return nil, errors.New("missing or empty")
	}
	return b, nil
}
