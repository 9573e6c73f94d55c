package source_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/model/source"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
)

func bigFiles() map[string]*sparse {
	return map[string]*sparse{
		"model.safetensors":   bigSafetensors(),
		"model.gguf":          bigGGUF("{% for m in messages %}{{ m.content }}{% endfor %}"),
		"pytorch_model.bin":   bigTorch(harmless),
		"backdoor.gguf":       bigGGUF("{{ ''.__class__.__mro__[1].__subclasses__() }}"),
		"backdoor_model.bin":  bigTorch(system),
		"truncated.gguf":      {bigGGUF("{{ m }}").spots, 9 << 30},
		"overlong.safetensor": {bigSafetensors().spots, 11 << 30},
	}
}

var bigVerdicts = map[string]string{
	"model.safetensors": "clean", "model.gguf": "clean", "pytorch_model.bin": "clean",
	"backdoor.gguf": "malicious", "backdoor_model.bin": "malicious",
	"truncated.gguf": "suspicious", "overlong.safetensor": "suspicious",
}

func TestTenGigabytesCostAFewRequests(t *testing.T) {
	for name, file := range bigFiles() {
		t.Run(name, func(t *testing.T) {
			var c counter
			server := serve(t, c.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"v1"`)
				http.ServeContent(w, r, "", time.Time{}, file.seeker())
			})).ServeHTTP)
			files, err := scanned(t, server.URL+"/"+name, source.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := files[name]
			if got := f.Verdict.String(); got != bigVerdicts[name] {
				t.Errorf("verdict %s, want %s: %+v", got, bigVerdicts[name], f.Findings)
			}
			if c.requests > source.MaxRequests || c.bytes > source.MaxBytes || f.Requests+1 != c.requests {
				t.Errorf("the server sent %d bytes in %d requests; the report says %d (beside the one that asks for the size)", c.bytes, c.requests, f.Requests)
			}
			if f.Unhashed < 8<<30 || f.Unhashed+c.bytes-1 != f.Size || f.Digest != "" {
				t.Errorf("unhashed %d of %d, %d were sent", f.Unhashed, f.Size, c.bytes)
			}
			t.Logf("%s %s: %d requests, %d KiB", name, f.Verdict, c.requests, c.bytes>>10)
		})
	}
}

func TestASmallFileIsHashedWhole(t *testing.T) {
	server := serve(t, content([]byte(harmless)))
	files, err := scanned(t, server.URL+"/a.pkl?sig=secret", source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := files["a.pkl"]
	if f == nil || f.Unhashed != 0 || !strings.HasPrefix(string(f.Digest), "sha256:") || f.Verdict.String() != "clean" {
		t.Errorf("%+v", f)
	}
}

// The registry hands out a blob that it has only in part: nothing more is asked for.
func TestTenGigabytesInARegistry(t *testing.T) {
	file := bigTorch(system)
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	var c counter
	server := ocitest.Registry(t, ocitest.Behind(func(h http.Handler) http.Handler {
		blob := c.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, file.seeker())
		}))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/blobs/"+digest) {
				blob.ServeHTTP(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	}))
	client, err := oci.New(oci.Options{AllowPrivate: []string{server.Host}, PlainHTTP: []string{server.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	repo := server.Repo("vision/captioner")
	config, err := client.PushBlob(t.Context(), repo, artifact.TypeConfig, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeManifest, "artifactType": artifact.TypeModel, "config": config,
		"layers": []oci.Descriptor{{MediaType: "application/vnd.cncf.model.weight.v1.raw", Digest: digest, Size: file.size,
			Annotations: map[string]string{artifact.AnnotationPath: "model.bin"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.PushManifest(t.Context(), repo, "1", oci.MediaTypeManifest, manifest); err != nil {
		t.Fatal(err)
	}
	files, err := scanned(t, "oci://"+repo+":1", source.Options{Registry: client})
	if err != nil {
		t.Fatal(err)
	}
	f := files["model.bin"]
	if f.Verdict.String() != "malicious" || f.Digest != digest || f.Unhashed != f.Size-c.bytes || f.Requests != c.requests ||
		c.requests > source.MaxRequests || c.bytes > source.MaxBytes {
		t.Errorf("%s %s, %d of %d not hashed, %d requests; the registry sent %d bytes in %d", f.Verdict, f.Digest, f.Unhashed, f.Size, f.Requests, c.bytes, c.requests)
	}
}
