package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestAnApprovalIsSignedOrRefused(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "operations.key")
	t.Setenv("APEX_PASSWORD", "")
	if code, out := execute(t, newKeysCommand(), []string{"generate", "--output-key-prefix", strings.TrimSuffix(key, ".key")}); code != exitAllow {
		t.Fatal(out)
	}
	args := func(change ...string) []string {
		all := []string{"--namespace", "vision", "--violation", "0123456789abcdef", "--action", "ScaleToZero", "--reason", "INC-1", "--as", "operations", "--key", key, "--print"}
		return append(all, change...)
	}
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"an approval", args(), exitAllow, "0123456789abcdef.ScaleToZero: "},
		{"an action that is none", args("--action", "Delete"), exitUsage, "none of Isolate, ScaleToZero and RollBack"},
		{"a violation that is none", args("--violation", "x"), exitUsage, "16 hexadecimal digits"},
		{"an approval for ever", args("--expires", "9000h"), exitUsage, "expire"},
		{"no reason", args("--reason", ""), exitUsage, "--reason is missing"},
		{"no key", args("--key", filepath.Join(dir, "none")), exitEnvironment, "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out := execute(t, newApproveCommand(), tt.args)
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("exit code %d, want %d; %q is not in %s", code, tt.code, tt.want, out)
			}
		})
	}
}
