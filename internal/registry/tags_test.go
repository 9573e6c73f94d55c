package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apexlogic/apex/verdict"
)

func TestATagNeverMovesUnlessItIsMutable(t *testing.T) {
	f := serve(t, Options{Mutable: func(repo, tag string) bool { return repo == "team/app" && tag == "latest" }})
	first, second := f.image(repo, "1"), f.image(repo, "2")
	for _, c := range []struct {
		name, tag string
		manifest  []byte
		status    int
		code      string
	}{
		{"a new tag is made", "v1", first, 201, ""},
		{"the same again is no change", "v1", first, 201, ""},
		{"another digest is refused", "v1", second, 409, codeDenied},
		{"another tag takes it", "v2", second, 201, ""},
		{"a mutable tag is made", "latest", first, 201, ""},
		{"a mutable tag moves", "latest", second, 201, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := *f
			g.t = t
			g.want(g.put(repo, c.tag, c.manifest, typeOCIManifest), c.status, c.code)
		})
	}
	for tag, want := range map[string][]byte{"v1": first, "v2": second, "latest": second} {
		r := f.want(f.do("GET", "/v2/"+repo+"/manifests/"+tag, nil), 200, "")
		if string(r.body) != string(want) {
			t.Errorf("tag %s names another manifest", tag)
		}
	}
	f.want(f.do("DELETE", "/v2/"+repo+"/manifests/v1", nil), 405, codeUnsupported)
	f.want(f.do("DELETE", "/v2/"+repo+"/manifests/latest", nil), 202, "")
	f.want(f.do("DELETE", "/v2/"+repo+"/manifests/latest", nil), 404, codeManifestUnknown)
	f.want(f.do("DELETE", "/v2/"+repo+"/manifests/"+string(digestOf(first)), nil), 405, codeUnsupported)
}

// On a file system that ignores case, V1 and v1 are one file.
func TestATagIsNotServedFromAnotherTagsFile(t *testing.T) {
	f := serve(t, Options{})
	f.putImage(repo, "V1", "x")
	raw, err := f.reg.disk.read(repoPath(repo, "_tags", "V1"), maxLink)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, f, repoPath(repo, "_tags", "v1"), raw)
	f.want(f.do("GET", "/v2/"+repo+"/manifests/v1", nil), 500, codeUnknown)
	f.want(f.do("GET", "/v2/"+repo+"/manifests/V1", nil), 200, "")
}

func TestAnIndexKeepsItsImagesFromBeingDeleted(t *testing.T) {
	f := serve(t, Options{Mutable: func(string, string) bool { return true }})
	img := f.image(repo, "x")
	f.want(f.put(repo, string(digestOf(img)), img, typeOCIManifest), 201, "")
	idx := marshal(t, map[string]any{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": []any{desc(typeOCIManifest, img)}})
	f.want(f.put(repo, "multi", idx, typeOCIIndex), 201, "")
	child, parent := "/v2/"+repo+"/manifests/"+string(digestOf(img)), "/v2/"+repo+"/manifests/"+string(digestOf(idx))
	f.want(f.do("DELETE", child, nil), 405, codeUnsupported)
	f.want(f.do("DELETE", parent, nil), 202, "")
	f.want(f.do("GET", "/v2/"+repo+"/manifests/multi", nil), 404, codeManifestUnknown)
	f.want(f.do("DELETE", child, nil), 202, "")
	f.want(f.do("GET", child, nil), 404, codeManifestUnknown)
}

// Fifty clients, over two registries on one directory, want the same tag.
func TestOfManyPushesToOneTagExactlyOneWins(t *testing.T) {
	dir := t.TempDir()
	a, b := serve(t, Options{Dir: dir}), serve(t, Options{Dir: dir})
	const pushes = 50
	manifests := make([][]byte, pushes)
	for i := range manifests {
		manifests[i] = a.image(repo, fmt.Sprint(i))
	}
	var wg sync.WaitGroup
	replies := make([]reply, pushes)
	for i := range pushes {
		f := a
		if i%2 == 1 {
			f = b
		}
		wg.Go(func() { replies[i] = f.put(repo, "release", manifests[i], typeOCIManifest) })
	}
	wg.Wait()
	won := -1
	for i, r := range replies {
		switch {
		case r.status == 201 && won >= 0:
			t.Errorf("pushes %d and %d both won", won, i)
		case r.status == 201:
			won = i
		case r.status != 409 || r.code() != codeDenied:
			t.Errorf("push %d: %v", i, r)
		}
	}
	if won < 0 {
		t.Fatal("nobody won")
	}
	if r := b.want(b.do("GET", "/v2/"+repo+"/manifests/release", nil), 200, ""); string(r.body) != string(manifests[won]) {
		t.Error("the tag names a manifest whose push was refused")
	}
}

func TestManyPushesOfTheSameManifestAllSucceed(t *testing.T) {
	f := serve(t, Options{})
	m := f.image(repo, "x")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if r := f.put(repo, "v1", m, typeOCIManifest); r.status != 201 {
				t.Errorf("%v", r)
			}
		})
	}
	wg.Wait()
}

// signature is a manifest as cosign kept them before referrers existed: the
// signature is in an annotation, and all layers hold the same payload.
func (f *fixture) signature(layerType string, signatures ...string) []byte {
	f.t.Helper()
	f.pushBlob(repo, []byte("{}"))
	f.pushBlob(repo, []byte("payload"))
	layers := []any{}
	for _, s := range signatures {
		l := desc(layerType, []byte("payload"))
		l["annotations"] = map[string]any{"dev.cosignproject.cosign/signature": s}
		layers = append(layers, l)
	}
	return marshal(f.t, map[string]any{"schemaVersion": 2, "mediaType": typeOCIManifest, "config": desc(typeConfig, []byte("{}")), "layers": layers})
}

func TestATagOfSignaturesOnlyGrows(t *testing.T) {
	const simple = "application/vnd.dev.cosign.simplesigning.v1+json"
	f := serve(t, Options{})
	tag := "sha256-" + strings.Repeat("a", 64) + ".sig"
	for _, c := range []struct {
		name     string
		manifest []byte
		status   int
		code     string
	}{
		{"the first signature", f.signature(simple, "by ana"), 201, ""},
		{"a second one beside it", f.signature(simple, "by ana", "by bob"), 201, ""},
		{"the first one is taken away", f.signature(simple, "by bob"), 409, codeDenied},
		{"the first one is exchanged under the same digest", f.signature(simple, "by eve", "by bob"), 409, codeDenied},
		{"all are taken away", f.signature(simple), 409, codeDenied},
		{"in another order with a third", f.signature(simple, "by cyd", "by bob", "by ana"), 201, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := *f
			g.t = t
			g.want(g.put(repo, tag, c.manifest, typeOCIManifest), c.status, c.code)
		})
	}
	f.want(f.do("DELETE", "/v2/"+repo+"/manifests/"+tag, nil), 405, codeUnsupported)
}

func TestAFallbackTagOfReferrersOnlyGrows(t *testing.T) {
	f := serve(t, Options{})
	subject := digestOf([]byte("subject"))
	tag := "sha256-" + subject.Hex()
	var entries []any
	for i := range 3 {
		m := f.artifact(repo, subject, "application/vnd.example", "application/vnd.oci.empty.v1+json", fmt.Sprint(i))
		f.want(f.put(repo, string(digestOf(m)), m, typeOCIManifest), 201, "")
		entries = append(entries, desc(typeOCIManifest, m))
	}
	index := func(entries ...any) []byte {
		return marshal(t, map[string]any{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": entries})
	}
	f.want(f.put(repo, tag, index(entries[0]), typeOCIIndex), 201, "")
	f.want(f.put(repo, tag, index(entries[1]), typeOCIIndex), 409, codeDenied)
	f.want(f.put(repo, tag, index(entries[0], entries[1]), typeOCIIndex), 201, "")
	f.want(f.put(repo, tag, index(entries...), typeOCIIndex), 201, "")
}

// Each client reads the tag, adds its signature and writes it back; a write
// that would lose another's is refused and tried again.
func TestConcurrentSignersNeverLoseASignature(t *testing.T) {
	const simple = "application/vnd.dev.cosign.simplesigning.v1+json"
	// A disk that takes a millisecond keeps the time between reading a tag and
	// replacing it open for the others.
	f := serve(t, Options{fsync: func(*os.File) error {
		time.Sleep(time.Millisecond)
		return nil
	}})
	tag := "sha256-" + strings.Repeat("b", 64) + ".sig"
	path := "/v2/" + repo + "/manifests/" + tag
	f.signature(simple) // pushes the blobs
	const signers = 8
	var wg sync.WaitGroup
	for i := range signers {
		wg.Go(func() {
			for range 200 {
				have := []string{}
				if r := f.do("GET", path, nil); r.status == 200 {
					have = signaturesIn(t, r.body)
				}
				m := f.signature(simple, append(have, fmt.Sprint("by ", i))...)
				if f.put(repo, tag, m, typeOCIManifest).status == 201 {
					return
				}
			}
			t.Errorf("signer %d never got through", i)
		})
	}
	wg.Wait()
	got := signaturesIn(t, f.want(f.do("GET", path, nil), 200, "").body)
	slices.Sort(got)
	if len(slices.Compact(got)) != signers {
		t.Errorf("%d signatures: %v", len(got), got)
	}
}

func signaturesIn(t *testing.T, body []byte) (all []string) {
	var m struct {
		Layers []struct{ Annotations map[string]string }
	}
	if err := json.Unmarshal(body, &m); err != nil {
		t.Error(err)
	}
	for _, l := range m.Layers {
		all = append(all, slices.Collect(maps.Values(l.Annotations))...)
	}
	return all
}

func TestAMutableManifestMayReplaceOnlyWhatPolicySays(t *testing.T) {
	f := serve(t, Options{})
	// A tag that only looks like an attachment's is a tag as any other.
	tag := "sha256-" + strings.Repeat("c", 64) + ".sig"
	f.want(f.put(repo, tag, f.signature(typeLayer, "one"), typeOCIManifest), 201, "")
	f.want(f.put(repo, tag, f.signature(typeLayer, "one", "two"), typeOCIManifest), 409, codeDenied)
}

func TestTheGateDecidesWhetherATagBecomesVisible(t *testing.T) {
	var f *fixture
	asked := 0
	decide := func(verdict.Decision, string, error) {}
	var decision verdict.Decision
	var reason string
	var failure error
	decide = func(d verdict.Decision, r string, err error) { decision, reason, failure = d, r, err }
	f = serve(t, Options{Gate: func(ctx context.Context, repo, tag string, d verdict.Digest) (verdict.Decision, string, error) {
		asked++
		// No lock is held: the gate can pull what it judges, and it is there.
		if r := f.do("GET", "/v2/"+repo+"/manifests/"+string(d), nil); r.status != 200 {
			t.Errorf("the gate cannot pull %s: %v", d, r)
		}
		if r := f.do("GET", "/v2/"+repo+"/manifests/"+tag, nil); r.status != 404 {
			t.Errorf("tag %s is visible before the gate has decided: %v", tag, r)
		}
		return decision, reason, failure
	}})
	m := f.image(repo, "x")
	for _, c := range []struct {
		name     string
		decision verdict.Decision
		reason   string
		err      error
		status   int
		says     string
	}{
		{"deny refuses with the reason", verdict.Deny, "the image has no signature", nil, 403, "no signature"},
		{"an error refuses", verdict.Allow, "", errors.New("secret detail"), 403, "could not be decided"},
		{"warn shows the tag and says why", verdict.Warn, "the \"report\"\nis old", nil, 201, ""},
		{"allow shows the tag", verdict.Allow, "", nil, 201, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			decide(c.decision, c.reason, c.err)
			g := *f
			g.t = t
			tag := strings.ReplaceAll(c.name, " ", "-")
			r := g.put(repo, tag, m, typeOCIManifest)
			visible := g.do("GET", "/v2/"+repo+"/manifests/"+tag, nil).status == 200
			if r.status != c.status || visible != (c.status == 201) || !strings.Contains(string(r.body), c.says) {
				t.Errorf("got %v, visible %v", r, visible)
			}
			if strings.Contains(string(r.body), "secret detail") {
				t.Error("the gate's error went to the client")
			}
			if c.decision == verdict.Warn && r.header.Get("Warning") != `299 - "the 'report' is old"` {
				t.Errorf("Warning %q", r.header.Get("Warning"))
			}
			g.want(g.do("GET", "/v2/"+repo+"/manifests/"+string(digestOf(m)), nil), 200, "")
		})
	}
	if f.reg.Stats().Denied != 2 {
		t.Errorf("%d denied", f.reg.Stats().Denied)
	}
	before := asked
	decide(verdict.Deny, "no", nil)
	f.want(f.put(repo, "allow-shows-the-tag", m, typeOCIManifest), 201, "") // visible already
	f.want(f.put(repo, string(digestOf(m)), m, typeOCIManifest), 201, "")   // no tag
	if asked != before {
		t.Error("the gate was asked about something that does not become visible")
	}
}

func TestSignaturesPassTheGateAndImagesUnderTheirNamesDoNot(t *testing.T) {
	const simple = "application/vnd.dev.cosign.simplesigning.v1+json"
	f := serve(t, Options{Gate: func(context.Context, string, string, verdict.Digest) (verdict.Decision, string, error) {
		return verdict.Deny, "not signed", nil
	}})
	subject := digestOf([]byte("subject"))
	ref := f.artifact(repo, subject, "application/vnd.example", "application/vnd.oci.empty.v1+json", "sig")
	f.want(f.put(repo, string(digestOf(ref)), ref, typeOCIManifest), 201, "")
	img := f.image(repo, "evil")
	f.want(f.put(repo, string(digestOf(img)), img, typeOCIManifest), 201, "")
	index := func(entry map[string]any) []byte {
		return marshal(t, map[string]any{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": []any{entry}})
	}
	withPlatform := desc(typeOCIManifest, ref)
	withPlatform["platform"] = map[string]any{"os": "linux", "architecture": "amd64"}
	for _, c := range []struct {
		name, tag string
		manifest  []byte
		mediaType string
		status    int
	}{
		{"a signature under its tag", "sha256-" + subject.Hex() + ".sig", f.signature(simple, "ana"), typeOCIManifest, 201},
		{"a list of referrers under its tag", "sha256-" + subject.Hex(), index(desc(typeOCIManifest, ref)), typeOCIIndex, 201},
		{"a signature under a common tag", "v1", f.signature(simple, "ana"), typeOCIManifest, 403},
		{"an image under a signature's tag", "sha256-" + strings.Repeat("1", 64) + ".sig", img, typeOCIManifest, 403},
		{"a WebAssembly module under a signature's tag", "sha256-" + strings.Repeat("5", 64) + ".sig", f.signature("application/wasm", "x"), typeOCIManifest, 403},
		{"an attestation without anything", "sha256-" + strings.Repeat("6", 64) + ".att", f.signature(simple), typeOCIManifest, 403},
		{"a CycloneDX SBOM under its tag", "sha256-" + subject.Hex() + ".sbom", f.signature("application/vnd.cyclonedx+json", "x"), typeOCIManifest, 201},
		{"an image under a fallback tag", "sha256-" + strings.Repeat("2", 64), img, typeOCIManifest, 403},
		{"a list of images under a fallback tag", "sha256-" + strings.Repeat("3", 64), index(desc(typeOCIManifest, img)), typeOCIIndex, 403},
		{"a list of another subject's referrers", "sha256-" + strings.Repeat("4", 64), index(desc(typeOCIManifest, ref)), typeOCIIndex, 403},
		{"a list with platforms", "sha256-" + subject.Hex() + "", index(withPlatform), typeOCIIndex, 409},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := *f
			g.t = t
			if r := g.put(repo, c.tag, c.manifest, c.mediaType); r.status != c.status {
				t.Errorf("got %v, want %d", r, c.status)
			}
		})
	}
}

func TestOnPushIsToldOfEveryManifest(t *testing.T) {
	var pushes []Pushed
	f := serve(t, Options{OnPush: func(_ context.Context, p Pushed) { pushes = append(pushes, p) }})
	d := f.putImage(repo, "v1", "x")
	f.want(f.put(repo, "v1", f.image(repo, "y"), typeOCIManifest), 409, codeDenied)
	if len(pushes) != 1 || pushes[0].Digest != d || pushes[0].Tag != "v1" || pushes[0].Repo != repo || pushes[0].Principal != LocalUser {
		t.Errorf("%+v", pushes)
	}
}

func TestTagsAreListedInOrderAndInPages(t *testing.T) {
	f := serve(t, Options{})
	f.want(f.do("GET", "/v2/"+repo+"/tags/list", nil), 404, codeNameUnknown)
	m := f.image(repo, "x")
	for _, tag := range []string{"b", "a", "C", "_d"} {
		f.want(f.put(repo, tag, m, typeOCIManifest), 201, "")
	}
	for _, c := range []struct {
		query string
		tags  string
		link  bool
	}{
		{"", `["C","_d","a","b"]`, false},
		{"?n=2", `["C","_d"]`, true},
		{"?n=2&last=_d", `["a","b"]`, false},
		{"?n=1&last=_d", `["a"]`, true},
		{"?n=0", `[]`, false},
		{"?last=a", `["b"]`, false},
		{"?last=zzz", `[]`, false},
		{"?n=9999999999", `["C","_d","a","b"]`, false},
	} {
		r := f.want(f.do("GET", "/v2/"+repo+"/tags/list"+c.query, nil), 200, "")
		if want := `{"name":"team/app","tags":` + c.tags + `}`; string(r.body) != want || (r.header.Get("Link") != "") != c.link {
			t.Errorf("%s: %s, Link %q", c.query, r.body, r.header.Get("Link"))
		}
	}
	for _, bad := range []string{"?n=-1", "?n=x", "?n=99999999999999999999"} {
		f.want(f.do("GET", "/v2/"+repo+"/tags/list"+bad, nil), 400, codeUnsupported)
	}
}
