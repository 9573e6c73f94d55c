package text

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/apexlogic/apex/internal/model/scan"
)

// maxJSON is the longest JSON document that is read. The longest that loaders
// of models read, tokenizers with 250,000 words, have 35 MB.
const maxJSON = 64 << 20

// costJSON is what a byte of JSON costs, measured on tokenizers.
const costJSON scan.Cost = 8

var (
	ruleJSONSyntax = &scan.Rule{ID: "json.syntax", Severity: scan.Unreadable,
		Why:  "What stands behind the error was not scanned, and some readers go on behind it.",
		Mend: "Mend the document at this place."}
	ruleJSONDuplicate = &scan.Rule{ID: "json.duplicate-key", Severity: scan.Unreadable,
		Why:        "Two readers can take two different values for the same key.",
		Mend:       "Leave one of the two.",
		References: []string{"CWE-436"}}
	ruleJSONTwice = &scan.Rule{ID: "json.repeated-key", Severity: scan.Note,
		Why: "Two readers can take two different values for the same key.", Mend: "Leave one of the two."}
	ruleJSONSize = &scan.Rule{ID: "json.size", Severity: scan.Unreadable,
		Why:  "A document this long was not read to its end.",
		Mend: "Split the document; data belongs into a format for data."}
	ruleJSONPart = &scan.Rule{ID: "json.part", Severity: scan.Note,
		Why: "Only the beginning of the data was read; no loader obeys what is in it.", Mend: "Nothing."}
)

// JSON is every JSON document. What its objects look like says which one, and
// it is reported as that: "tokenizer", "hf-config", "hydra", "skops".
func JSON() scan.Format {
	rules := append([]*scan.Rule{ruleJSONSyntax, ruleJSONDuplicate, ruleJSONTwice, ruleJSONSize, ruleJSONPart}, shapeRules()...)
	return scan.Format{Name: "json", Rules: rules, Claim: claimJSON, Scan: scanJSON}
}

// shapeRules are the rules that shapes report by.
func shapeRules() []*scan.Rule {
	rules := append(templateRules(), hydraRules()...)
	rules = append(rules, configRules()...)
	return append(rules, skopsRules()...)
}

// claimJSON takes what begins like an object or a list.
func claimJSON(f *scan.File) bool {
	head := significant(f)
	if len(head) < 2 || head[0] != '{' && head[0] != '[' {
		return false
	}
	next := bytes.TrimLeft(head[1:], " \t\r\n")
	if len(next) == 0 {
		return true // white space beyond the head, or nothing more at all
	}
	if head[0] == '{' {
		return next[0] == '"' || next[0] == '}' || next[0] == '/'
	}
	return bytes.IndexByte([]byte(`[{"]-0123456789tfnNI/`), next[0]) >= 0
}

// scanJSON walks a document once. Where it turns out to be one whose shape
// needs all of its small lists, it is walked again.
func scanJSON(p *scan.Place, f *scan.File) error {
	if f.Size() > probeJSON {
		// Records, one on each line, are told by their first megabyte.
		b, _, err := load(p, f, probeJSON, costJSON)
		if err != nil {
			return err
		}
		w := &jsonWalk{data: toUTF8(b), document: document{place: p, language: "json"}}
		var syntax *syntaxError
		if err := w.walk(); w.values > 1 && (err == nil || errors.As(err, &syntax)) {
			p.Report(ruleJSONPart, scan.Nowhere, fmt.Sprintf("the first %d records were read", w.values))
			return nil
		}
	}
	b, whole, err := load(p, f, maxJSON, costJSON)
	if err != nil {
		return err
	}
	b = toUTF8(b)
	w := &jsonWalk{data: b, document: document{place: p, language: "json"}, full: len(b) <= fullJSON}
	err = w.walk()
	if err == nil && w.again {
		if err := p.Spend(scan.Cost(len(b)) * costJSON); err != nil {
			return err
		}
		w = &jsonWalk{data: b, document: document{place: p, language: "json"}, full: true}
		err = w.walk()
	}
	var syntax *syntaxError
	switch {
	case err == nil:
		if w.truncated {
			p.Report(ruleJSONSize, scan.Nowhere, "the document has too many parts to keep")
		}
		return nil
	case !errors.As(err, &syntax):
		return err
	case !whole && syntax.at >= len(b)-maxToken:
		if w.isData() {
			p.Report(ruleJSONPart, scan.At(int64(len(b))), fmt.Sprintf("the first %d of %d bytes were read", len(b), f.Size()))
			return nil
		}
		p.Report(ruleJSONSize, scan.At(int64(len(b))), fmt.Sprintf("%d of %d bytes were read", len(b), f.Size()))
		return nil
	case w.keys == 0 && !w.deep:
		return scan.ErrOther // a list in some other language, a tag, a link
	}
	p.Report(ruleJSONSyntax, scan.At(int64(syntax.at)), syntax.what)
	return nil
}

// probeJSON is how much of a long file is looked at first.
const probeJSON = 1 << 20

// fullJSON is the length up to which all fields of a document are kept.
const fullJSON = 256 << 10

// maxToken is how close to the end of what was read a syntax error can be
// because the rest is missing.
const maxToken = 1 << 20

// syntaxError is an error of a document's grammar.
type syntaxError struct {
	at   int // bytes from the beginning
	what string
}

// Error implements error.
func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.at, e.what) }
