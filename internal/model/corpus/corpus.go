// Package corpus writes the model files that the scanner is measured by:
// malicious ones for every technique that is known to run code, leave its
// directory or corrupt a loader, and benign ones as the real writers of each
// format lay them out.
//
// Start at [Malicious], [Benign] and [Write]. Everything is generated, from
// nothing but this package, and the same in every run. It was written without
// sight of the scanners, from what loaders do: CPython's pickle, torch.load,
// Keras, ONNX, llama.cpp, safetensors, zipfile.
//
// What malicious files would call is harmless (os.system("true"), a print, a
// file that does not exist); and nothing here loads or runs any of them.
package corpus

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Case is one model: a file, or a few files that belong together.
type Case struct {
	Name      string // unique, "technique/variation" or "benign-family/variation"
	Technique string // one of Techniques for malicious cases, the family for benign ones
	Malicious bool
	Files     map[string][]byte // slash-separated path below the model's directory → content
	Main      string            // the path in Files that a person would load
	Truth     string            // what it does, in one sentence
	Reference string            // CVE, GHSA, paper or format document; may be empty

	// wellFormed says that Main is one or more whole pickle streams, which the
	// package's tests then read to their ends.
	wellFormed bool
}

// group writes cases that belong together. Groups are small, so that a reader
// who stops early has not paid for everything.
type group func() []Case

// Malicious returns every malicious case, always in the same order.
func Malicious() iter.Seq[Case] { return sequence(true, maliciousGroups()) }

// Benign returns every benign case, always in the same order.
func Benign() iter.Seq[Case] { return sequence(false, benignGroups()) }

func sequence(malicious bool, groups []group) iter.Seq[Case] {
	return func(yield func(Case) bool) {
		for _, g := range groups {
			for _, c := range g() {
				c.Malicious = malicious
				if !yield(c) {
					return
				}
			}
		}
	}
}

// Techniques returns the sorted names of what the malicious cases do.
func Techniques() []string {
	seen := map[string]bool{}
	for c := range Malicious() {
		seen[c.Technique] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// Line is what index.jsonl, beside the files that Write leaves, says of a case.
type Line struct {
	Path      string `json:"path"` // of the main file, below the directory
	Dir       string `json:"dir,omitempty"`
	Name      string `json:"name"`
	Technique string `json:"technique"`
	Malicious bool   `json:"malicious"`
	Truth     string `json:"truth"`
	Reference string `json:"reference,omitempty"`
}

// Write leaves every case below dir, which is made if it is missing, and
// index.jsonl with one [Line] for each. Names say nothing of the label: a case
// is 0001.bin, with its own extension where it has one, because many tools
// look at nothing else. A case of several files, or whose loader asks for one
// name (tokenizer_config.json), is a directory 0001 with the names kept. The
// order is shuffled, always in the same way.
func Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write corpus: %w", err)
	}
	var index strings.Builder
	cases := slices.AppendSeq(slices.Collect(Malicious()), Benign())
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(cases), func(i, k int) { cases[i], cases[k] = cases[k], cases[i] })
	for n, c := range cases {
		line := Line{Name: c.Name, Technique: c.Technique, Malicious: c.Malicious, Truth: c.Truth, Reference: c.Reference}
		at := fmt.Sprintf("%04d", n+1)
		if len(c.Files) == 1 && !askedByName(c.Main) {
			ext := path.Ext(c.Main)
			if ext == "" {
				ext = ".bin"
			}
			line.Path = at + ext
			if err := os.WriteFile(filepath.Join(dir, line.Path), c.Files[c.Main], 0o644); err != nil {
				return fmt.Errorf("write corpus: case %s: %w", c.Name, err)
			}
		} else {
			line.Dir, line.Path = at, at+"/"+c.Main
			for _, name := range slices.Sorted(maps.Keys(c.Files)) {
				to := filepath.Join(dir, at, filepath.FromSlash(name))
				if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
					return fmt.Errorf("write corpus: case %s: %w", c.Name, err)
				}
				if err := os.WriteFile(to, c.Files[name], 0o644); err != nil {
					return fmt.Errorf("write corpus: case %s: %w", c.Name, err)
				}
			}
		}
		b, err := json.Marshal(line)
		if err != nil {
			return fmt.Errorf("write corpus: case %s: %w", c.Name, err)
		}
		index.Write(append(b, '\n'))
	}
	if err := os.WriteFile(filepath.Join(dir, "index.jsonl"), []byte(index.String()), 0o644); err != nil {
		return fmt.Errorf("write corpus: %w", err)
	}
	return nil
}

// askedByName says whether loaders look for the file by its whole name.
func askedByName(name string) bool {
	switch path.Ext(name) {
	case "", ".json", ".yaml", ".yml", ".md", ".txt", ".jinja", ".py", ".pb":
		return true
	}
	return false
}

// set collects the cases of one group. Every add takes the variation's name,
// the file's, its content and the sentence that says what it does.
type set struct {
	technique, reference string
	cases                []Case
}

func (s *set) add(variation, file, content, truth string) *Case {
	return s.files(variation, file, map[string][]byte{file: []byte(content)}, truth)
}

func (s *set) files(variation, main string, files map[string][]byte, truth string) *Case {
	s.cases = append(s.cases, Case{Name: s.technique + "/" + variation, Technique: s.technique,
		Files: files, Main: main, Truth: truth, Reference: s.reference})
	return &s.cases[len(s.cases)-1]
}

// pickle adds a case whose content is a pickle that CPython reads to its end.
func (s *set) pickle(variation, file, content, truth string) {
	s.add(variation, file, content, truth).wellFormed = true
}

func join(sets ...*set) []Case {
	var all []Case
	for _, s := range sets {
		all = append(all, s.cases...)
	}
	return all
}
