package corpus

import (
	"path"
	"strings"
	"testing"
)

func TestHeldOutCasesAreWholeAndNamedOnce(t *testing.T) {
	const maxHeld = 64 << 20 // bytes of all held-out cases together
	names, contents := map[string]bool{}, map[string]string{}
	for c := range Malicious() {
		names[c.Name] = true
	}
	for c := range Benign() {
		names[c.Name] = true
	}
	malicious, benign, all := 0, 0, 0
	perTechnique := map[string]int{}
	for c := range HeldOut() {
		if names[c.Name] {
			t.Errorf("%s: the name is taken twice", c.Name)
		}
		names[c.Name] = true
		if !strings.HasPrefix(c.Name, c.Technique+"/held-") || c.Truth == "" {
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
			if name != path.Clean(name) || path.IsAbs(name) || strings.HasPrefix(name, "..") {
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
		if !c.Malicious {
			benign++
			continue
		}
		malicious++
		perTechnique[c.Technique]++
	}
	for _, technique := range Techniques() {
		if perTechnique[technique] < 2 {
			t.Errorf("%s has %d held-out cases", technique, perTechnique[technique])
		}
	}
	if malicious < 250 || benign < 200 {
		t.Errorf("%d malicious and %d benign cases", malicious, benign)
	}
	if perTechnique["pickle-gadget"] < 60 {
		t.Errorf("%d gadgets", perTechnique["pickle-gadget"])
	}
	if all > maxHeld {
		t.Errorf("the held-out corpus has %d bytes", all)
	}
	t.Logf("%d malicious in %d techniques, %d benign, %d bytes", malicious, len(perTechnique), benign, all)
}

func TestHeldOutIsTheSameInEveryRun(t *testing.T) {
	var first []string
	for c := range HeldOut() {
		first = append(first, c.Name+" "+digest(c))
	}
	i := 0
	for c := range HeldOut() {
		if i >= len(first) || first[i] != c.Name+" "+digest(c) {
			t.Fatalf("case %d, %s, differs from the first run", i, c.Name)
		}
		i++
	}
	if i != len(first) {
		t.Errorf("%d cases in the second run, %d in the first", i, len(first))
	}
}

func TestHeldOutMayBeLeftEarly(t *testing.T) {
	n := 0
	for range HeldOut() {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d cases", n)
	}
}
