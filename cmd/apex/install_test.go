package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestInstallPrintsWritesOrRefuses(t *testing.T) {
	const image = "registry.example/apex@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string // in what it prints, or in its error
	}{
		{"the manifests", []string{"--export", "--image", image}, exitAllow, "image: " + image},
		{"another namespace", []string{"--export", "--image", image, "--namespace", "guard"}, exitAllow, "namespace: guard"},
		{"other operators", []string{"--export", "--image", image, "--operator-group", "ops"}, exitAllow, `"ops"`},
		{"actions in a namespace", []string{"--export", "--image", image, "--actions", "vision"}, exitAllow, "namespace: vision"},
		{"a larger volume", []string{"--export", "--image", image, "--storage-size", "20Gi", "--storage-class", "fast"}, exitAllow, "20Gi"},
		{"a trial", []string{"--export", "--image", image, "--ephemeral"}, exitAllow, "emptyDir"},
		{"a size that is none", []string{"--export", "--image", image, "--storage-size", "much"}, exitUsage, "storage of the size"},
		{"a chart with a volume", []string{"--helm", dir, "--export", "--storage-size", "20Gi"}, exitUsage, "values of the chart"},
		{"a gateway", []string{"--export", "--image", image, "--gateway", "--trust-domain", "claims.example"}, exitAllow, "https://apex-identity.apex-system.svc:8444"},
		{"a gateway without a trust domain", []string{"--export", "--image", image, "--gateway"}, exitUsage, "the trust domain"},
		{"a trust domain without a gateway", []string{"--export", "--image", image, "--trust-domain", "claims.example"}, exitUsage, "--gateway"},
		{"a chart with a gateway", []string{"--export", "--helm", dir, "--gateway"}, exitUsage, "values of the chart"},
		{"a chart", []string{"--export", "--helm", dir}, exitAllow, "files written"},
		{"no image", []string{"--export"}, exitUsage, "no image is given"},
		{"an image by tag", []string{"--export", "--image", "registry.example/apex:v1"}, exitUsage, "by digest"},
		{"a chart without --export", []string{"--helm", dir}, exitUsage, "goes with --export"},
		{"a chart with an image", []string{"--export", "--helm", dir, "--image", image}, exitUsage, "values of the chart"},
		{"a cluster that is not there", []string{"--image", image, "--kubeconfig", filepath.Join(dir, "none")}, exitEnvironment, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out := execute(t, newInstallCommand(), tt.args)
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("exit code %d, want %d; %q is not in %.300s", code, tt.code, tt.want, out)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "Chart.yaml")); err != nil {
		t.Error(err)
	}
	if code, out := execute(t, newUninstallCommand(), []string{"--kubeconfig", filepath.Join(dir, "none")}); code != exitEnvironment {
		t.Errorf("uninstalling from a cluster that is not there: exit code %d: %s", code, out)
	}
}

// execute runs one command and returns its exit code and all it says.
func execute(t *testing.T, c *cobra.Command, args []string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.ExecuteContext(t.Context())
	if err == nil {
		return exitAllow, out.String()
	}
	var e *exit
	if errors.As(err, &e) {
		return e.code, out.String() + err.Error()
	}
	return exitEnvironment, out.String() + err.Error()
}
