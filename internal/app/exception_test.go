package app

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/config"
	"github.com/apexlogic/apex/internal/trust/trusttest"
	"github.com/apexlogic/apex/verdict"
)

// A denied image is let through by a signed exception, the verdict shows it
// beside the failed check, and when its time is over the image is denied again.
func TestAnExceptionLetsOneDigestThroughUntilItExpires(t *testing.T) {
	now := clock.At(time.Now().UTC().Truncate(time.Second))
	l := goLive(t, now)
	client := l.client()
	before := l.commit(map[string][]byte{"note.md": []byte("1\n")})
	if v := l.of(before, "vision/captioner-unsigned"); v.Decision != verdict.Deny || v.Code != verdict.SignatureMissing {
		t.Fatalf("before: %v %s", v.Decision, v.Code)
	}
	e, err := NewException(t.Context(), client, ExceptionRequest{
		Image:  l.host + "/vision/captioner-unsigned:1.0",
		Policy: "multimodal-ai-model-image-policy", Rule: string(v1alpha1.RequireImageSignature),
		Reason: "the signing service is down", Author: "ana@apexlogic.example", Expires: now.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	if e.Spec.Repository != l.host+"/vision/captioner-unsigned" || strings.Contains(e.Spec.Digest, "1.0") {
		t.Errorf("the exception names %s in %s", e.Spec.Digest, e.Spec.Repository)
	}
	unsigned, err := DocumentYAML(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	file := ExceptionFile(e.Name)
	if v := l.of(l.commit(map[string][]byte{file: unsigned}), "vision/captioner-unsigned"); v.Decision != verdict.Deny {
		t.Fatalf("nobody has approved it, and the image is allowed: %s", v.Reason)
	}

	trusted, _, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signed, _, approver, err := Approve(t.Context(), unsigned, l.key(approverKey), trusted, now.Now())
	if err != nil || approver != "security@apexlogic.example" {
		t.Fatalf("approved by %q: %v", approver, err)
	}
	during := l.commit(map[string][]byte{file: signed})
	v := l.of(during, "vision/captioner-unsigned")
	c := check(t, v, "RequireImageSignature")
	if v.Decision != verdict.Allow || c.Exception != e.Name || c.Outcome == verdict.Pass {
		t.Fatalf("during: %v %s; the check is %+v", v.Decision, v.Reason, c)
	}
	if v.Until.IsZero() || v.Until.After(e.Spec.ExpiresAt.Time) {
		t.Errorf("the verdict holds until %v, but the exception until %v only", v.Until, e.Spec.ExpiresAt)
	}
	if o := l.of(during, "vision/captioner-stranger"); o.Decision != verdict.Deny {
		t.Error("another digest is let through as well")
	}

	now.Advance(time.Hour)
	after := l.of(l.commit(map[string][]byte{"note.md": []byte("2\n")}), "vision/captioner-unsigned")
	if after.Decision != verdict.Deny || after.Code != verdict.SignatureMissing {
		t.Errorf("after: %v %s", after.Decision, after.Reason)
	}
	if !slices.ContainsFunc(after.Checks, func(c verdict.Check) bool { return c.Code == verdict.ExceptionExpired }) {
		t.Error("nothing says that the exception has expired")
	}
}

// What makes an approval count, each beside the same approval with the one
// thing changed.
func TestApprovals(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	approver, author, images := trusttest.NewKey(t), trusttest.NewKey(t), trusttest.NewKey(t)
	entry := func(name, owner string, k trusttest.Key, uses ...v1alpha1.TrustUse) v1alpha1.TrustEntry {
		return v1alpha1.TrustEntry{Name: name, Owner: owner, Uses: uses, Key: &v1alpha1.KeyEntry{PEM: string(k.PEM)}}
	}
	root := func(t *testing.T, entries ...v1alpha1.TrustEntry) *config.Set {
		t.Helper()
		doc := &v1alpha1.TrustRoot{TypeMeta: typeMeta("TrustRoot")}
		doc.Name, doc.Spec.Entries = "people", entries
		return load(t, doc)
	}
	request := func(edit func(*v1alpha1.PolicyException)) []byte {
		e, err := NewException(t.Context(), nil, ExceptionRequest{
			Image: string(trusttest.Digest("image")), Policy: "p", Rule: "RequireImageSignature",
			Reason: "the signing service is down", Author: "ana@example.com", Expires: now.Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		if edit != nil {
			edit(e)
		}
		text, err := documentYAML(e)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := entry("approver", "ben@example.com", approver, v1alpha1.UseExceptions)
	expired := good
	expired.Key = &v1alpha1.KeyEntry{PEM: good.Key.PEM, ValidUntil: &expiredAt}
	for _, c := range []struct {
		name    string
		text    []byte
		key     trusttest.Key
		entries []v1alpha1.TrustEntry
		wrong   string
	}{
		{"by an approver", request(nil), approver, []v1alpha1.TrustEntry{good}, ""},
		{"by the author", request(nil), author, []v1alpha1.TrustEntry{good, entry("ana", "ana@example.com", author, v1alpha1.UseExceptions)}, "another person has to approve it"},
		{"by the author in other letters", request(nil), author, []v1alpha1.TrustEntry{good, entry("ana", " Ana@Example.com", author, v1alpha1.UseExceptions)}, "another person has to approve it"},
		{"by a stranger", request(nil), author, []v1alpha1.TrustEntry{good}, "no TrustRoot entry holds this key"},
		{"with a key for images", request(nil), images, []v1alpha1.TrustEntry{good, entry("release", "release@example.com", images)}, "not for the use Exceptions"},
		{"with a key that is out of its time", request(nil), approver, []v1alpha1.TrustEntry{expired}, "the approval would have no effect"},
		{"of what has expired", request(func(e *v1alpha1.PolicyException) { e.Spec.ExpiresAt.Time = now }), approver, []v1alpha1.TrustEntry{good}, "has expired"},
		{"of what is not valid", request(func(e *v1alpha1.PolicyException) { e.Spec.Digest = "1.0" }), approver, []v1alpha1.TrustEntry{good}, "spec.digest"},
		{"of two documents at once", append(append(request(nil), "---\n"...), request(func(e *v1alpha1.PolicyException) { e.Name = "two" })...), approver, []v1alpha1.TrustEntry{good}, "holds 2 documents"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, _, err := Approve(t.Context(), c.text, c.key, root(t, c.entries...), now)
			if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
				t.Errorf("error %v, want %q", err, c.wrong)
			}
		})
	}

	// A second signature over the same text joins the first one; over another
	// text it takes its place.
	trusted := root(t, good, entry("carl", "carl@example.com", author, v1alpha1.UseExceptions))
	first, _, _, err := Approve(t.Context(), request(nil), approver, trusted, now)
	if err != nil {
		t.Fatal(err)
	}
	both, doc, _, err := Approve(t.Context(), first, author, trusted, now)
	if err != nil {
		t.Fatal(err)
	}
	if n := signatures(t, doc); n != 2 {
		t.Errorf("%d signatures, want both", n)
	}
	edited := []byte(strings.Replace(string(both), "is down", "is slow", 1))
	if _, doc, _, err = Approve(t.Context(), edited, author, trusted, now); err != nil {
		t.Fatal(err)
	}
	if n := signatures(t, doc); n != 1 {
		t.Errorf("%d signatures after an edit, want the new one alone", n)
	}
}

func TestAnExceptionIsCommittedWhereItIs(t *testing.T) {
	w := Workspace{t.TempDir()}
	for file, want := range map[string]string{
		filepath.Join(w.Dir, "exceptions", "team", "a.yaml"):  "exceptions/team/a.yaml",
		filepath.Join(w.Dir, "drafts", "a.yaml"):              "exceptions/name.yaml",
		filepath.Join(w.Dir, "exceptions", "..", "a.yaml"):    "exceptions/name.yaml",
		filepath.Join(w.Dir, "..", "exceptions", "a.yaml"):    "exceptions/name.yaml",
		filepath.Join(w.Dir, "exceptions-of-mine", "a.yaml"):  "exceptions/name.yaml",
		filepath.Join(os.TempDir(), "somewhere", "else.yaml"): "exceptions/name.yaml",
	} {
		if got := w.ExceptionPlace(file, "name"); got != want {
			t.Errorf("%s is committed as %s, want %s", file, got, want)
		}
	}
}

// expiredAt is when a key's validity ended, long before any test runs.
var expiredAt = metav1.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// load reads documents as a set without problems.
func load(t *testing.T, docs ...any) *config.Set {
	t.Helper()
	var sources []config.Source
	for i, d := range docs {
		text, err := documentYAML(d)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, config.Bytes(fmt.Sprintf("document-%d", i), text))
	}
	set, err := config.Load(t.Context(), sources...)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Err(); err != nil {
		t.Fatal(err)
	}
	return set
}

// signatures counts those of the document's envelope.
func signatures(t *testing.T, e *v1alpha1.PolicyException) int {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(e.Spec.Signature.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	var envelope struct{ Signatures []any }
	if err := json.Unmarshal(raw, &envelope); err != nil {
		t.Fatal(err)
	}
	return len(envelope.Signatures)
}
