package corpus

import (
	"path"
	"strings"
	"testing"
)

func TestThirdCasesAreWholeAndNamedOnce(t *testing.T) {
	const maxThird = 60 << 20 // bytes of all cases together
	names, contents := map[string]bool{}, map[string]string{}
	malicious, benign, all := 0, 0, 0
	perTechnique, perFamily := map[string]int{}, map[string]int{}
	for c := range Third() {
		if names[c.Name] {
			t.Errorf("%s: the name is taken twice", c.Name)
		}
		names[c.Name] = true
		if !strings.HasPrefix(c.Name, c.Technique+"/third-") || c.Truth == "" {
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
		if c.Malicious {
			malicious++
			perTechnique[c.Technique]++
		} else {
			benign++
			perFamily[c.Technique]++
		}
	}
	if all > maxThird {
		t.Errorf("the third corpus has %d bytes", all)
	}
	t.Logf("%d malicious in %d techniques, %d benign in %d families, %d bytes", malicious, len(perTechnique), benign, len(perFamily), all)
	t.Logf("malicious: %v", perTechnique)
	t.Logf("benign: %v", perFamily)
	for _, technique := range Techniques() {
		if perTechnique[technique] < 3 {
			t.Errorf("%s has %d cases", technique, perTechnique[technique])
		}
	}
	if malicious < 300 || benign < 400 || perTechnique["pickle-gadget"] < 60 {
		t.Errorf("%d malicious cases, %d of them gadgets, and %d benign ones", malicious, perTechnique["pickle-gadget"], benign)
	}
}

func TestThirdCasesAreNobodyElses(t *testing.T) {
	taken := map[string]string{}
	for c := range Malicious() {
		taken[digest(c)] = c.Name
	}
	for c := range Benign() {
		taken[digest(c)] = c.Name
	}
	for c := range HeldOut() {
		taken[digest(c)] = c.Name
	}
	for c := range Third() {
		if other, ok := taken[digest(c)]; ok {
			t.Errorf("%s is %s again", c.Name, other)
		}
	}
}

func TestThirdIsTheSameInEveryRun(t *testing.T) {
	var first []string
	for c := range Third() {
		first = append(first, c.Name+" "+digest(c))
	}
	i := 0
	for c := range Third() {
		if i >= len(first) || first[i] != c.Name+" "+digest(c) {
			t.Fatalf("case %d, %s, differs from the first run", i, c.Name)
		}
		i++
	}
	if i != len(first) {
		t.Errorf("%d cases in the second run, %d in the first", i, len(first))
	}
}

func TestThirdMayBeLeftEarly(t *testing.T) {
	n := 0
	for range Third() {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d cases", n)
	}
}
