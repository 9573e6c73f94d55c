package source_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/model/artifact"
	"github.com/apexlogic/apex/internal/model/source"
	"github.com/apexlogic/apex/internal/oci"
	"github.com/apexlogic/apex/internal/oci/ocitest"
	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// bucketOf starts an S3 server with one bucket; before is called with each request.
func bucketOf(t *testing.T, objects map[string][]byte, before func(http.ResponseWriter, *http.Request, *s3mem.Backend) (answered bool)) {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("models"); err != nil {
		t.Fatal(err)
	}
	for key, b := range objects {
		if _, err := backend.PutObject("models", key, nil, bytes.NewReader(b), int64(len(b)), nil); err != nil {
			t.Fatal(err)
		}
	}
	h := gofakes3.New(backend).Server()
	bucketAt(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r, backend) {
			h.ServeHTTP(w, r)
		}
	}).URL)
}

// bucketAt is where the AWS command line would look for buckets.
func bucketAt(t *testing.T, url string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": url, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "top-secret", "AWS_REGION": "us-east-1",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
}

func TestABucketIsReadBelowAPrefix(t *testing.T) {
	bucketOf(t, map[string][]byte{
		"captioner/config.json": []byte(`{"architectures":["Tiny"]}`), "captioner/w/model.pkl": []byte(system), "captioner/empty": nil,
		"captioner/w/": nil, "captioner-2/model.pkl": []byte(system),
	}, nil)
	for uri, want := range map[string]string{
		"s3://models/captioner":             "config.json clean, empty clean, w/model.pkl malicious",
		"s3://models/captioner/":            "config.json clean, empty clean, w/model.pkl malicious",
		"s3://models/captioner/w/model.pkl": "model.pkl malicious",
		"s3://models/captioner-2":           "model.pkl malicious",
	} {
		files, err := scanned(t, uri, source.Options{})
		var got []string
		for _, name := range []string{"config.json", "empty", "model.pkl", "w/model.pkl", "captioner/w/model.pkl"} {
			if f := files[name]; f != nil {
				got = append(got, name+" "+f.Verdict.String())
			}
		}
		if err != nil || strings.Join(got, ", ") != want || len(got) != len(files) {
			t.Errorf("%s: %v %v", uri, files, err)
		}
	}
	for uri, want := range map[string]string{"s3://models/other": "nothing lies below", "s3://none/x": "NoSuchBucket", "s3:///x": "BUCKET/PREFIX"} {
		if _, err := scanned(t, uri, source.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", uri, err)
		}
	}
}

func TestABucketThatChangesOrRefusesIsAnError(t *testing.T) {
	xml := func(w http.ResponseWriter, status int, code string) bool {
		w.WriteHeader(status)
		fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>no</Message><RequestId>1</RequestId></Error>`, code)
		return true
	}
	for name, c := range map[string]struct {
		before func(http.ResponseWriter, *http.Request, *s3mem.Backend) bool
		want   string
	}{
		"as it should be": {nil, ""},
		"an object is replaced": {func(_ http.ResponseWriter, r *http.Request, b *s3mem.Backend) bool {
			if r.Header.Get("Range") != "" {
				_, _ = b.PutObject("models", "m/a.bin", nil, bytes.NewReader(big[1:]), int64(len(big)-1), nil)
			}
			return false
		}, "changed while it was read"},
		"If-Match is obeyed": {func(w http.ResponseWriter, r *http.Request, _ *s3mem.Backend) bool {
			return r.Header.Get("If-Match") != "" && xml(w, 412, "PreconditionFailed")
		}, "changed while it was read"},
		"ranges are ignored": {func(_ http.ResponseWriter, r *http.Request, _ *s3mem.Backend) bool {
			r.Header.Del("Range")
			return false
		}, "does not answer the range"},
		"access is refused": {func(w http.ResponseWriter, _ *http.Request, _ *s3mem.Backend) bool {
			return xml(w, 403, "AccessDenied")
		}, "use credentials that may"},
		"no XML": {func(w http.ResponseWriter, _ *http.Request, _ *s3mem.Backend) bool { w.WriteHeader(500); return true }, "InternalServerError"},
		"a redirect to nowhere": {func(w http.ResponseWriter, r *http.Request, _ *s3mem.Backend) bool {
			http.Redirect(w, r, "http://127.0.0.1:1/?X-Amz-Signature=abc", http.StatusTemporaryRedirect)
			return true
		}, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			bucketOf(t, map[string][]byte{"m/a.bin": big}, c.before)
			err := refuses(t, "s3://models/m", source.Options{})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "top-secret") || strings.Contains(err.Error(), "AKID") || strings.Contains(err.Error(), "Signature")) {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
	t.Run("no credentials", func(t *testing.T) {
		bucketOf(t, nil, nil)
		os.Unsetenv("AWS_ACCESS_KEY_ID") // t.Setenv restores it
		os.Unsetenv("AWS_SECRET_ACCESS_KEY")
		if err := refuses(t, "s3://models/m", source.Options{}); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
			t.Errorf("got %v", err)
		}
	})
}

// mlflow is a fake: a small server that speaks the part of MLflow's REST API
// 2.0 that is used here (mlflow.org/docs/latest/rest-api.html).
func mlflow(t *testing.T, place string, folders map[string]string, files map[string][]byte) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		const artifacts = "/api/2.0/mlflow-artifacts/artifacts"
		switch q := r.URL.Query(); {
		case r.URL.Path == "/api/2.0/mlflow/model-versions/get-download-uri" && q.Get("name") == "captioner" && q.Get("version") == "3":
			json.NewEncoder(w).Encode(map[string]string{"artifact_uri": place})
		case r.URL.Path == artifacts && folders[q.Get("path")] != "":
			fmt.Fprintf(w, `{"files":[%s]}`, folders[q.Get("path")])
		case r.URL.Path == artifacts && folders["*"] != "":
			fmt.Fprintf(w, `{"files":[%s]}`, folders["*"])
		case strings.HasPrefix(r.URL.Path, artifacts+"/") && files[r.URL.Path[len(artifacts)+1:]] != nil:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(files[r.URL.Path[len(artifacts)+1:]]))
		default:
			http.NotFound(w, r)
		}
	}).URL
}

func TestAVersionOfMLflowIsRead(t *testing.T) {
	server := mlflow(t, "mlflow-artifacts:/1/models/m-1/artifacts", map[string]string{
		"1/models/m-1/artifacts":      `{"path":"MLmodel","is_dir":false,"file_size":9},{"path":"data","is_dir":true}`,
		"1/models/m-1/artifacts/data": fmt.Sprintf(`{"path":"data/a b.pkl","is_dir":false,"file_size":"%d"}`, len(system)),
	}, map[string][]byte{"1/models/m-1/artifacts/MLmodel": []byte("flavor: x"), "1/models/m-1/artifacts/data/a b.pkl": []byte(system)})
	files, err := scanned(t, "models:/captioner/3", source.Options{Getenv: env("MLFLOW_TRACKING_URI", server)})
	if err != nil || len(files) != 2 || files["data/a b.pkl"].Verdict.String() != "malicious" || files["MLmodel"].Verdict.Blocked() {
		t.Errorf("%+v %v", files, err)
	}
}

func TestAVersionOfMLflowThatLiesIsRefused(t *testing.T) {
	inside := serve(t, content([]byte(harmless)))
	for name, c := range map[string]struct{ place, list, want string }{
		"honest":          {"mlflow-artifacts:/a", `{"path":"x","file_size":3}`, "404"}, // there is no such file
		"above":           {"mlflow-artifacts:/a", `{"path":"..","is_dir":true}`, "not a plain path"},
		"no size":         {"mlflow-artifacts:/a", `{"path":"x"}`, "how long"},
		"negative":        {"mlflow-artifacts:/a", `{"path":"x","file_size":-4}`, "-4 bytes"},
		"without end":     {"mlflow-artifacts:/a", `{"path":"d","is_dir":true}`, "more than"},
		"a place above":   {"mlflow-artifacts:/../a", "", "not a plain path"},
		"another server":  {"mlflow-artifacts://other.example/a", "", "another server"},
		"a local folder":  {"file:///etc", "", "not read from here"},
		"plain HTTP":      {inside.URL + "/model.pkl", "", "not read from here"},
		"a signed folder": {"dbfs:/x?token=secret", "", "not read from here"},
	} {
		t.Run(name, func(t *testing.T) {
			folders := map[string]string{}
			if c.list != "" {
				folders["*"] = c.list
			}
			server := mlflow(t, c.place, folders, nil)
			err := refuses(t, "models:/captioner/3", source.Options{Getenv: env("MLFLOW_TRACKING_URI", server)})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	for _, uri := range []string{"models:/captioner", "models:/captioner/3/4", "models:/", "models://x/y/z"} {
		if err := refuses(t, uri, source.Options{Getenv: env("MLFLOW_TRACKING_URI", "https://x")}); err == nil || !strings.Contains(err.Error(), "NAME/VERSION") {
			t.Errorf("%s: %v", uri, err)
		}
	}
	if err := refuses(t, "models:/captioner/3", source.Options{}); err == nil || !strings.Contains(err.Error(), "MLFLOW_TRACKING_URI") {
		t.Errorf("%v", err)
	}
}

// packed pushes the files as a model, and returns its URI and a client.
func packed(t *testing.T, files map[string][]byte, opts ...ocitest.Option) (string, *oci.Client, *ocitest.Server) {
	t.Helper()
	server := ocitest.Registry(t, opts...)
	client, err := oci.New(oci.Options{AllowPrivate: []string{server.Host}, PlainHTTP: []string{server.Host}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	root := t.TempDir()
	var list []fact.ModelFile
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(root, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		list = append(list, fact.ModelFile{Path: name, Digest: verdict.Digest("sha256:" + hex.EncodeToString(sum[:])), Size: int64(len(b))})
	}
	ref, err := reference.Parse(server.Repo("vision/captioner") + ":1")
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := artifact.Pack(t.Context(), client, ref, root, list, nil, artifact.Description{Name: "captioner"}, nil)
	if err == nil {
		err = pushed.Tag(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return "oci://" + ref.String(), client, server
}

func TestAModelInARegistryIsReadByItsDigests(t *testing.T) {
	uri, client, _ := packed(t, map[string][]byte{"config.json": []byte(`{"architectures":["Tiny"]}`), "model.pkl": []byte(system), "big.bin": big})
	src, err := source.Open(t.Context(), uri, source.Options{Registry: client})
	if err != nil || !strings.Contains(src.Pinned(), "/vision/captioner@sha256:") {
		t.Fatalf("%v %v", src, err)
	}
	files, err := scanned(t, uri, source.Options{Registry: client})
	if err != nil {
		t.Fatal(err)
	}
	if f := files["model.pkl"]; f.Verdict.String() != "malicious" || f.Unhashed != 0 || f.Requests != 1 || f.Digest == "" {
		t.Errorf("%+v", f)
	}
	if f := files["config.json"]; f.Verdict.String() != "clean" {
		t.Errorf("%+v", f)
	}
}

func TestARegistryThatHandsOutSomethingElseIsFound(t *testing.T) {
	other := []byte(strings.Replace(harmless, "}", "]", 1)) // as long, as harmless, not the same
	sum := sha256.Sum256([]byte(harmless))
	uri, client, _ := packed(t, map[string][]byte{"model.pkl": []byte(harmless)}, ocitest.Behind(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, hex.EncodeToString(sum[:])) {
				content(other)(w, r)
				return
			}
			h.ServeHTTP(w, r)
		})
	}))
	files, err := scanned(t, uri, source.Options{Registry: client})
	if err != nil {
		t.Fatal(err)
	}
	if f := files["model.pkl"]; f.Verdict.String() != "unscannable" || f.Findings[0].Rule != "file.digest" {
		t.Errorf("%+v", f)
	}
}

func TestPlacesAreNamedWithoutTheirSecrets(t *testing.T) {
	for uri, want := range map[string]string{
		"https://user:pass@127.0.0.1:1/x?sig=secret#secret": "127.0.0.1:1/x",
		"https://a@b:pass@127.0.0.1:1/x":                    "127.0.0.1:1/x",
		"gopher://x?secret":                                 "names no place",
		"https:///x?secret":                                 "no URL",
	} {
		err := refuses(t, uri, source.Options{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "pass") {
			t.Errorf("%s: %v", uri, err)
		}
		if u, e := url.Parse(uri); e == nil && u.Scheme == "gopher" == source.IsRemote(uri) {
			t.Errorf("IsRemote(%s)", uri)
		}
	}
}
