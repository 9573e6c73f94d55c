package interop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

// dir holds the record; it is named after the cosign that made it.
const dir = "testdata/cosign-v3.1.3"

// record is index.json: what was done, by whom, and what was left in the registry.
type record struct {
	// Cosign is the version that cosign states about itself.
	Cosign string `json:"cosign"`
	// Registry is the host that was used. Signatures name it.
	Registry string `json:"registry"`
	// Password opens the two private keys, which exist for these tests only.
	Password string `json:"password"`
	// SignedByCosign is what cosign made and Apex has to verify.
	SignedByCosign []entry `json:"signedByCosign"`
	// SignedByApex is what Apex made, with what cosign said about it.
	SignedByApex []entry `json:"signedByApex"`
}

// entry is one repository with one image and what is signed about it.
type entry struct {
	Name       string         `json:"name"`
	Repository string         `json:"repository"` // without the host
	Image      verdict.Digest `json:"image"`
	// Command made the signature; empty where Apex made it.
	Command []string `json:"command,omitempty"`
	// Checks are what cosign was asked about it, and its answers.
	Checks []check `json:"checks,omitempty"`
	// Pushed are the manifests of the repository in the order in which they came.
	Pushed []pushed `json:"pushed"`
}

type check struct {
	Why      string   `json:"why"`
	Command  []string `json:"command"`
	ExitCode int      `json:"exitCode"`
}

type pushed struct {
	Tag       string         `json:"tag,omitempty"`
	Digest    verdict.Digest `json:"digest"`
	MediaType string         `json:"mediaType"`
}

func readRecord(t testing.TB) *record {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatalf("%v: make it with tools/interop.sh", err)
	}
	r := &record{}
	must(t, json.Unmarshal(data, r))
	return r
}

func readFile(t testing.TB, elem ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	must(t, err)
	return data
}

// find returns the entry with the name.
func find(t testing.TB, entries []entry, name string) *entry {
	t.Helper()
	i := slices.IndexFunc(entries, func(e entry) bool { return e.Name == name })
	if i < 0 {
		t.Fatalf("the record holds no %q", name)
	}
	return &entries[i]
}

func blobPath(root string, d verdict.Digest) string {
	return filepath.Join(root, "blobs", "sha256", d.Hex())
}

func readBlob(t testing.TB, d verdict.Digest) []byte {
	t.Helper()
	data := readFile(t, blobPath(dir, d))
	if got := ocitest.Digest(data); got != string(d) {
		t.Fatalf("%s has the digest %s: the record is damaged", blobPath(dir, d), got)
	}
	return data
}

// manifest is the part of an image manifest that the tests look at and change.
// Fields that are not here are not in the recorded manifests either.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        oci.Descriptor    `json:"config"`
	Layers        []oci.Descriptor  `json:"layers"`
	Subject       *oci.Descriptor   `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

func parseManifest(t testing.TB, raw []byte) manifest {
	t.Helper()
	var m manifest
	must(t, json.Unmarshal(raw, &m))
	return m
}

// isEvidence tells what is attached to the image from the image itself.
func (p *pushed) isEvidence(m *manifest) bool {
	return m.Subject != nil || strings.HasSuffix(p.Tag, oci.LegacySignature) || strings.HasSuffix(p.Tag, oci.LegacyAttestation)
}

// change alters a piece of evidence before it is loaded: its manifest and the
// bytes of its first layer, which it returns.
type change func(t *testing.T, m *manifest, data []byte) []byte

// load pushes the entry into the registry under repository; alter may be nil.
func (h *house) load(t *testing.T, e *entry, repository string, alter change) {
	t.Helper()
	ctx, repo := t.Context(), h.host+"/"+repository
	for _, p := range e.Pushed {
		raw := readBlob(t, p.Digest)
		if p.MediaType != oci.MediaTypeManifest {
			t.Fatalf("%s: no test expects a %s", e.Name, p.MediaType)
		}
		m := parseManifest(t, raw)
		if alter != nil && p.isEvidence(&m) {
			changed := alter(t, &m, readBlob(t, m.Layers[0].Digest))
			m.Layers[0].Digest, m.Layers[0].Size = verdict.Digest(ocitest.Digest(changed)), int64(len(changed))
			h.pushBlob(repo, m.Layers[0].MediaType, changed)
			var err error
			raw, err = json.Marshal(m)
			must(t, err)
		} else {
			h.pushBlob(repo, m.Layers[0].MediaType, readBlob(t, m.Layers[0].Digest))
		}
		for _, l := range m.Layers[1:] {
			h.pushBlob(repo, l.MediaType, readBlob(t, l.Digest))
		}
		h.pushBlob(repo, m.Config.MediaType, readBlob(t, m.Config.Digest))
		at := p.Tag
		if at == "" {
			at = ocitest.Digest(raw)
		}
		_, err := h.client.PushManifest(ctx, repo, at, p.MediaType, raw)
		must(t, err)
	}
}

func (h *house) pushBlob(repo, mediaType string, data []byte) {
	h.t.Helper()
	_, err := h.client.PushBlob(h.t.Context(), repo, mediaType, data)
	must(h.t, err)
}

// pushedTo returns what was pushed to the repository, in order.
func (h *house) pushedTo(repository string) []pushed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.pushed[repository])
}

// keep writes all that was pushed to the repository below root and notes it in
// the entry.
func (h *house) keep(root string, e *entry) {
	h.t.Helper()
	e.Pushed = h.pushedTo(e.Repository)
	write := func(path string, d verdict.Digest) []byte {
		data := h.get("/v2/" + e.Repository + path + string(d))
		must(h.t, os.MkdirAll(filepath.Dir(blobPath(root, d)), 0o755))
		must(h.t, os.WriteFile(blobPath(root, d), data, 0o644))
		return data
	}
	for _, p := range e.Pushed {
		m := parseManifest(h.t, write("/manifests/", p.Digest))
		for _, d := range append(m.Layers, m.Config) {
			write("/blobs/", d.Digest)
		}
	}
}
