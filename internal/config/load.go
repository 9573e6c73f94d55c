package config

import (
	"context"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/apexlogic/apex/verdict"
)

// Load reads all sources into one set. What is wrong with the documents is in
// [Set.Problems]; the error is about reading them at all: a path that is not
// there, a directory that cannot be read, a context that is done.
//
// A document that is wrong is not in the set's lists, but a set with an error
// among its problems is never published (see [Set.Err]), so nothing is decided
// without it. Documents of other API groups are left alone, unless they look
// like misspelled ones of ours.
func Load(ctx context.Context, sources ...Source) (*Set, error) {
	l := &loader{set: &Set{readiness: map[string]Readiness{}}}
	for _, s := range sources {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if s.read == nil {
			return nil, fmt.Errorf("load: the zero Source names nothing")
		}
		if err := s.read(ctx, l); err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
	}
	l.set.finish()
	return l.set, nil
}

// loader collects documents.
type loader struct {
	set   *Set
	files int
	bytes int
	full  bool
	size  size // of the present file
}

// refuse reports a file that is not read.
func (l *loader) refuse(file, message string) {
	l.set.add(Problem{Position: Position{File: file}, Code: verdict.PolicyInvalid, Message: message})
}

// file reads the documents of one file. A file that was named by itself has to
// hold one of ours: naming a wrong file must not pass for having no policy.
func (l *loader) file(name string, data []byte, named bool) {
	l.files++
	l.bytes += len(data)
	switch {
	case l.full:
		return
	case l.files > maxFiles || l.bytes > maxBytes:
		l.full = true
		l.refuse(name, fmt.Sprintf("more than %d files or %d bytes are read; name the directory with the policies", maxFiles, maxBytes))
		return
	case len(data) > maxFile:
		l.refuse(name, fmt.Sprintf("the file is larger than %d bytes; split it", maxFile))
		return
	}
	l.size = size{}
	docs, syntax := parse(data)
	ours := 0
	for i, doc := range docs {
		ours += l.document(Position{File: name, Document: i + 1}, doc.Content[0], false)
	}
	switch {
	case syntax != nil:
		l.set.add(Problem{
			Position: Position{File: name, Document: len(docs) + 1, Line: syntax.line, Column: syntax.column},
			Code:     verdict.PolicyInvalid, Message: syntax.message,
		})
	case named && ours == 0:
		l.refuse(name, "holds no document of "+apiVersion)
	}
}

// document reads one document, or the items of a list of documents, and
// returns how many of ours it met, right or wrong. A list inside of a list is
// nobody's: an alias could make it endless.
func (l *loader) document(at Position, node *yaml.Node, inList bool) int {
	at.Line, at.Column = node.Line, node.Column
	switch id := identifyDocument(node); id.verdict {
	case foreign:
		return 0
	case listOfDocuments:
		if inList {
			l.set.add(Problem{Position: at, Code: verdict.PolicyInvalid, Message: "is a list inside of a list; write its items out"})
			return 1
		}
		ours := 0
		for _, item := range id.items {
			if item.Kind == yaml.AliasNode {
				item = item.Alias
			}
			if ours += l.document(at, item, true); l.set.crowded() {
				break
			}
		}
		return ours
	case misspelled:
		l.set.add(Problem{
			Position: Position{File: at.File, Document: at.Document, Line: id.line, Column: id.column},
			Code:     verdict.PolicyInvalid, Path: id.path, Message: id.message, Suggestion: id.suggestion,
		})
		return 1
	default:
		l.ours(at, node, id.kind)
		return 1
	}
}

// ours validates and decodes a document of one of our kinds.
func (l *loader) ours(at Position, node *yaml.Node, kind string) {
	object := kind
	if name := scalarOf(entry(entry(node, "metadata"), "name")); name != "" && len(name) <= maxSuggest {
		object += "/" + name
	}
	report := func(line, column int, path, message, suggestion string) {
		l.set.add(Problem{
			Position: Position{File: at.File, Document: at.Document, Line: line, Column: column},
			Code:     verdict.PolicyInvalid, Object: object, Path: path, Message: message, Suggestion: suggestion,
		})
	}
	root, ok := build(node, &l.size, report)
	if !ok {
		return
	}
	def, err := kinds()[kind]()
	if err != nil {
		report(at.Line, at.Column, "", err.Error(), "")
		return
	}
	if !validate(root, def.Schema, report) {
		return
	}
	doc := &document{kind: kind, name: root.get("metadata").string("name"), at: at, root: root}
	if err := l.set.decode(doc); err != nil {
		report(at.Line, at.Column, "", fmt.Sprintf("cannot be read: %v", err), "")
	}
}

// The ways to look at a document before it is read.
type classification uint8

const (
	foreign classification = iota
	known
	misspelled
	listOfDocuments
)

// identity is what a document says that it is.
type identity struct {
	verdict                   classification
	kind                      string
	items                     []*yaml.Node
	line, column              int
	path, message, suggestion string
}

// identifyDocument tells our documents, those that are probably meant to be
// ours, and those that are somebody else's apart. It looks at the raw nodes, so
// that a foreign document needs to satisfy nothing.
func identifyDocument(node *yaml.Node) identity {
	if node.Kind != yaml.MappingNode {
		return identity{verdict: foreign}
	}
	version, kind := entry(node, "apiVersion"), entry(node, "kind")
	versionText, kindText := scalarOf(version), scalarOf(kind)
	if items := entry(node, "items"); items != nil && items.Kind == yaml.SequenceNode &&
		(versionText == "v1" && kindText == "List" || versionText == apiVersion && strings.HasSuffix(kindText, "List")) {
		return identity{verdict: listOfDocuments, items: items.Content}
	}
	wrong := func(n *yaml.Node, path, message, suggestion string) identity {
		if n == nil {
			n = node
		}
		return identity{verdict: misspelled, line: n.Line, column: n.Column, path: path, message: message, suggestion: suggestion}
	}
	if versionText == apiVersion {
		if _, ok := kinds()[kindText]; ok {
			return identity{verdict: known, kind: kindText}
		}
		if kind == nil {
			return wrong(nil, "kind", "is missing; one of "+strings.Join(knownKinds(), ", ")+" is needed", "")
		}
		return wrong(kind, "kind", quote(kindText)+" is not a kind of "+apiVersion+"; the kinds are "+strings.Join(knownKinds(), ", "), closest(kindText, knownKinds()))
	}
	if version == nil {
		if text, n := misplacedGroup(node); n != nil {
			return wrong(n, "apiVersion", "is missing; "+quote(text)+" stands at another key", "apiVersion: "+apiVersion)
		}
	}
	itsGroup, _, grouped := strings.Cut(versionText, "/")
	switch {
	case nearGroup(itsGroup), nearGroup(versionText):
		return wrong(version, "apiVersion", quote(versionText)+" is not a version that this Apex knows", apiVersion)
	case !grouped || !strings.Contains(itsGroup, ".") || strings.Contains(itsGroup, "apexlogic"):
		// No group, one of Kubernetes' own, or one that resembles ours: they
		// have none of our kinds. Others do: several projects have a TrustRoot
		// or a PolicyException.
		if _, ours := kinds()[kindText]; ours || closest(kindText, knownKinds()) != "" {
			if version == nil {
				return wrong(nil, "apiVersion", "is missing", apiVersion)
			}
			return wrong(version, "apiVersion", quote(versionText)+" has no kind "+quote(kindText), apiVersion)
		}
	}
	return identity{verdict: foreign}
}

// nearGroup reports whether text is probably meant to be our API group.
func nearGroup(text string) bool {
	return strings.EqualFold(text, group) || closest(text, []string{group}) != ""
}

// misplacedGroup finds our group as the value of a key that is not apiVersion.
func misplacedGroup(node *yaml.Node) (string, *yaml.Node) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if text := scalarOf(node.Content[i+1]); strings.HasPrefix(text, group) {
			return node.Content[i].Value, node.Content[i]
		}
	}
	return "", nil
}

// entry returns the value of a key. Of a key that is there twice it returns the
// one that concerns us, so that the document is not taken for a foreign one.
func entry(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	var found *yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value != key {
			continue
		}
		v := node.Content[i+1]
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		if found == nil || strings.HasPrefix(v.Value, group) {
			found = v
		}
	}
	return found
}

func scalarOf(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode {
		return ""
	}
	return node.Value
}
