package gitops

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// Records writes and reads what is remembered in a [Store]: JSON in one line, and
// the signature over it in the next. Who can write the store, and cannot sign, can
// destroy a record and not forge one.
type Records struct {
	// Purpose begins what is signed, so that a record of one kind is none of another.
	Purpose string
	// Most is how many bytes a record has at most.
	Most int
	// Sign signs as Apex, Verify refuses what Apex did not sign.
	Sign   func(ctx context.Context, message []byte) (signature []byte, err error)
	Verify func(ctx context.Context, message, signature []byte) error
}

func (r *Records) signed(line []byte) []byte {
	return append([]byte(r.Purpose+"\n"), line...)
}

// Encode returns v as a signed record.
func (r *Records) Encode(ctx context.Context, v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	signature, err := r.Sign(ctx, r.signed(line))
	if err != nil {
		return nil, fmt.Errorf("sign it: %w", err)
	}
	record := append(append(line, '\n'), base64.StdEncoding.EncodeToString(signature)+"\n"...)
	if len(record) > r.Most {
		return nil, fmt.Errorf("it has %d bytes, it may have %d", len(record), r.Most)
	}
	return record, nil
}

// Decode reads what Encode wrote into v, and refuses everything else. What v
// holds has still to be checked.
func (r *Records) Decode(ctx context.Context, record []byte, v any) error {
	if len(record) > r.Most {
		return fmt.Errorf("it has %d bytes, it may have %d", len(record), r.Most)
	}
	line, rest, _ := bytes.Cut(record, []byte("\n"))
	signature, err := base64.StdEncoding.DecodeString(string(bytes.TrimSuffix(rest, []byte("\n"))))
	if err != nil || len(signature) == 0 {
		return errors.New("it is not signed")
	}
	if err := r.Verify(ctx, r.signed(line), signature); err != nil {
		return fmt.Errorf("its signature does not hold: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	return nil
}
