package oms

import (
	"crypto/elliptic"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
)

const issuer, ci = "https://accounts.example.org", "release@models.example.org"

// keyless is a sigstore deployment that signed the model in dir.
func keyless(t *testing.T, change func(*trusttest.Keyless)) (bundle []byte, ss *trusttest.Sigstore, dir string) {
	ss, dir = trusttest.NewSigstore(t, now.AddDate(0, -6, 0)), small(t)
	payload := must[[]byte](t)(mustHash(t, dir, Options{}).Manifest.statement())
	k := trusttest.Keyless{Leaf: ss.Certify(trusttest.Certify{Subject: ci, Issuer: issuer}), Payload: payload}
	if change != nil {
		change(&k)
	}
	return ss.Bundle(k), ss, dir
}

func identity(t *testing.T, ss *trusttest.Sigstore, subject string) Policy {
	return Policy{Now: now, Trust: trusttest.Root(t, trust.Options{}, trust.Entry{Name: "release", Keyless: &trust.KeylessEntry{
		TrustedRootJSON: ss.TrustedRoot(nil), Issuer: issuer, Subject: subject,
	}})}
}

func TestAnIdentitySignsAndALogDatesIt(t *testing.T) {
	raw, ss, dir := keyless(t, nil)
	v, err := Verify(t.Context(), raw, dir, identity(t, ss, ci))
	if err != nil {
		t.Fatal(err)
	}
	by := v.SignedBy
	if by.Scheme != ByIdentity || by.Identity.Subject != ci || by.Identity.Issuer != issuer || by.TrustedBy[0] != "release" ||
		by.Clock != ClockWitness || !by.Time.Equal(now.AddDate(0, -6, 0).Add(time.Minute)) {
		t.Errorf("signed by %+v", by)
	}
	write(t, filepath.Join(dir, "config.json"), "{}")
	var diff *MismatchError
	if _, err := Verify(t.Context(), raw, dir, identity(t, ss, ci)); !errors.As(err, &diff) {
		t.Errorf("a changed file: %v", err)
	}
}

func TestAnIdentityThatIsNotTrustedSignsNothing(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*trusttest.Keyless)
		policy func(*testing.T, *trusttest.Sigstore) Policy
		want   string
		is     error
	}{
		{name: "another identity", policy: func(t *testing.T, ss *trusttest.Sigstore) Policy {
			return identity(t, ss, "other@models.example.org")
		}, want: "another identity", is: ErrSignature},
		{name: "another deployment", policy: func(t *testing.T, _ *trusttest.Sigstore) Policy {
			return identity(t, trusttest.NewSigstore(t, now), ci)
		}, want: "log", is: ErrSignature},
		{name: "no trust root", policy: func(*testing.T, *trusttest.Sigstore) Policy { return Policy{Now: now} }, want: "names none", is: ErrSignature},
		{name: "only keys", policy: func(t *testing.T, _ *trusttest.Sigstore) Policy { return trusting(t, edKey(t)) }, want: "names none", is: ErrSignature},
		{name: "not logged", change: func(k *trusttest.Keyless) { k.WithoutLog = true }, want: "transparency log", is: ErrManifest},
		{name: "logged for another payload", change: func(k *trusttest.Keyless) { k.LogPayload = []byte("{}") }, want: "log", is: ErrSignature},
		{name: "logged after the certificate's end", change: func(k *trusttest.Keyless) {
			k.LoggedAt = k.Leaf.NotAfter.Add(time.Hour)
			k.StampedAt = k.LoggedAt
		}, want: "valid", is: ErrSignature},
	} {
		t.Run(test.name, func(t *testing.T) {
			raw, ss, dir := keyless(t, test.change)
			if test.change != nil { // the twin
				good, ss, dir := keyless(t, nil)
				if _, err := Verify(t.Context(), good, dir, identity(t, ss, ci)); err != nil {
					t.Fatal(err)
				}
			}
			p := identity(t, ss, ci)
			if test.policy != nil {
				p = test.policy(t, ss)
			}
			if _, err := Verify(t.Context(), raw, dir, p); !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestALogDatesASignatureByAKey(t *testing.T) {
	ss, dir, key := trusttest.NewSigstore(t, now), small(t), ecKey(t, elliptic.P256())
	at := now.Add(-time.Hour)
	k := trusttest.KeyOf(t, key)
	raw := ss.BundleLoggedKey(k, mustSign(t, mustHash(t, dir, Options{}).Manifest, Signer{Key: key}), at, time.Time{})
	entry := k.Entry("release")
	entry.Key.RequireLog = true
	root := trusttest.Root(t, trust.Options{TrustedRootJSON: ss.TrustedRoot(nil)}, entry)
	v, err := Verify(t.Context(), raw, dir, Policy{Trust: root, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if v.SignedBy.Clock != ClockWitness || !v.SignedBy.Time.Equal(at) {
		t.Errorf("dated %s by %s", v.SignedBy.Time, v.SignedBy.Clock)
	}
	unlogged := mustSign(t, v.Manifest, Signer{Key: key})
	if _, err := Verify(t.Context(), unlogged, dir, Policy{Trust: root, Now: now}); !errors.Is(err, ErrSignature) {
		t.Errorf("without the entry: %v", err)
	}
}
