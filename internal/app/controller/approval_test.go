package controller

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/verdict"
)

// approving returns who may approve under the entry's uses, and the entry's key.
func approving(t testing.TB, uses, more string) (*approvers, crypto.Signer) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	set, err := config.Load(t.Context(), config.Bytes("trust", fmt.Appendf(nil, `
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: people}
spec: {entries: [{name: ada, owner: ada@example.com, uses: [%s], key: {pem: %q}}]}
%s`, uses, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), more)))
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	a, err := approversOf(set)
	if err != nil {
		t.Fatal(err)
	}
	return a, key
}

const someViolation = "0123456789abcdef"

func approval(change func(*Approval)) Approval {
	a := Approval{
		Violation: someViolation, Namespace: "vision", Action: v1alpha1.ActionIsolate, Reason: "it leaks",
		Approver: "ada", At: noon, Expires: noon.Add(time.Hour),
	}
	if change != nil {
		change(&a)
	}
	return a
}

func TestAnApprovalCountsForOneActionAboutOneViolation(t *testing.T) {
	for name, c := range map[string]struct {
		uses    string // Actions when empty
		change  func(*Approval)
		asked   func(*Approval) // what is asked about instead
		at      time.Time
		forged  bool
		unwell  bool // it cannot even be signed
		counts  bool
		because string
	}{
		"the one that is asked for":                   {counts: true},
		"one about another violation":                 {asked: func(a *Approval) { a.Violation = "fedcba9876543210" }},
		"one of another action":                       {asked: func(a *Approval) { a.Action = v1alpha1.ActionScaleToZero }},
		"one moved to another namespace":              {asked: func(a *Approval) { a.Namespace = "audio" }, because: "something else"},
		"one that expired":                            {at: noon.Add(2 * time.Hour), because: "expired"},
		"one from the future":                         {at: noon.Add(-2 * time.Hour), because: "future"},
		"one that a stranger signed":                  {forged: true, because: "verifies under none"},
		"one by a key that may only promote":          {uses: "Promotions", because: "verifies under none"},
		"one that names somebody else as its signer":  {change: func(a *Approval) { a.Approver = "grace" }, because: "grace"},
		"one for longer than a week":                  {change: func(a *Approval) { a.Expires = noon.Add(200 * time.Hour) }, unwell: true, because: "at most"},
		"one without a reason":                        {change: func(a *Approval) { a.Reason = "" }, unwell: true, because: "reason"},
		"one of an action that nobody has to approve": {change: func(a *Approval) { a.Action = v1alpha1.ActionReport }, unwell: true, because: "none of"},
		"one about no violation":                      {change: func(a *Approval) { a.Violation = "this" }, unwell: true, because: "hexadecimal"},
	} {
		t.Run(name, func(t *testing.T) {
			who, key := approving(t, "Actions", "")
			if c.uses != "" {
				who, key = approving(t, c.uses, "")
			}
			if c.forged {
				_, key = approving(t, "Actions", "")
			}
			asked := approval(c.change)
			annotation, value, err := asked.Sign(key)
			if c.unwell {
				if err == nil || !strings.Contains(err.Error(), c.because) {
					t.Errorf("it is signed: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.asked != nil {
				c.asked(&asked)
			}
			at := c.at
			if at.IsZero() {
				at = noon.Add(time.Minute)
			}
			counts, err := who.approved(asked.Namespace, map[string]string{annotation: value}, asked.Violation, asked.Action, at)
			if counts != c.counts || (err != nil) != (c.because != "") || err != nil && !strings.Contains(err.Error(), c.because) {
				t.Errorf("it counts: %v, %v", counts, err)
			}
		})
	}
}

func TestAnApprovalUnderAnothersAnnotationIsNone(t *testing.T) {
	who, key := approving(t, "Actions", "")
	_, value, err := approval(nil).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	other := approval(func(a *Approval) { a.Violation = "fedcba9876543210" })
	if ok, err := who.approved("vision", map[string]string{other.annotation(): value}, other.Violation, other.Action, noon); ok || err == nil {
		t.Errorf("it counts: %v, %v", ok, err)
	}
}

func TestTheKeyOfAnApproverCanBeRevoked(t *testing.T) {
	who, key := approving(t, "Actions", "")
	annotation, value, err := approval(nil).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := who.approved("vision", map[string]string{annotation: value}, someViolation, v1alpha1.ActionIsolate, noon); !ok || err != nil {
		t.Fatal(ok, err)
	}
	id, err := trust.KeyID(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	set, err := config.Load(t.Context(), config.Bytes("trust", fmt.Appendf(nil, `
apiVersion: security.apexlogic.com/v1alpha1
kind: TrustRoot
metadata: {name: people}
spec: {entries: [{name: ada, owner: ada@example.com, uses: [Actions], key: {pem: %q}}]}
---
{apiVersion: security.apexlogic.com/v1alpha1, kind: Revocation, metadata: {name: lost}, spec: {keyID: %q, reason: "the key was lost"}}
`, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), id)))
	if err != nil || set.Err() != nil {
		t.Fatal(err, set.Err())
	}
	if who, err = approversOf(set); err != nil {
		t.Fatal(err)
	}
	if ok, err := who.approved("vision", map[string]string{annotation: value}, someViolation, v1alpha1.ActionIsolate, noon); ok || err == nil {
		t.Errorf("an approval by a revoked key counts: %v, %v", ok, err)
	}
}

func FuzzApproval(f *testing.F) {
	who, key := approving(f, "Actions", "")
	_, value, err := approval(nil).Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	envelope, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(envelope)
	f.Add([]byte(`{"payload":"e30=","payloadType":"x","signatures":[]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		one, err := who.one(base64.StdEncoding.EncodeToString(data), noon)
		if err == nil && *one != approval(nil) {
			t.Errorf("%+v counts, and nobody signed it", one)
		}
	})
}

func TestWhatThePoliciesAskForIsDueAtItsTime(t *testing.T) {
	policy := violation{kind: "ImageSecurityPolicy", policy: "p"}
	unsigned := []violation{{policy.kind, policy.policy, verdict.SignatureMissing}}
	entries := func(text string) demands {
		set, err := config.Load(t.Context(), config.Bytes("f", []byte(`
apiVersion: security.apexlogic.com/v1alpha1
kind: ImageSecurityPolicy
metadata: {name: p}
spec:
  imageSelector: {}
  onViolation: `+text+`
  rules: [{name: VulnerabilityScanThreshold, parameters: {maxSeverity: High, vulnerabilityScanner: Apex}}]`)))
		if err != nil || set.Err() != nil {
			t.Fatal(err, set.Err())
		}
		return demandsOf(set)
	}
	for name, c := range map[string]struct {
		entries         string
		after           time.Duration
		begun, approved bool
		violations      []violation
		want            string
		next            time.Duration
	}{
		"nothing asked is a report":                 {entries: "[]"},
		"a report":                                  {entries: "[{action: Report}]"},
		"isolate":                                   {entries: "[{action: Isolate}]", want: "isolate"},
		"every entry, each on its own":              {entries: "[{action: Isolate}, {action: RollBack}]", want: "isolate rollBack"},
		"not before its time":                       {entries: "[{action: Isolate}, {action: ScaleToZero, after: 1h}]", after: time.Minute, want: "isolate", next: time.Hour},
		"at its time":                               {entries: "[{action: ScaleToZero, after: 1h}]", after: time.Hour, want: "stop"},
		"a code":                                    {entries: "[{action: Isolate, codes: [image.signature.missing]}]", want: "isolate"},
		"codes that begin alike":                    {entries: "[{action: Isolate, codes: [image.*]}]", want: "isolate"},
		"another code":                              {entries: "[{action: Isolate, codes: [subject.revoked, image.signature.missings]}]"},
		"without the approval that is asked for":    {entries: "[{action: Isolate, approval: Required}]", want: "waits"},
		"with it":                                   {entries: "[{action: Isolate, approval: Required}]", approved: true, want: "isolate"},
		"what has begun goes on without":            {entries: "[{action: Isolate, approval: Required}]", begun: true, want: "isolate"},
		"another entry that asks nobody":            {entries: "[{action: Isolate, approval: Required}, {action: Isolate, codes: [image.*]}]", want: "isolate"},
		"a violation of a policy that is not there": {entries: "[{action: Isolate}]", violations: []violation{{"ModelSecurityPolicy", "p", verdict.SignatureMissing}}},
		"no violation of any policy":                {entries: "[{action: Isolate}]", violations: []violation{}},
	} {
		t.Run(name, func(t *testing.T) {
			all := unsigned
			if c.violations != nil {
				all = c.violations
			}
			yes := func(is bool) func(v1alpha1.ViolationAction) bool {
				return func(v1alpha1.ViolationAction) bool { return is }
			}
			d := entries(c.entries).due(all, noon, noon.Add(c.after), yes(c.begun), yes(c.approved))
			var got []string
			for _, is := range []struct {
				is   bool
				name string
			}{{d.isolate, "isolate"}, {d.stop, "stop"}, {d.rollBack, "rollBack"}, {len(d.waits) > 0, "waits"}} {
				if is.is {
					got = append(got, is.name)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("due: %v, want %q", got, c.want)
			}
			if c.next == 0 && !d.next.IsZero() || c.next != 0 && !d.next.Equal(noon.Add(c.next)) {
				t.Errorf("more is due at %s", d.next)
			}
		})
	}
}
