package lock

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/apexlogic/apex/internal/bounded"
)

const (
	// maxYAML bounds YAML in bytes: the lock files of large repositories have 5 MB.
	maxYAML = 16 << 20
	// maxMarks bounds the characters after which a value can begin. The parser
	// keeps some 200 bytes of each; the lock files above have 500,000.
	maxMarks = 1 << 20
)

// node is one value of a YAML document.
type node struct{ *yaml.Node }

// readYAML reads the first document. Aliases, which lock files never have, are
// not followed: they are values of no kind that is read.
func readYAML(data []byte) (root node, err error) {
	if len(data) > maxYAML {
		return node{}, fmt.Errorf("%w of %d bytes of YAML", bounded.ErrTooLarge, maxYAML)
	}
	marks := 0
	for _, c := range data {
		switch c {
		case '\n', ',', '[', '{', ':', '\r':
			marks++
		}
	}
	if marks > maxMarks {
		return node{}, fmt.Errorf("%w of %d YAML values", bounded.ErrTooMany, maxMarks)
	}
	// The parser panics on states that it holds to be impossible.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("not valid YAML: the parser gave up: %v", p)
		}
	}()
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil {
		return node{}, fmt.Errorf("not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return node{}, errors.New("it is empty")
	}
	return node{doc.Content[0]}, nil
}

// get returns the value of a key of a mapping, an empty node when there is none.
func (n node) get(key string) node {
	if n.Node == nil || n.Kind != yaml.MappingNode {
		return node{}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return node{n.Content[i+1]}
		}
	}
	return node{}
}

// text returns the text of a key's value, "" when it is none.
func (n node) text(key string) string {
	v := n.get(key)
	if v.Node == nil || v.Kind != yaml.ScalarNode || v.Tag == "!!null" {
		return ""
	}
	return v.Value
}

// is says whether the value of a key is true.
func (n node) is(key string) bool { return n.text(key) == "true" }

// pairs goes through a mapping in the file's order.
func (n node) pairs() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		if n.Node == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, node{n.Content[i+1]}) {
				return
			}
		}
	}
}
