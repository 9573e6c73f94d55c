package bump

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// isDockerfile: Dockerfile, Containerfile, Dockerfile.gpu, gpu.Dockerfile.
func isDockerfile(p string) bool {
	name := strings.ToLower(path.Base(p))
	for _, word := range []string{"dockerfile", "containerfile"} {
		if name == word || strings.HasPrefix(name, word+".") || strings.HasSuffix(name, "."+word) {
			return true
		}
	}
	return false
}

// docker reads one Dockerfile.
type docker struct {
	file   *File
	text   []byte            // without comments and joins, places kept
	stages map[string]string // ecosystem of the distribution, by the stage's name
	stage  string            // the ecosystem of this one; "" when it is not told
	image  string            // what this one begins with
	told   bool              // that it is not
}

// findDockerfile finds what RUN installs in a pinned version with pip and apt.
func findDockerfile(f *File) error {
	d := docker{file: f, text: bytes.Clone(f.data), stages: map[string]string{}}
	joinLines(d.text, escapeOf(f.data), func(line []byte) int {
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("#")) {
			return 0
		}
		return len(line)
	})
	for at := 0; at < len(d.text); {
		end := at + length(d.text[at:])
		word, rest := d.word(at, end)
		next := end + 1
		var body [2]int // of a here-document, without its last line
		if marker := heredoc(d.text[rest:end]); marker != "" && isInstruction(word, "RUN", "COPY", "ADD") {
			body[0] = min(next, len(d.text))
			body[1], next = heredocEnd(d.text, body[0], marker)
		}
		switch {
		case isInstruction(word, "FROM"):
			d.from(strings.Fields(string(d.text[rest:end])))
		case isInstruction(word, "RUN"):
			for { // flags of RUN itself
				flag, after := d.word(rest, end)
				if !strings.HasPrefix(flag, "--") {
					break
				}
				rest = after
			}
			spans := [][2]int{{rest, end}}
			// Only a body without a program of its own is for the shell.
			if first, _ := d.word(rest, end); strings.HasPrefix(first, "<<") {
				spans = nil
				for from := body[0]; from < body[1]; {
					to := from + length(d.text[from:body[1]])
					spans = append(spans, [2]int{from, to})
					from = to + 1
				}
			}
			for _, s := range spans {
				if err := d.run(s[0], s[1]); err != nil {
					return err
				}
			}
		}
		at = next
	}
	return nil
}

// escapeOf reads the directive that chooses the character which joins lines. It
// stands among the comments that a Dockerfile begins with.
func escapeOf(data []byte) byte {
	for line := range bytes.Lines(data) {
		directive, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("#"))
		if !ok {
			break
		}
		key, value, _ := bytes.Cut(directive, []byte("="))
		if strings.EqualFold(string(bytes.TrimSpace(key)), "escape") && string(bytes.TrimSpace(value)) == "`" {
			return '`'
		}
	}
	return '\\'
}

func isInstruction(word string, names ...string) bool {
	for _, n := range names {
		if strings.EqualFold(word, n) {
			return true
		}
	}
	return false
}

// word returns the next word, and where it ends.
func (d *docker) word(at, end int) (word string, rest int) {
	for at < end && isSpace(d.text[at]) {
		at++
	}
	rest = at
	for rest < end && !isSpace(d.text[rest]) {
		rest++
	}
	return string(d.text[at:rest]), rest
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// heredoc returns the word that ends the here-document which the line begins.
func heredoc(line []byte) string {
	_, after, ok := bytes.Cut(line, []byte("<<"))
	if !ok {
		return ""
	}
	after = bytes.TrimLeft(bytes.TrimPrefix(after, []byte("-")), "\"'")
	return string(after[:bare(after)])
}

// heredocEnd returns where the body ends and where the file goes on.
func heredocEnd(text []byte, from int, marker string) (end, next int) {
	for at := from; at < len(text); {
		to := at + length(text[at:])
		if string(bytes.TrimSpace(text[at:to])) == marker {
			return at, to + 1
		}
		at = to + 1
	}
	return len(text), len(text)
}

// from begins a stage.
func (d *docker) from(words []string) {
	for len(words) > 0 && strings.HasPrefix(words[0], "--") {
		words = words[1:]
	}
	if len(words) == 0 {
		return
	}
	ecosystem, known := d.stages[strings.ToLower(words[0])]
	if !known {
		ecosystem = distributionOf(words[0])
	}
	d.stage, d.image, d.told = ecosystem, words[0], false
	if len(words) == 3 && strings.EqualFold(words[1], "AS") && len(d.stages) < maxPins {
		d.stages[strings.ToLower(words[2])] = ecosystem
	}
}

// distributionOf tells the distribution of an image by its tag: Debian's and
// Ubuntu's own, and those that name a release by its code name, as the official
// images do ("python:3.12-slim-bookworm"). "" when the tag does not say.
func distributionOf(image string) string {
	name, _, _ := strings.Cut(image, "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	name, tag, _ := strings.Cut(name, ":")
	releases := map[string]string{
		"buster": "Debian:10", "bullseye": "Debian:11", "bookworm": "Debian:12", "trixie": "Debian:13",
		"focal": "Ubuntu:20.04", "jammy": "Ubuntu:22.04", "noble": "Ubuntu:24.04",
	}
	for part := range strings.SplitSeq(tag, "-") {
		if e := releases[part]; e != "" {
			return e
		}
	}
	version, _, _ := strings.Cut(tag, "-")
	number := version != "" && strings.Trim(version, "0123456789.") == ""
	switch {
	case name == "debian" && number:
		major, _, _ := strings.Cut(version, ".")
		return "Debian:" + major
	case name == "ubuntu" && number && strings.Count(version, ".") == 1:
		return "Ubuntu:" + version
	}
	return ""
}

// run reads the commands of one RUN.
func (d *docker) run(at, end int) error {
	words, err := shellWords(d.text, at, end)
	if err != nil {
		return err
	}
	var command []shellWord
	for _, w := range append(words, shellWord{ends: true}) {
		if !w.ends {
			command = append(command, w)
			continue
		}
		if err := d.command(command); err != nil {
			return err
		}
		command = command[:0]
	}
	return nil
}

// command adds what "pip install" and "apt-get install" pin.
func (d *docker) command(words []shellWord) error {
	for i := 0; i < len(words); i++ {
		program := path.Base(words[i].text)
		pip := program == "pip" || program == "pip3" || strings.HasPrefix(program, "pip3.")
		apt := program == "apt-get" || program == "apt"
		if !pip && !apt {
			continue
		}
		j := i + 1
		for j < len(words) && strings.HasPrefix(words[j].text, "-") {
			if option := words[j].text; apt && (option == "-o" || option == "-t" || option == "-c") {
				j++
			}
			j++
		}
		if j >= len(words) || words[j].text != "install" {
			i = j - 1
			continue
		}
		for _, w := range words[j+1:] {
			if !w.plain {
				continue
			}
			if p, ok := pep508(w.text); ok && pip {
				if err := d.file.add(p.at(w.start)); err != nil {
					return err
				}
			}
			if apt {
				if err := d.apt(w); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return nil
}

// apt reads "name=version" and "name:arch=version".
func (d *docker) apt(w shellWord) error {
	spec, version, ok := strings.Cut(w.text, "=")
	name, _, _ := strings.Cut(spec, ":")
	if !ok || strings.HasPrefix(name, "-") || !isVersion(version) || !isDebianName(name) {
		return nil
	}
	if d.stage == "" {
		if !d.told && len(d.file.Unread) < maxPins {
			d.file.Unread = append(d.file.Unread, fmt.Sprintf("%s: the tag of %.100q does not say which release of a distribution it is, so what apt installs there was not looked at", d.file.Path, d.image))
		}
		d.told = true
		return nil
	}
	p := Pin{Ecosystem: d.stage, Name: name, Version: version, start: len(spec) + 1, end: len(w.text)}
	return d.file.add(p.at(w.start))
}

func isDebianName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}
