package openfaas

import (
	"testing"

	"github.com/apexlogic/apex/internal/function/node"
	"github.com/apexlogic/apex/internal/function/stack"
)

const faas = `version: 1.0
provider:
  name: openfaas
functions:
  caption:
    lang: python3
    image: registry.example/caption:${TAG:-latest}
    environment:
      MODE: fast
      TOKEN: ${TOKEN}
    secrets: [api-key]
    labels:
      security.apexlogic.com/gateway: main
  open:
    image: registry.example/open@sha256:00
`

func parse(t *testing.T, text string) *node.Node {
	t.Helper()
	docs, err := node.YAML("stack.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return docs[0]
}

func TestAStackIsRead(t *testing.T) {
	doc := parse(t, faas)
	if !Is(doc) {
		t.Fatal("it is not taken for a stack")
	}
	s := Read("stack.yml", doc)
	f := s.Functions[0]
	if f.ID != "caption" || f.Line != 5 || !f.Gateway || f.Image != (stack.Text{Value: "registry.example/caption:${TAG:-latest}"}) || f.Code[0].Value != "template:python3" {
		t.Errorf("%+v", f)
	}
	if e := f.Environment; len(e) != 3 || e[0].Value != stack.Literal("fast") || e[0].Line != 9 || e[1].Value.Known || e[2].From != "secret api-key" {
		t.Errorf("%+v", e)
	}
	if f := s.Functions[1]; f.Gateway || !f.Image.Known {
		t.Errorf("%+v", f)
	}
}

func TestOtherDocumentsAreNoStack(t *testing.T) {
	for _, text := range []string{"provider: {name: aws}\nfunctions: {a: {handler: b}}\n", "functions: {}\n", "provider: {name: openfaas}\nfunctions: [a]\n", "x"} {
		if Is(parse(t, text)) {
			t.Errorf("%q", text)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(faas)
	f.Add("provider: {name: openfaas}\nfunctions: {a: 1, b: {environment: [x], labels: {a: {}}, secrets: {a: b}}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		docs, _ := node.YAML("stack.yml", []byte(text))
		for _, d := range docs {
			if Is(d) {
				Read("stack.yml", d)
			}
			Function(d)
		}
	})
}
