package manifest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
	"github.com/apexlogic/apex/internal/oci/reference"
)

func FuzzExtract(f *testing.F) {
	for _, tt := range kindCorpus {
		f.Add([]byte(tt.doc))
	}
	for i, text := range []string{"docker run -it \"$(curl -s https://a.example/x | sh)\" <<-'E' && `x`\n\ta\n\tE\n", "eval eval 'x ${A:-b}'; for i in a; do sudo -u a env B=c xargs docker pull; done", "python -c 'pipeline(\"a/b\", model=f\"{x}\")'"} {
		f.Add([]byte(script(text)[i]))
		f.Add([]byte(config("x.sh", text)))
	}
	for _, tt := range benign {
		f.Add([]byte(tt.doc))
	}
	f.Add([]byte("a: &a {x: 1, <<: {y: 2}}\nb: {<<: [*a, *a]}\n---\n{}\n"))
	f.Add([]byte("[{\"image\": \"a\"}, {\"image\": null}]"))
	f.Add([]byte("image: !Sub x\n? &k image2\n: *k\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := manifest.Extract("f", data, manifest.Limits{Bytes: 64 << 10, Nodes: 10_000})
		if r.Rejected != (len(r.Problems) > 0) || r.Rejected && len(r.Refs)+len(r.Unresolved) > 0 {
			t.Fatalf("rejected is %v with %d problems and %d references", r.Rejected, len(r.Problems), len(r.Refs))
		}
		for _, ref := range r.Refs {
			if ref.Model == "" && ref.Reference.IsZero() {
				t.Fatalf("a reference to nothing: %+v", ref)
			}
			if ref.Model == "" {
				if _, err := reference.Parse(ref.Reference.Canonical()); err != nil {
					t.Fatal(err)
				}
			}
			if ref.Where.Line < 1 || ref.Where.Column < 1 || ref.Where.Pointer != "" && !strings.HasPrefix(ref.Where.Pointer, "/") {
				t.Fatalf("it stands at %+v", ref.Where)
			}
		}
		line := r.Line()
		if !slices.IsSorted(line.Images) || strings.ContainsAny(line.String(), "\n\r") || !json.Valid([]byte(line.String())) {
			t.Fatalf("the line is %s", line)
		}
	})
}

func FuzzParseAdmissionReview(f *testing.F) {
	f.Add([]byte(review(podObject)))
	f.Add([]byte(review(`null`, "CREATE", "DELETE")))
	f.Add([]byte(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := manifest.ParseAdmissionReview(data)
		if (r == nil) == (err == nil) {
			t.Fatalf("%v and %v", r, err)
		}
		if err == nil && (!json.Valid(data) || r.UID == "" || r.Result.Rejected && len(r.Result.Refs) > 0) {
			t.Fatalf("accepted as %+v", r)
		}
	})
}
