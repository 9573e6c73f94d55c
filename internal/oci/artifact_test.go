package oci_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/verdict"
)

const (
	thingType = "application/vnd.example.thing.v1"
	thingBlob = "application/vnd.example.thing.v1+json"
)

func TestAnArtifactIsPulledAsItWasPushed(t *testing.T) {
	s := ocitest.Registry(t)
	for name, size := range map[string]int{"small": 10, "as large as one part": 1 << 10, "of several parts": 5<<10 + 7, "empty": 0} {
		t.Run(name, func(t *testing.T) {
			c := newClientWith(t, oci.Options{Limits: oci.Limits{Blob: 1 << 10}}, s)
			data := bytes.Repeat([]byte("x"), size)
			d, err := c.PushArtifact(t.Context(), s.Repo("team/thing"), "v1", thingType, map[string]string{"a": "b"}, oci.Blob{MediaType: thingBlob, Data: data})
			if err != nil {
				t.Fatal(err)
			}
			again, err := c.PushArtifact(t.Context(), s.Repo("team/thing"), "", thingType, map[string]string{"a": "b"}, oci.Blob{MediaType: thingBlob, Data: data})
			if err != nil || again.Digest != d.Digest {
				t.Fatalf("the second time: %v, %v", again, err)
			}
			a, err := c.PullArtifact(t.Context(), s.Repo("team/thing"), d.Digest, thingType, thingBlob, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(a.Layers[0].Data, data) || a.Annotations["a"] != "b" || a.Type != thingType {
				t.Errorf("got %+v", a)
			}
			m, err := c.Resolve(t.Context(), mustParse(s.Repo("team/thing")+":v1"))
			if err != nil || m.Digest != d.Digest {
				t.Errorf("the tag names %s, %v", m.Digest, err)
			}
		})
	}
}

func TestAnotherArtifactIsRefused(t *testing.T) {
	s := ocitest.Registry(t)
	c := newClient(t, s)
	repo := s.Repo("team/thing")
	d, err := c.PushArtifact(t.Context(), repo, "", thingType, nil, oci.Blob{MediaType: thingBlob, Data: []byte("12345")})
	if err != nil {
		t.Fatal(err)
	}
	pull := func(kind, media string, limit int64) error {
		_, err := c.PullArtifact(t.Context(), repo, d.Digest, kind, media, limit)
		return err
	}
	if err := pull(thingType, thingBlob, 5); err != nil {
		t.Fatal(err)
	}
	wantCode(t, pull("application/vnd.example.other", thingBlob, 5), verdict.RegistryAnswer)
	wantCode(t, pull(thingType, "text/plain", 5), verdict.RegistryAnswer)
	wantCode(t, pull(thingType, thingBlob, 4), verdict.RegistryTooLarge)
	_, err = c.PullArtifact(t.Context(), repo, verdict.Digest("sha256:"+strings.Repeat("0", 64)), thingType, thingBlob, 5)
	wantCode(t, err, verdict.RegistryNotFound)
	_, err = c.PushArtifact(t.Context(), repo, "", "", nil, oci.Blob{MediaType: thingBlob})
	wantCode(t, err, verdict.Internal)
}

func TestAPartOfAnArtifactThatIsExchangedIsNoticed(t *testing.T) {
	blob := bytes.Repeat([]byte("abcd"), 1<<9) // two parts
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeManifest, "artifactType": thingType,
		"config": map[string]any{"mediaType": oci.MediaTypeEmpty, "digest": ocitest.Digest([]byte("{}")), "size": 2},
		"layers": []any{map[string]any{"mediaType": thingBlob, "digest": ocitest.Digest(blob), "size": len(blob)}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, forged := range []bool{false, true} {
		served := bytes.Clone(blob)
		if forged {
			served[len(served)-1] = 'X'
		}
		s := ocitest.Hostile(t, ocitest.Routes{
			getManifests + ocitest.Digest(manifest): ocitest.Answer(oci.MediaTypeManifest, manifest),
			getBlobs + ocitest.Digest(blob): func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/octet-stream")
				http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(served))
			},
		})
		c := newClientWith(t, oci.Options{Limits: oci.Limits{Blob: 1 << 10}}, s)
		_, err := c.PullArtifact(t.Context(), s.Repo("app"), verdict.Digest(ocitest.Digest(manifest)), thingType, thingBlob, 1<<20)
		if forged {
			wantCode(t, err, verdict.RegistryDigest)
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
