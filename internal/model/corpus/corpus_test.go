package corpus

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxFile = 4 << 20 // bytes; bombs are bombs after unpacking, not before
	maxAll  = 96 << 20
)

func digest(c Case) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		fmt.Fprintf(h, "%s\x00%d\x00", name, len(c.Files[name]))
		h.Write(c.Files[name])
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestEveryCaseIsWholeAndNamedOnce(t *testing.T) {
	names, contents := map[string]bool{}, map[string]string{}
	perTechnique := map[string]int{}
	benign, all := 0, 0
	check := func(c Case) {
		if names[c.Name] {
			t.Errorf("%s: the name is taken twice", c.Name)
		}
		names[c.Name] = true
		if c.Technique == "" || !strings.HasPrefix(c.Name, c.Technique+"/") || c.Truth == "" {
			t.Errorf("%s: technique %q, truth %q", c.Name, c.Technique, c.Truth)
		}
		if _, ok := c.Files[c.Main]; !ok {
			t.Errorf("%s: its main file %s is missing", c.Name, c.Main)
		}
		d := digest(c)
		if other, ok := contents[d]; ok {
			t.Errorf("%s has the content of %s", c.Name, other)
		}
		contents[d] = c.Name
		for name, content := range c.Files {
			if name != path.Clean(name) || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "..") {
				t.Errorf("%s: the path %q leaves its directory", c.Name, name)
			}
			if len(content) > maxFile {
				t.Errorf("%s: %s has %d bytes", c.Name, name, len(content))
			}
			all += len(content)
		}
		if c.wellFormed {
			if _, _, err := listOpcodes(c.Files[c.Main]); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
	for c := range Malicious() {
		if !c.Malicious {
			t.Errorf("%s is not marked", c.Name)
		}
		perTechnique[c.Technique]++
		check(c)
	}
	for c := range Benign() {
		if c.Malicious {
			t.Errorf("%s is marked", c.Name)
		}
		benign++
		check(c)
	}
	for _, technique := range Techniques() {
		if perTechnique[technique] < 3 {
			t.Errorf("%s has %d cases", technique, perTechnique[technique])
		}
	}
	if benign < 250 {
		t.Errorf("%d benign cases", benign)
	}
	if all > maxAll {
		t.Errorf("the corpus has %d bytes", all)
	}
	t.Logf("%d malicious in %d techniques, %d benign, %d bytes", len(names)-benign, len(perTechnique), benign, all)
}

func TestTwoRunsAreEqual(t *testing.T) {
	run := func() string {
		h := sha256.New()
		for c := range Malicious() {
			fmt.Fprintln(h, c.Name, digest(c))
		}
		for c := range Benign() {
			fmt.Fprintln(h, c.Name, digest(c))
		}
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	if a, b := run(), run(); a != b {
		t.Errorf("the first run gave %s, the second %s", a, b)
	}
}

func TestAReaderMayStopEarly(t *testing.T) {
	for range Malicious() {
		break
	}
	for range Benign() {
		break
	}
}

func TestAtLeastNinetyGadgets(t *testing.T) {
	n := 0
	for c := range Malicious() {
		if c.Technique == "pickle-gadget" {
			n++
		}
	}
	if n < 90 {
		t.Errorf("%d gadgets", n)
	}
}

func TestWriteLeavesNeutralNamesAndAnIndex(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "index.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Case{}
	for c := range Malicious() {
		want[c.Name] = c
	}
	for c := range Benign() {
		want[c.Name] = c
	}
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if len(lines) != len(want) {
		t.Errorf("%d lines for %d cases", len(lines), len(want))
	}
	for _, text := range lines {
		var line Line
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		c := want[line.Name]
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(line.Path)))
		if err != nil {
			t.Error(err)
			continue
		}
		if string(got) != string(c.Files[c.Main]) || line.Malicious != c.Malicious {
			t.Errorf("%s: %s holds something else", line.Name, line.Path)
		}
	}
}
