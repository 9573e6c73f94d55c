package node

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/function/stack"
)

func TestJSONKeepsLinesAndReadsWhatToolsWrite(t *testing.T) {
	n, err := JSON("f.json", []byte("\ufeff{\n  // a comment\n  \"a\": [1,\n    true, /* two\nlines */ null,],\n  \"b\": \"x\\u00e9\\ud83d\\ude00\\n\",\n  \"b\": {\"c\": -1.5e3}\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	a := n.Get("a")
	if a.Line != 3 || len(a.Items) != 3 || a.Items[1].Line != 4 || a.Items[2].Line != 5 || a.Items[2].Kind != Null {
		t.Errorf("%+v", a)
	}
	if c := n.Get("b", "c"); c.Text() != "-1.5e3" || c.Line != 7 || n.KeyAt("b").Line != 7 {
		t.Errorf("of two fields the last counts: %+v", c)
	}
	data, ok := n.JSON()
	if !ok || string(data) != `{"a":[1,true,null],"b":{"c":-1.5e3}}` {
		t.Errorf("%s", data)
	}
}

func TestJSONThatIsNoneIsRefusedWithItsLine(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"a string without an end", "{\n\"a\": \"x", "f:2:"},
		{"a missing colon", "{\n\n\"a\" 1}", "f:3:"},
		{"a missing comma", "[1\n2]", "f:2:"},
		{"something behind it", "{}\n{}", "f:2:"},
		{"a word", "nope", "f:1:"},
		{"nothing", "", "f:1:"},
		{"an escape that is none", `"\x"`, "f:1:"},
		{"nested too deep", strings.Repeat("[", 200) + strings.Repeat("]", 200), "nested deeper"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := JSON("f", []byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestYAMLKeepsLinesTagsAndMerges(t *testing.T) {
	docs, err := YAML("f.yaml", []byte(`base: &base
  a: 1
  b: 2
own:
  <<: *base
  b: !Sub "${X}"
  text: |
    {
      "Statement": [
        {"Effect": "Allow"}
      ]
    }
---
second: yes
`))
	if err != nil || len(docs) != 2 {
		t.Fatalf("%d documents, %v", len(docs), err)
	}
	own := docs[0].Get("own")
	if own.Get("a").Text() != "1" || own.Get("b").Tag != "!Sub" || own.Get("b").Line != 6 {
		t.Errorf("%+v", own)
	}
	p, err := Policy(own.Get("text"), "p", "", stack.Where{File: "f.yaml", Line: 7})
	if err != nil || !slices.Equal(p.Lines, []int{10}) {
		t.Errorf("a policy in a block: %v, %v", p.Lines, err)
	}
}

func TestYAMLThatExpandsWithoutEndIsRefused(t *testing.T) {
	bomb := "a0: &a0 [x, x]\n"
	for i := range 40 {
		bomb += strings.ReplaceAll(strings.ReplaceAll("aN: &aN [*aM, *aM, *aM]\n", "N", itoa(i+1)), "M", itoa(i))
	}
	for _, tc := range []struct{ name, text string }{
		{"aliases of aliases", bomb},
		{"an alias of itself", "a: &a [*a]\n"},
		{"brackets", strings.Repeat("[", 500)},
		{"a key that is a map", "{a: 1}: 2\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if docs, err := YAML("f", []byte(tc.text)); err == nil {
				t.Errorf("%d documents", len(docs))
			}
		})
	}
	if _, err := YAML("f", []byte("a: &a [x]\nb: *a\n")); err != nil {
		t.Errorf("an alias that ends: %v", err)
	}
}

func TestUnknownPartsSurviveJSON(t *testing.T) {
	at := stack.Where{File: "f", Line: 1}
	text := String(at, `{"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "arn:`+Placeholder(`lookup(m, "k")`)+`"}, `+Placeholder("var.more")+`]}`).InBlock()
	p, err := Policy(text, "p", "", at)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Unknown || len(p.Lines) != 1 || string(p.Document) != `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:${lookup(m, \"k\")}"}]}` {
		t.Errorf("unknown %v, lines %v\n%s", p.Unknown, p.Lines, p.Document)
	}
	if !json.Valid(p.Document) {
		t.Error("the document is not valid JSON")
	}
	if got := Encode(text).Value(); got.Known || !strings.Contains(got.Value, "${var.more}") {
		t.Errorf("%+v", got)
	}
}

func TestForeignTextCannotPassForUnknown(t *testing.T) {
	for _, text := range []string{`"` + Open + "x" + Close + `"`, `"\ue000x\ue001"`} {
		n, err := JSON("f", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if !n.Known() {
			t.Errorf("%q", n.Str)
		}
	}
	docs, err := YAML("f", []byte(`a: "\uE000x\uE001"`))
	if err != nil {
		t.Fatal(err)
	}
	if !docs[0].Known() {
		t.Errorf("%q", docs[0].Get("a").Str)
	}
}

func TestAPolicyThatCannotBeReadIsUnknown(t *testing.T) {
	at := stack.Where{File: "f", Line: 3}
	for _, tc := range []struct {
		name string
		doc  *Node
		bad  bool
	}{
		{"none", nil, false},
		{"one that is not known", Unknown(at, "var.p"), false},
		{"a text that is no JSON", String(at, "{"), true},
		{"a list", List(at, nil), true},
		{"a map without statements", Map(at, nil), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Policy(tc.doc, "p", "", at)
			if !p.Unknown || (err != nil) != tc.bad || p.Document != nil {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
}

func FuzzJSON(f *testing.F) {
	f.Add(`{"a": [1, true, null, "xé\n"], "b": {"c": -1.5e3}}`)
	f.Add("{\"Statement\": " + Placeholder("x") + "}")
	f.Add("// c\n[1,]")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseJSON(stack.Where{File: "f", Line: 1}, text, true)
		if err != nil {
			return
		}
		data, ok := n.JSON()
		if ok && !json.Valid(data) {
			t.Errorf("%q becomes %s", text, data)
		}
		if again, err := ParseText(String(n.Where, Encode(n).Str)); err == nil && ok {
			if b, _ := again.JSON(); string(b) != string(data) {
				t.Errorf("%s is read again as %s", data, b)
			}
		}
	})
}

func FuzzYAML(f *testing.F) {
	f.Add("a: &a [1, !Ref x, {b: |\n  t\n}]\nc: *a\n")
	f.Add("a: {<<: {b: 1}, c: 2}\n---\n- x\n")
	f.Fuzz(func(t *testing.T, text string) {
		docs, _ := YAML("f", []byte(text))
		for _, n := range docs {
			if data, ok := n.JSON(); ok && !json.Valid(data) {
				t.Errorf("%q becomes %s", text, data)
			}
		}
	})
}
