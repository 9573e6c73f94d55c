// Package keras finds what in the configuration of a Keras model runs code, or
// reads files, when the model is built from it.
//
// Start at [Format]; [Formats] is the package's table. The configuration is
// JSON: config.json in a .keras archive, the attribute model_config of an .h5
// file, or a file that model.to_json wrote, or the YAML of model.to_yaml.
// Whoever unpacks those hands them over; here they are told by their content
// alone. walk.go goes over every object in the tree, names.go says what the
// names in it stand for.
//
// Keras turns {"module": …, "class_name": …, "config": …} into an object: it
// imports the module, takes the class, and has it built from the config. What
// may be named is therefore an allow-list: layers and the like of Keras and of
// its sister packages. A safe_mode of the loader is not relied on: .h5 files
// ignore it.
//
// Source: keras/src/saving/serialization_lib.py of Keras 3, and its
// predecessors down to Keras 2.2 for what they accepted.
package keras

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Formats are the formats of this package.
func Formats() []scan.Format { return []scan.Format{Format()} }

// Format reads configurations of Keras models.
func Format() scan.Format {
	return scan.Format{Name: "keras", Claim: claim, Scan: examine, Rules: rules()}
}

// How much is read. A configuration has some MiB at most; a larger one holds a
// vocabulary.
const (
	mostBytes = 32 << 20
	mostDear  = 6 << 20
	costLook  = scan.Cost(10) // finding out whether a byte is Keras's at all
	costBuild = scan.Cost(45) // keeping it in a tree, and walking over that
)

// claim takes JSON objects and lists, in any encoding that Python reads, and
// text that can be YAML.
func claim(f *scan.File) bool {
	head, err := f.Head()
	if err != nil {
		return false
	}
	all := head
	if head = head[:min(len(head), 1024)]; len(head) < 1024 && int64(len(head)) < f.Size() {
		return false
	}
	switch json, blank := beginsJSON(head); {
	case json:
		return true
	case blank:
		return int64(len(head)) < f.Size() // padded
	}
	all, _ = decode(all, true)
	return claimYAML(f, all)
}

// beginsJSON says whether an object or a list of JSON begins, or nothing does.
func beginsJSON(head []byte) (json, blank bool) {
	text, _ := decode(head, true)
	text = bytes.TrimLeft(text, " \t\n\r")
	return len(text) > 0 && (text[0] == '{' || text[0] == '['), len(text) == 0
}

func examine(p *scan.Place, f *scan.File) error {
	size := f.Size()
	if size > mostBytes || f.IsDear() && size > mostDear {
		head, err := f.Head()
		if err != nil {
			return err
		}
		if json, blank := beginsJSON(head); !json && !blank {
			return searchYAML(p, f)
		}
		return examineLong(p, f)
	}
	if _, err := p.Hold(size); err != nil {
		return err
	}
	if err := p.Spend(scan.Cost(size) * costLook); err != nil {
		return err
	}
	content, err := f.Read(0, size)
	if err != nil {
		return err
	}
	text, grown := decode(content, false)
	if grown {
		if _, err := p.Hold(int64(len(text))); err != nil {
			return err
		}
	}
	look := parser{b: text}
	_, lookErr := look.document()
	switch {
	case look.metadata && lookErr == nil && !look.shaped:
	case !look.shaped && lookErr != nil:
		return examineYAML(p, text)
	case !look.shaped:
		return scan.ErrOther
	}
	if err := p.Spend(scan.Cost(len(text)) * costBuild); err != nil {
		return err
	}
	parse := parser{b: text, build: true, hold: p.Hold}
	root, err := parse.document()
	w := &walker{place: p}
	if parse.duplicated {
		p.Report(ruleDuplicate, scan.At(int64(parse.duplicateAt)), fmt.Sprintf("the key %q is there twice", parse.duplicate))
	}
	if walkErr := w.walk(root); walkErr != nil {
		return walkErr
	}
	switch {
	case errors.Is(err, errDeep):
		p.Report(ruleLimit, scan.At(int64(parse.i)), err.Error())
	case errors.Is(err, errJSON):
		p.Report(ruleBroken, scan.At(int64(parse.i)), err.Error())
	default:
		return err
	}
	return nil
}

// examineLong looks at both ends of what is too long to parse.
func examineLong(p *scan.Place, f *scan.File) error {
	head, err := f.Head()
	if err != nil {
		return err
	}
	tail, err := f.Tail()
	if err != nil {
		return err
	}
	found := mentions(head) || mentions(tail)
	if !found && !f.IsDear() {
		if found, err = search(p, f); err != nil {
			return err
		}
	}
	if !found {
		return scan.ErrOther
	}
	p.Report(ruleLimit, scan.Nowhere, fmt.Sprintf("%d bytes of JSON", f.Size()))
	return nil
}
