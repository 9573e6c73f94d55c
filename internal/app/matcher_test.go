package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/advisory/feed"
	"github.com/apexlogic/apex/internal/advisory/snapshot"
	"github.com/apexlogic/apex/internal/clock"
	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/build"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// matching is a matcher over a real registry that holds one image with pillow 1.0.
type matching struct {
	*Matcher
	t     *testing.T
	clock *clock.Fixed
	dir   *snapshot.Dir
	store *Inventories
	image verdict.Ref
}

func newMatching(t *testing.T, keep bool) *matching {
	t.Helper()
	server := ocitest.Registry(t)
	client, err := oci.New(oci.Options{PlainHTTP: []string{server.Host}, AllowPrivate: []string{server.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	m := &matching{t: t, clock: clock.At(time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC))}
	if m.dir, err = snapshot.OpenDir(t.TempDir(), m.clock); err != nil {
		t.Fatal(err)
	}
	if m.store, err = OpenInventories(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	ref, err := reference.Parse(server.Host + "/vision/app:1")
	if err != nil {
		t.Fatal(err)
	}
	img, err := build.Image{Platform: "linux/amd64", Layers: []build.Layer{{
		"usr/lib/python3/site-packages/pillow-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Pillow\nVersion: 1.0\n",
	}}}.Build()
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := client.PushImage(t.Context(), ref, img)
	if err != nil {
		t.Fatal(err)
	}
	m.image = verdict.Ref{Kind: verdict.KindImage, Repo: ref.Name(), Digest: pushed.Digest}
	m.Matcher = NewMatcher(m.dir, m.store, client, "test", m.clock, slog.New(slog.DiscardHandler), keep)
	t.Cleanup(m.Close)
	return m
}

// knows makes advisories current that say since when pillow is mended.
func (m *matching) knows(fixed string) {
	m.t.Helper()
	file := filepath.Join(m.t.TempDir(), "PyPI.jsonl")
	record := fmt.Sprintf(`{"id":"PYSEC-1","aliases":["CVE-2026-0001"],"modified":%q,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"affected":[{"package":{"ecosystem":"PyPI","name":"pillow"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%q}]}]}]}`,
		m.clock.Now().Format(time.RFC3339), fixed)
	if err := os.WriteFile(file, []byte(record), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if _, err := feed.Sync(m.t.Context(), m.dir, feed.Options{Now: m.clock.Now(), Feeds: []feed.Feed{{Name: "PyPI", Kind: feed.OSV, Path: file}}}); err != nil {
		m.t.Fatal(err)
	}
	m.clock.Advance(2 * looksAgain)
}

func (m *matching) findings(f fact.Fact[fact.Report]) []fact.Vulnerability {
	m.t.Helper()
	r, code, ok := f.All()
	if !ok {
		m.t.Fatalf("%s: %s", code, f.Why())
	}
	return r.Findings
}

func TestTheMatcherLooksInsideOnceAndFollowsTheAdvisories(t *testing.T) {
	m := newMatching(t, false)
	if f := m.Match(t.Context(), m.image, false); f.Code() != verdict.AdvisoriesMissing {
		t.Fatalf("without advisories: %s", f.Code())
	}
	m.knows("2.0")
	before := m.Revision()
	found := m.findings(m.Match(t.Context(), m.image, false))
	if len(found) != 1 || found[0].ID != "CVE-2026-0001" || found[0].Severity != fact.SeverityCritical || found[0].Fixed != "2.0" {
		t.Fatalf("found %+v", found)
	}
	// A delta reaches the answer without a pull, and under another name.
	m.registry.Close()
	m.knows("0.5")
	if m.Revision() == before {
		t.Error("other advisories have the same name")
	}
	if found := m.findings(m.Match(t.Context(), m.image, false)); len(found) != 0 {
		t.Errorf("found %+v", found)
	}
}

func TestOnlyWhatWasAdmittedIsRematched(t *testing.T) {
	m := newMatching(t, false)
	m.knows("2.0")
	if f := m.Match(t.Context(), m.image, true); f.Code() != verdict.InventoryMissing {
		t.Fatalf("an image that nobody looked at: %s", f.Code())
	}
	m.Match(t.Context(), m.image, false)
	if f := m.Match(t.Context(), m.image, true); f.Code() != verdict.InventoryMissing {
		t.Fatalf("an image that nobody admitted: %s", f.Code())
	}
	m.Admitted(m.image)
	if found := m.findings(m.Match(t.Context(), m.image, true)); len(found) != 1 {
		t.Errorf("found %+v", found)
	}
	// It is evidence: another process finds it.
	again, err := OpenInventories(m.store.dir)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := again.Get(m.image.Digest); err != nil || k.Admitted.IsZero() || len(k.Inventory.Packages) != 1 {
		t.Errorf("kept %+v, %v", k, err)
	}
}

func TestARoleThatKeepsInventoriesMakesThemForWhatIsAdmitted(t *testing.T) {
	m := newMatching(t, true)
	m.knows("2.0")
	m.Admitted(m.image)
	if err := m.wait(t.Context(), m.image); err != nil {
		t.Fatal(err)
	}
	if found := m.findings(m.Match(t.Context(), m.image, true)); len(found) != 1 {
		t.Errorf("found %+v", found)
	}
}

func TestWhoeverDoesNotWaitIsDeniedAndTheInventoryGoesOn(t *testing.T) {
	m := newMatching(t, false)
	m.knows("2.0")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	f := m.Match(gone, m.image, false)
	if f.Code() != verdict.InventoryMissing {
		t.Fatalf("got %s: %s", f.Code(), f.Why())
	}
	if found := m.findings(m.Match(t.Context(), m.image, false)); len(found) != 1 {
		t.Errorf("found %+v", found)
	}
}

func TestADamagedInventoryIsAnErrorAndNeverEmpty(t *testing.T) {
	m := newMatching(t, false)
	m.knows("2.0")
	m.Match(t.Context(), m.image, false)
	name, err := m.store.file(m.image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range [][]byte{nil, data[:len(data)/2], []byte("{}")} {
		if err := os.WriteFile(name, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if f := m.Match(t.Context(), m.image, false); f.Code() == verdict.OK {
			t.Errorf("%d bytes pass for an inventory", len(damaged))
		}
	}
}

func TestAnEcosystemWithoutAdvisoriesIsNotClean(t *testing.T) {
	m := newMatching(t, false)
	m.knows("0.5")
	index, _, err := m.current()
	if err != nil {
		t.Fatal(err)
	}
	inventory := fact.Inventory{Packages: []fact.Package{{Ecosystem: "Debian:12", Name: "openssl", Version: "3.0.1"}, {Ecosystem: "generic", Name: "cudnn"}}}
	if _, _, gaps := Report(index, &inventory, nil, "test", m.clock.Now()); len(gaps) != 1 || gaps[0].code != verdict.AdvisoriesMissing {
		t.Errorf("gaps: %+v", gaps)
	}
	inventory.Packages = inventory.Packages[1:]
	if _, _, gaps := Report(index, &inventory, nil, "test", m.clock.Now()); len(gaps) != 0 {
		t.Errorf("the twin has gaps: %+v", gaps)
	}
}
