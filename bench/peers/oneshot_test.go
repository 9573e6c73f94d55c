package peers

import (
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/fact"
)

// runs is how often each program is started; processes differ more than passes.
const runs = 15

// BenchmarkOneImage verifies one signed image in a new process: "apex verify",
// with policy, trust root and ledger, beside "cosign verify" with a key.
func BenchmarkOneImage(b *testing.B) {
	s := fill(b, 1, 1)
	dir := b.TempDir()
	apex := buildApex(b, dir)
	policies := filepath.Join(dir, "policies")
	must(b, os.Mkdir(policies, 0o755))
	p, t := s.documents(fact.FormatBundle)
	p.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ImageSecurityPolicy"}
	t.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TrustRoot"}
	for name, doc := range map[string]any{"policy.yaml": p, "trust.yaml": t} {
		data, err := yaml.Marshal(doc)
		must(b, err)
		must(b, os.WriteFile(filepath.Join(policies, name), data, 0o644))
	}
	authority := filepath.Join(dir, "ca.pem")
	must(b, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate}), 0o644))
	// Both read the certificate authority as Go programs do.
	env := append(os.Environ(), "SSL_CERT_FILE="+authority, "HOME="+dir, "DOCKER_CONFIG="+dir)

	image := s.over(s.Secure).refs[0]
	programs := []program{
		{name: "cosign", args: []string{s.cosign, "verify", "--key", s.keys[0] + ".pub", "--insecure-ignore-tlog", image}},
		{name: "apex", args: []string{apex, "verify", image, "--policy", policies, "--state", filepath.Join(dir, "state"),
			"--allow-private-registry", s.Secure, "--label", "app=multimodal-inference"}},
	}
	for i := range programs {
		forget(b, programs[i].args[0])
		programs[i].start(b, env) // warm: files are in the page cache, the ledger is there
		programs[i].cpu, programs[i].rss = nil, nil
	}
	for range b.N {
		for range runs {
			for i := range programs {
				programs[i].start(b, env)
			}
		}
	}
	for _, p := range programs {
		b.ReportMetric(middle(p.cpu).Seconds()*1000, p.name+"-cpu-ms")
		b.ReportMetric(float64(middle(p.rss))/1024, p.name+"-rss-MB")
	}
	cosign := programs[0]
	for _, p := range programs[1:] {
		var cpu []float64
		for i := range p.cpu {
			cpu = append(cpu, p.cpu[i].Seconds()/cosign.cpu[i].Seconds())
		}
		b.ReportMetric(middle(cpu), p.name+"/cosign-cpu")
		b.ReportMetric(float64(middle(p.rss))/float64(middle(cosign.rss)), p.name+"/cosign-rss")
	}
	b.ReportMetric(0, "ns/op")
}

// buildApex builds the program as releases are built, or returns the one that
// $APEX_BINARY names.
func buildApex(b *testing.B, dir string) string {
	b.Helper()
	if path := os.Getenv("APEX_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(dir, "apex")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/apex")
	build.Dir = filepath.Join("..", "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build apex: %v\n%s", err, out)
	}
	return path
}

// program is a contender that is started anew each time.
type program struct {
	name string
	args []string
	cpu  []time.Duration
	rss  []int64 // largest resident set, KiB
}

func (p *program) start(b *testing.B, env []string) {
	b.Helper()
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", p.args, err, out)
	}
	p.cpu = append(p.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	p.rss = append(p.rss, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}
