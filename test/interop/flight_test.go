package interop

import (
	"strings"
	"sync"
	"testing"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/verdict"
)

func TestOneDigestIsFetchedOnce(t *testing.T) {
	const callers = 500
	const repository = "public/captioner" // readable without a token, so that every request is a fetch
	h := open(t)
	subject := h.pushImage(repository, captioner)
	key := signers(t, dir, password)["apex"]
	h.attach(t, repository, subject, signBundle(nil)(t, key, h.host+"/"+repository, subject.Digest))
	pushed := h.pushedTo(repository)
	bundle := pushed[len(pushed)-1]
	layer := parseManifest(t, h.get("/v2/"+repository+"/manifests/"+string(bundle.Digest))).Layers[0].Digest

	client, err := oci.New(oci.Options{AllowPrivate: []string{h.host}, PlainHTTP: []string{h.host}})
	must(t, err)
	defer client.Close()
	v, records := judge(t, client, signedBy("apex", nil))
	question := []verdict.Question{{Subject: verdict.Subject{Ref: h.ref(repository, subject.Digest)}}}

	// Nothing is answered before the last caller is on its way.
	var started sync.WaitGroup
	started.Add(callers)
	h.hold(started.Wait)
	before := len(h.asked("/v2/"))
	answers := make([]verdict.Report, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			started.Done()
			answers[i] = v.Verify(t.Context(), question)
		})
	}
	all.Wait()

	for i := range answers {
		if d := &answers[i].Verdicts[0]; d.Decision != verdict.Allow {
			t.Fatalf("caller %d: %s: %s (%s)", i, d.Decision, d.Code, d.Reason)
		}
	}
	if n := records.records.Load(); n != callers {
		t.Errorf("%d records, want one for each of %d callers", n, callers)
	}
	want := map[string]bool{
		"GET /v2/" + repository + "/manifests/" + string(subject.Digest): true,
		"GET /v2/" + repository + "/referrers/" + string(subject.Digest): true,
		"GET /v2/" + repository + "/manifests/" + string(bundle.Digest):  true,
		"GET /v2/" + repository + "/blobs/" + string(layer):              true,
	}
	requests := h.asked("/v2/")[before:]
	seen := map[string]int{}
	for _, r := range requests {
		seen[r]++
		if !want[r] {
			t.Errorf("unexpected request %s", r)
		}
	}
	if len(requests) != len(want) {
		t.Errorf("%d requests, want %d, each once:\n%s", len(requests), len(want), strings.Join(requests, "\n"))
	}

	// Its twin: somebody else's memory is empty, so a second verifier fetches.
	other, err := oci.New(oci.Options{AllowPrivate: []string{h.host}, PlainHTTP: []string{h.host}})
	must(t, err)
	defer other.Close()
	second, _ := judge(t, other, signedBy("apex", nil))
	if d := second.Verify(t.Context(), question).Verdicts[0]; d.Decision != verdict.Allow {
		t.Fatalf("%s: %s", d.Code, d.Reason)
	}
	if n := len(h.asked("/v2/")) - before - len(requests); n != len(want) {
		t.Errorf("the second verifier made %d requests, want %d", n, len(want))
	}
}
