package peers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// images is how many images each benchmark verifies.
const images = 100

// stock is images in a registry, signed by the real cosign.
type stock struct {
	*house
	cosign string   // the program
	keys   []string // paths of key pairs, without ".key" and ".pub"
	host   string   // under which the images are verified
	refs   []string // host/repository@digest
}

// over returns the same images by the other of the registry's two addresses.
func (s *stock) over(host string) *stock {
	t := *s
	t.host, t.refs = host, nil
	for _, r := range s.refs {
		t.refs = append(t.refs, host+strings.TrimPrefix(r, s.host))
	}
	return &t
}

// fill pushes images into repositories of their own and signs each with every
// one of the keys.
func fill(b *testing.B, count, keys int, signArgs ...string) *stock {
	b.Helper()
	s := &stock{cosign: findCosign(b), house: open(b)}
	s.host = s.Plain
	dir := b.TempDir()
	for i := range count {
		s.refs = append(s.refs, push(b, fmt.Sprintf("%s/bench/image-%03d", s.host, i), fmt.Sprintf("image %d", i)))
	}
	for k := range keys {
		key := filepath.Join(dir, fmt.Sprintf("key-%d", k))
		s.run("generate-key-pair", "--output-key-prefix", key)
		s.keys = append(s.keys, key)
		args := append([]string{"sign", "--yes", "--key", key + ".key", "--tlog-upload=false", "--use-signing-config=false", "--timeout", "10m"}, signArgs...)
		s.run(append(args, s.refs...)...)
	}
	return s
}

// findCosign returns the program, or skips the benchmark where there is none.
func findCosign(b *testing.B) string {
	b.Helper()
	if path := os.Getenv("APEX_COSIGN"); path != "" {
		return path
	}
	if path, err := filepath.Abs("../../bin/tools/cosign"); err == nil {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	path, err := exec.LookPath("cosign")
	if err != nil {
		b.Skip("no cosign to sign the images: set APEX_COSIGN, or run tools/interop.sh, which builds it into bin/tools")
	}
	return path
}

func (s *stock) run(args ...string) {
	s.b.Helper()
	cmd := exec.Command(s.cosign, args...)
	cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=", "COSIGN_YES=true")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.b.Fatalf("cosign %s: %v\n%s", args[0], err, out)
	}
}

func (s *stock) public(key int) []byte {
	s.b.Helper()
	data, err := os.ReadFile(s.keys[key] + ".pub")
	must(s.b, err)
	return data
}

// push pushes an image whose one layer holds the text, and returns its
// reference by digest. Nobody who verifies signatures fetches layers.
func push(b *testing.B, repository, text string) string {
	b.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(img, static.NewLayer([]byte(text), types.OCIUncompressedLayer))
	must(b, err)
	conf, err := img.ConfigFile()
	must(b, err)
	conf = conf.DeepCopy()
	conf.OS, conf.Architecture = "linux", "amd64"
	img, err = mutate.ConfigFile(img, conf)
	must(b, err)
	ref, err := name.ParseReference(repository + ":1.0")
	must(b, err)
	must(b, remote.Write(ref, img))
	digest, err := img.Digest()
	must(b, err)
	return repository + "@" + digest.String()
}
