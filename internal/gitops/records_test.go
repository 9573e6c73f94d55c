package gitops

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
)

// recordsOf signs with a key of its own.
func recordsOf(t *testing.T, purpose string) *Records {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Records{Purpose: purpose, Most: 400,
		Sign: func(_ context.Context, m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil },
		Verify: func(_ context.Context, m, s []byte) error {
			if !ed25519.Verify(public, m, s) {
				return errors.New("another key, or other bytes")
			}
			return nil
		}}
}

func TestARecordIsReadOnlyAsApexWroteItForThatPurpose(t *testing.T) {
	type kept struct{ Name string }
	r := recordsOf(t, "apex state v1")
	good, err := r.Encode(t.Context(), kept{"captioner"})
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	another, more := *r, recordsOf(t, "apex state v1")
	another.Purpose = "apex release v1"
	wider, err := r.Encode(t.Context(), map[string]string{"Name": "captioner", "Other": "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		by     *Records
		record []byte
		why    string // "": it is read
	}{
		{"as it was written", r, good, ""},
		{"without the last end of line", r, bytes.TrimSuffix(good, []byte("\n")), ""},
		{"with a letter changed", r, replace("captioner", "captioned"), "its signature does not hold"},
		{"without its signature", r, good[:bytes.IndexByte(good, '\n')+1], "it is not signed"},
		{"with something else for a signature", r, append(bytes.Clone(good[:bytes.IndexByte(good, '\n')+1]), "!\n"...), "it is not signed"},
		{"of another purpose", &another, good, "its signature does not hold"},
		{"of another key", more, good, "its signature does not hold"},
		{"with a field that nobody knows", r, wider, "it cannot be read"},
		{"that is too long", r, append(bytes.Clone(good), bytes.Repeat([]byte("\n"), 400)...), "it may have 400"},
		{"that is empty", r, nil, "it is not signed"},
	} {
		var got kept
		err := tc.by.Decode(t.Context(), tc.record, &got)
		if tc.why == "" && (err != nil || got.Name != "captioner") || tc.why != "" && (err == nil || !strings.Contains(err.Error(), tc.why)) {
			t.Errorf("%s: %+v, %v; want %q", tc.name, got, err, tc.why)
		}
	}
}

func TestARecordThatCouldNotBeReadAgainIsNotWritten(t *testing.T) {
	r := recordsOf(t, "apex state v1")
	if _, err := r.Encode(t.Context(), strings.Repeat("x", 400)); err == nil {
		t.Error("a record is written that is longer than what is read")
	}
	r.Sign = func(context.Context, []byte) ([]byte, error) { return nil, errors.New("the key is away") }
	if _, err := r.Encode(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "the key is away") {
		t.Errorf("without a signature: %v", err)
	}
}
