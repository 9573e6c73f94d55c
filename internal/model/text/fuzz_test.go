package text_test

import (
	"fmt"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/text"
)

// same examines the content twice with one format, and fails when the scanner
// broke or said two things.
func same(t *testing.T, format scan.Format, content []byte) {
	t.Helper()
	format.Claim = func(*scan.File) bool { return true } // what claims keep out comes in by other ways
	formats := scan.NewFormats(scan.Limits{}, format)
	first := formats.Scan(t.Context(), scan.Bytes(content), scan.Options{})
	second := formats.Scan(t.Context(), scan.Bytes(content), scan.Options{})
	if a, b := fmt.Sprintf("%+v", first), fmt.Sprintf("%+v", second); a != b {
		t.Fatalf("%q:\n%s\n%s", content, a, b)
	}
	for _, f := range first.Findings {
		if f.Rule == "scan.internal" || f.Rule == "scan.budget" {
			t.Fatalf("%q: %+v", content, f)
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"chat_template": [{"name": "a", "template": "{{ x.__class__ }}"}]}`, `{"\u0061": [1, -2.5e3, NaN, null, true, "\ud83d\ude00"], /* c */ "b": {},}`,
		`{"auto_map": {"A": "b--c.D"}, "_class_name": "P", "x": ["os", "system"]}`, `{"_target_": "os.system", "a": "${oc.env:SECRET}"}`, "{\"a\": 1}\n{\"a\": 2}\n",
		`{"__class__": "a", "__module__": "b", "__loader__": "MethodNode", "content": {"func": "_x", "obj": {}}}`, "\xff\xfe{\x00}\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) { same(t, text.JSON(), content) })
}

func FuzzYAML(f *testing.F) {
	for _, seed := range []string{"a: !!python/object/apply:os.system [id]\n", "%TAG !p! tag:yaml.org,2002:python/\n---\n!p!name:a.b {x: &a [*a]}\n",
		"? !<tag:yaml.org,2002:python/module:x> y\n: |\n  z\n--- \n- {a: 'b', \"c\": !apply:d}\n", "a: &a [1]\nb: *a\nc: {<<: *a}\n", "a: [\n!!p%79thon/tuple x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) { same(t, text.YAML(), content) })
}

func FuzzXML(f *testing.F) {
	for _, seed := range []string{`<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE a [<!ENTITY % x SYSTEM "file:///x"><!ENTITY y "&y;&z;">%x;]><a b="c">&y;</a>`,
		`<PMML><Extension name="script"/><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="../x"/></PMML>`, "<\x00a\x00/\x00>\x00",
		`<?xml version="1.0" encoding="UTF-7"?><a/>`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) { same(t, text.XML(), content) })
}

func FuzzPython(f *testing.F) {
	for _, seed := range []string{"import os as o, sys\nfrom subprocess import (run as r, *)\no.system(f\"{r('x')}\")\n", "exec('x')\ngetattr(os, 'a')\n",
		"'''\n'''\nx = 0x1f + 1e-5 \\\n  if a else b[:]\n", "def f(a: int = 1) -> str:\n    return sys.modules['os'].x\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) { same(t, text.Python(), content) })
}

func FuzzPlain(f *testing.F) {
	for _, seed := range []string{"---\nlicense: mit\n---\n# x\n", "a,b\n=cmd|'/C x'!A0,@SUM(1)\n", "_target_ = \"os.system\"\n", "{{ x }}", "[ "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		same(t, text.Plain(), content)
		same(t, text.Template(), content)
	})
}
