package source_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/model/source"
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
