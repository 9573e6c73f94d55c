package dir

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/apexlogic/apex/internal/gitops"
)

// What a file may hold. Ours are smaller: YAML is at most four times as long as
// the JSON that an object may have.
const (
	maxFile  = 4*gitops.MaxObjectBytes + 4096
	maxNodes = 200_000 // values of one object, aliases counted each time
	maxDepth = 100
)

// A file begins with a line that names its source and the hash of what follows,
// so that a walk over thousands of files does not parse those that nobody
// touched. It proves nothing: what counts is read from the object itself.
const headFormat = "# Applied by Apex from the source %s; what is changed here is undone. sha256:%s\n"

// encodeFile writes an object as it is kept.
func encodeFile(body map[string]any) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(body); err != nil {
		return nil, err
	}
	if err := e.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.Bytes())
	source := gitops.SourceOf(body)
	if gitops.CheckSource(source) != nil {
		source = "-"
	}
	data := append(fmt.Appendf(nil, headFormat, source, hex.EncodeToString(sum[:])), b.Bytes()...)
	if len(data) > maxFile {
		return nil, fmt.Errorf("it has %d bytes as YAML, a file may have %d", len(data), maxFile)
	}
	return data, nil
}

// sourceIn returns the source that a file names, without parsing what nobody
// touched.
func sourceIn(data []byte) string {
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	if source, sum, ok := readHead(string(line)); ok {
		if got := sha256.Sum256(rest); hex.EncodeToString(got[:]) == sum {
			return source
		}
	}
	body, err := decodeFile(data)
	if err != nil {
		return ""
	}
	return gitops.SourceOf(body)
}

func readHead(line string) (source, sum string, ok bool) {
	before, after, _ := strings.Cut(strings.TrimSuffix(headFormat, "\n"), "%s")
	middle, _, _ := strings.Cut(after, "%s")
	rest, ok := strings.CutPrefix(line, before)
	if !ok {
		return "", "", false
	}
	source, sum, ok = strings.Cut(rest, middle)
	return source, sum, ok && gitops.CheckSource(source) == nil
}

// decodeFile reads one object. The file may be anybody's.
func decodeFile(data []byte) (map[string]any, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it holds more than one document")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("it holds no object")
	}
	r := reader{left: maxNodes}
	v, err := r.value(doc.Content[0], 0)
	if err != nil {
		return nil, err
	}
	body, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it holds no object")
	}
	return body, nil
}

type reader struct{ left int }

func (r *reader) value(n *yaml.Node, depth int) (any, error) {
	if r.left--; r.left < 0 || depth > maxDepth {
		return nil, fmt.Errorf("line %d: it holds too much", n.Line)
	}
	switch n.Kind {
	case yaml.AliasNode:
		if n.Alias == nil {
			return nil, fmt.Errorf("line %d: an alias of nothing", n.Line)
		}
		return r.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := r.value(c, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode {
				return nil, fmt.Errorf("line %d: a key that is no text", key.Line)
			}
			if _, twice := m[key.Value]; twice {
				return nil, fmt.Errorf("line %d: the key %.40q is there twice", key.Line, key.Value)
			}
			v, err := r.value(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			m[key.Value] = v
		}
		return m, nil
	case yaml.ScalarNode:
		return scalar(n), nil
	}
	return nil, fmt.Errorf("line %d: no value", n.Line)
}

// scalar returns what JSON has; everything else is the text as it stands.
func scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, 64); err == nil {
			return i
		}
	case "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			return f
		}
	}
	return n.Value
}
