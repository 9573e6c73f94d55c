package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, dir, actions string) []string {
	t.Helper()
	for folder, text := range map[string]string{
		"actions":       actions,
		"resourceTypes": `{"thing":{"key":"thing","arn":"arn:${Partition}:x:::${Name}","conditionKeys":["x:Tag"]}}`,
	} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, folder, "x.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return []string{filepath.Join(dir, "actions", "x.json")}
}

func TestTheSameDataGivesTheSameTable(t *testing.T) {
	const actions = `{"b":{"name":"B","accessLevel":"Read"},"a":{"name":"A","accessLevel":"Tagging, Write","resourceTypes":[{"name":"thing","required":true},{"name":"gone"}],"dependentActions":["iam:PassRole","iam:PassRole"]}}`
	dir := t.TempDir()
	files := write(t, dir, actions)
	one, err := Table(dir, "1", files)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Table(dir, "1", files)
	if err != nil || !bytes.Equal(one, two) || !bytes.HasPrefix(one, []byte("iam1\x011\x01\x01x")) {
		t.Errorf("%q, %q, %v", one, two, err)
	}
	other, err := Table(dir, "2", files)
	if err != nil || bytes.Equal(one, other) {
		t.Errorf("another version gives the same table, %v", err)
	}
}

func TestDataThatIsNotUnderstoodIsAnError(t *testing.T) {
	for name, actions := range map[string]string{
		"an unknown level": `{"a":{"name":"A","accessLevel":"Magic"}}`,
		"no JSON":          `{`,
	} {
		dir := t.TempDir()
		if _, err := Table(dir, "1", write(t, dir, actions)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := run(t.TempDir(), "1", filepath.Join(t.TempDir(), "out")); err == nil {
		t.Error("a folder without actions is taken")
	}
}
