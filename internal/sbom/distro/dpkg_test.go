package distro_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/sbom"
)

// TestTheMachinesOwnDatabaseReadsAsDpkgReadsIt compares with dpkg-query.
func TestTheMachinesOwnDatabaseReadsAsDpkgReadsIt(t *testing.T) {
	query, err := exec.LookPath("dpkg-query")
	if err != nil {
		t.Skip("dpkg-query is not here")
	}
	status, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil {
		t.Skip("no database of dpkg is here")
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Skip("no os-release is here")
	}
	root := t.TempDir()
	write(t, root, "var/lib/dpkg/status", string(status))
	write(t, root, "etc/os-release", string(release))
	inv, err := sbom.Collect(t.Context(), sbom.Folder(root), sbom.Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), query, "--admindir="+filepath.Join(root, "var/lib/dpkg"), "-W",
		"-f=${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for line := range strings.Lines(string(out)) {
		status, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if status != "config-files" && status != "not-installed" {
			want = append(want, rest)
		}
	}
	for _, p := range inv.Packages {
		source, version := p.SourceName, p.SourceVersion
		if source == "" {
			source, version = p.Name, p.Version
		}
		got = append(got, strings.Join([]string{p.Name, p.Version, p.Arch, source, version}, " "))
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 || !slices.Equal(want, got) {
		t.Fatalf("dpkg-query lists %d packages and the inventory %d, or they differ:\n%v", len(want), len(got), difference(want, got))
	}
	if len(inv.Gaps) > 0 {
		t.Errorf("gaps: %v", inv.Gaps)
	}
}

func difference(a, b []string) (out []string) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, "-"+x)
		}
	}
	for _, x := range b {
		if !slices.Contains(a, x) {
			out = append(out, "+"+x)
		}
	}
	return out[:min(len(out), 10)]
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	full := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
