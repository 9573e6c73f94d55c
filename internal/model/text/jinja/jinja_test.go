package jinja_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/text/jinja"
)

// kinds lists what was found, each kind once.
func kinds(t *jinja.Template) string {
	names := []string{"underscore", "interpreter", "path", "foreign", "assembled", "computed", "environment", "exhaustion", "unfinished"}
	var out []string
	seen := map[jinja.Kind]bool{}
	for _, p := range jinja.Check(t) {
		if !seen[p.Kind] {
			seen[p.Kind] = true
			out = append(out, names[p.Kind])
		}
	}
	return strings.Join(out, " ")
}

func TestWaysToTheInterpreterAreFound(t *testing.T) {
	for _, tc := range []struct{ name, template, want string }{
		{"an attribute", `{{ x.__class__ }}`, "underscore"},
		{"of a string", `{{ ''.__class__.__mro__[1].__subclasses__() }}`, "underscore"},
		{"of a tuple", `{{ ().__class__.__base__ }}`, "underscore"},
		{"through mro without underscores", `{{ x.mro() }}`, "underscore"},
		{"of a function of the engine", `{{ lipsum.__globals__["os"].popen("id").read() }}`, "underscore"},
		{"of a class of the engine", `{{ cycler.__init__.__globals__.os.system("id") }}`, "underscore"},
		{"through self", `{{ self._TemplateReference__context.cycler.__init__ }}`, "underscore"},
		{"through self's init", `{{ self.__init__.__globals__.__builtins__ }}`, "underscore"},
		{"a subscript", `{{ x["__class__"] }}`, "underscore"},
		{"a subscript in hex", `{{ x["\x5f\x5fclass\x5f\x5f"] }}`, "underscore"},
		{"a subscript in octal", `{{ x['\137\137class\137\137'] }}`, "underscore"},
		{"a subscript in Unicode", `{{ x["\u005f_class_\U0000005f"] }}`, "underscore"},
		{"a subscript by character names", `{{ x["\N{LOW LINE}_class__"] }}`, "underscore"},
		{"strings side by side", `{{ x["__cl" "ass__"] }}`, "underscore"},
		{"concatenation", `{{ x["__cl" ~ "ass__"] }}`, "underscore"},
		{"a sum", `{{ x["__cl" + "ass__"] }}`, "underscore"},
		{"repetition", `{{ x["_"*2 ~ "class" ~ "_"*2] }}`, "underscore"},
		{"join", `{{ x[["__cl","ass__"]|join] }}`, "underscore"},
		{"join with a separator", `{{ x[["","","class","",""]|join("_")] }}`, "underscore"},
		{"the method join", `{{ x["".join(["__","class","__"])] }}`, "underscore"},
		{"reverse", `{{ x["__ssalc__"|reverse] }}`, "underscore"},
		{"a slice backwards", `{{ x["__ssalc__"[::-1]] }}`, "underscore"},
		{"a slice", `{{ x["aa__class__aa"[2:11]] }}`, "underscore"},
		{"lower", `{{ x["__CLASS__"|lower] }}`, "underscore"},
		{"the method lower", `{{ x["__CLASS__".lower()] }}`, "underscore"},
		{"replace", `{{ x["--class--"|replace("-","_")] }}`, "underscore"},
		{"percent", `{{ x["%s%sclass%s%s" % ("_","_","_","_")] }}`, "underscore"},
		{"percent with character codes", `{{ x["%c%cclass__" % (95,95)] }}`, "underscore"},
		{"the filter format", `{{ x|attr("%c%cclass%c%c"|format(95,95,95,95)) }}`, "underscore"},
		{"the method format", `{{ x["{0}{0}class{0}{0}".format("_")] }}`, "underscore"},
		{"format with character codes", `{{ x["{:c}{:c}class__".format(95,95)] }}`, "underscore"},
		{"a format string that looks into its argument", `{{ "{0.__class__}".format(x) }}`, "underscore"},
		{"a format string with a subscript", `{{ "{a[__globals__]}".format(a=lipsum) }}`, "underscore"},
		{"bytes", `{{ x[(95).to_bytes(1,"big").decode()*2 ~ "class__"] }}`, "underscore"},
		{"hex of bytes", `{{ x["".encode().fromhex("5f5f636c6173735f5f").decode()] }}`, "underscore"},
		{"the filter attr", `{{ x|attr("__class__") }}`, "underscore"},
		{"attr with hex", `{{ x|attr("\x5f\x5fclass\x5f\x5f") }}`, "underscore"},
		{"map with an attribute", `{{ [x]|map(attribute="__class__")|list }}`, "underscore"},
		{"map with a dotted attribute", `{{ [x]|map(attribute="a.__class__")|list }}`, "underscore"},
		{"map with the filter attr", `{{ [x]|map("attr","__class__")|list }}`, "underscore"},
		{"groupby", `{{ [x]|groupby("__class__") }}`, "underscore"},
		{"selectattr", `{{ [x]|selectattr("__class__")|list }}`, "underscore"},
		{"sort by an attribute", `{{ [x]|sort(attribute="__class__") }}`, "underscore"},
		{"sum of an attribute", `{{ [x]|sum(attribute="__class__") }}`, "underscore"},
		{"a variable", `{% set a = "__class__" %}{{ x[a] }}`, "underscore"},
		{"a block as a variable", `{% set a %}__class__{% endset %}{{ x|attr(a) }}`, "underscore"},
		{"with", `{% with a = "__glo", b = "bals__" %}{{ lipsum[a~b] }}{% endwith %}`, "underscore"},
		{"keyword arguments as a list", `{{ x[dict(__class__=1)|list|first] }}`, "underscore"},
		{"keyword arguments joined", `{{ x[dict(__cl=1,ass__=2)|join] }}`, "underscore"},
		{"a loop variable", `{% for a in ["__class__"] %}{{ x[a] }}{% endfor %}`, "underscore"},
		{"a loop over a chain", `{% for a in ["__init__","__globals__"] %}{{ lipsum|attr(a) }}{% endfor %}`, "underscore"},
		{"a namespace", `{% set ns = namespace(a="") %}{% for c in ["__","class","__"] %}{% set ns.a = ns.a ~ c %}{% endfor %}{{ x[ns.a] }}`, "underscore"},
		{"a namespace and character codes", `{% set ns = namespace(s="") %}{% for c in [95,95,105,110,105,116,95,95] %}{% set ns.s = ns.s ~ "%c"|format(c) %}{% endfor %}{{ cycler|attr(ns.s) }}`, "underscore"},
		{"a list that grows", `{% set l = [] %}{% for c in "__class__" %}{% set _ = l.append(c) %}{% endfor %}{{ x|attr(l|join) }}`, "underscore"},
		{"a macro's argument", `{% macro m(o, n) %}{{ o|attr(n) }}{% endmacro %}{{ m(x, "__class__") }}`, "underscore"},
		{"a macro's default", `{% macro m(n="__class__") %}{{ x[n] }}{% endmacro %}{{ m() }}`, "underscore"},
		{"a macro by another name", `{% macro m(n) %}{{ x[n] }}{% endmacro %}{% set f = m %}{{ f("__cl" ~ "ass__") }}`, "underscore"},
		{"a branch", `{% if a %}{% set n = "__class__" %}{% else %}{% set n = "role" %}{% endif %}{{ x[n] }}`, "underscore"},
		{"a conditional expression", `{{ x["__class__" if a else "role"] }}`, "underscore"},
		{"a dict of words", `{% set d = {"a": "__class__"} %}{{ x[d[k]] }}`, "underscore"},
		{"a frame of a generator", `{{ x.gi_frame.f_globals }}`, "underscore"},
		{"a name that is always there", `{{ __import__("os").system("id") }}`, "underscore"},
		{"a condition", `{% if x.__class__ %}{% endif %}`, "underscore"},
		{"the condition of a loop", `{% for a in b if a.__class__ %}{% endfor %}`, "underscore"},
		{"a call block", `{% call(x) m(x.__class__) %}{% endcall %}`, "underscore"},
		{"a filter block", `{% filter replace(x.__class__, "") %}{% endfilter %}`, "underscore"},
		{"an argument spread", `{{ f(*x.__class__) }}`, "underscore"},
		{"full width underscores", `{{ x[dict(ａ＿＿class＿＿=1)|first|replace("a","")] }}`, "underscore"},
		{"a gap in the name", `{{ x["__cl" ~ y ~ "ss__"] }}`, "underscore"},
		{"the text of a function", `{% set u = (lipsum|string)[18] %}{{ x[u~u~"class"~u~u] }}`, "computed"},
		{"the text of a generator", `{% set u = ({}|select()|string|list)[24] %}{{ lipsum[u~u~"globals"~u~u] }}`, "computed"},
		{"underscores of a token", `{% set u = bos_token[6] %}{{ x[u~u~"class"~u~u] }}`, "computed"},
		{"a macro's output", `{% macro m() %}__class__{% endmacro %}{{ x[m()] }}`, "underscore"},
		{"a macro's output in parts", `{% macro m(a) %}__{{ a }}__{% endmacro %}{{ x|attr(m("class")) }}`, "underscore"},
		{"a block of a loop", `{% set a %}{% for c in ["__cl","ass__"] %}{{ c }}{% endfor %}{% endset %}{{ x[a] }}`, "underscore"},
		{"a block of a branch", `{% set a %}{% if true %}__class__{% endif %}{% endset %}{{ x[a] }}`, "underscore"},
		{"a filter block in a block", `{% set a %}{% filter lower %}__CLASS__{% endfilter %}{% endset %}{{ x[a] }}`, "underscore"},
		{"what a token is replaced by", `{{ x[bos_token.replace("<s>", "__class__")] }}`, "underscore"},
		{"what a token is replaced by, by a filter", `{{ x[bos_token|replace("<s>", "__class__")] }}`, "underscore"},
		{"joined by nothing of a token", `{{ x[bos_token[0:0].join(["__cl","ass__"])] }}`, "underscore"},
		{"with nothing of a token between", `{{ x["__cl" ~ bos_token[:0] ~ "ass__"] }}`, "underscore"},
		{"a batch", `{{ x[["__cl","ass__"]|batch(2)|first|join] }}`, "computed"},
		{"a cycler", `{% set c = cycler("__cl","ass__") %}{{ x[c.next() ~ c.next()] }}`, "computed"},
		{"letters of an alphabet", `{% set a = "abcdefghijklmnopqrstuvwxyz_" %}{% set n = messages|length %}{{ x[a[n]~a[n]] }}`, "computed"},
		{"characters by codes of input", `{% set n = messages|length %}{{ x["%c%c"|format(n, n)] }}`, "computed"},
		{"a JSON text", `{{ x[({"_": 1}|tojson)[2:3] ~ "x"] }}`, "computed"},
		{"attr of what is not known", `{{ x|attr(y) }}`, "computed"},
		{"map with a filter that is computed", `{{ [x]|map("at"~y, "a")|list }}`, "computed"},
		{"a codec", `{{ x["__pynff__".encode("rot13")] }}`, "computed"},
		{"assembled for a function", `{{ f("__cl" ~ "ass__") }}`, "assembled"},
		{"handed to a function", `{{ f(x, "__class__") }}`, "assembled"},
		{"a module", `{{ os.system("id") }}`, "interpreter"},
		{"a module by subscript", `{{ os["popen"]("id") }}`, "interpreter"},
		{"a method that runs programs", `{{ x.y.popen("id").read() }}`, "interpreter"},
		{"eval", `{{ eval("1") }}`, "interpreter"},
		{"the configuration", `{{ config.items() }}`, "environment"},
		{"the configuration whole", `{{ config }}`, "environment"},
		{"the application", `{{ request.application }}`, "environment"},
		{"a function's attribute", `{{ url_for.x }}`, "environment"},
		{"everything", `{% debug %}`, "environment"},
		{"an include", `{% include "a.html" %}`, "foreign"},
		{"an import", `{% import "a" as b %}`, "foreign"},
		{"a from", `{% from "a" import b as c with context %}`, "foreign"},
		{"an absolute include", `{% include "/etc/passwd" %}`, "path"},
		{"an include upwards", `{% extends "../" ~ "x" %}`, "path"},
		{"an include of a list", `{% include ["a", "/etc/passwd"] ignore missing %}`, "foreign path"},
		{"an endless loop", `{% for i in range(10**9) %}x{% endfor %}`, "exhaustion"},
		{"a long text", `{{ "a" * 999999999 }}`, "exhaustion"},
		{"a huge number", `{{ 9 ** 99999999 }}`, "exhaustion"},
		{"long Latin", `{{ lipsum(n=1000000) }}`, "exhaustion"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			parsed, err := jinja.Parse([]byte("Some text.\n" + tc.template + "\nMore."))
			if err != nil {
				t.Fatal(err)
			}
			if got := kinds(parsed); !strings.Contains(" "+got+" ", " "+tc.want+" ") && got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.template, got, tc.want)
			}
		})
	}
}

func TestOrdinaryTemplatesAreQuiet(t *testing.T) {
	for _, template := range []string{
		``, `no tags`, `{{ "__class__" }}`, `__class__ and {{ x }}`, `{# x.__class__ #}`, `{% raw %}{{ x.__class__ }}{% endraw %}`,
		`{% if m.name == "__init__" %}a{% endif %}`, `{% if m.name in ["__init__", "__call__"] %}a{% endif %}`,
		`{% if "__class__" not in m.content %}a{% endif %}`, `{% set text = "call __init__ first" %}{{ text }}`,
		`{{ m["tool_" ~ kind] }}`, `{{ m[key] }}`, `{{ m[0].role }}`, `{{ m[-1]["content"] }}`, `{{ m[loop.index0 - 1] }}`,
		`{{ config_name }}`, `{% set config = {"a": 1} %}{{ config.a }}`, `{% for request in requests %}{{ request.args }}{% endfor %}`,
		`{{ system }}{{ message.system }}{{ m.eval }}{{ m.import }}`, `{{ "{}: {}".format(a, b) }}`, `{{ "%s"|format(x) }}`,
		`{{ x|map(attribute="function.name")|join(", ") }}`, `{{ x|selectattr("role","equalto","user")|list|length }}`,
		`{% macro f(items, key) %}{{ items|map(attribute=key)|join }}{% endmacro %}{{ f(x, "name") }}`,
		`{% for i in range(10) %}{{ i }}{% endfor %}`, `{% for i in range(messages|length) %}{{ messages[i] }}{% endfor %}`,
		`{{ "-" * 80 }}`, `{% set _ = l.append(1) %}`, `{% for _ in range(3) %}x{% endfor %}`, `{{ item["_id"] }}`,
		`{{ strftime_now("%d %b %Y") }}`, `{{ raise_exception("No system role") }}`, `{{ caller() }}`, `{{ self.title() }}`,
		`{{ x is defined and x is not none }}`, `{{ a if b is string else c }}`, `{{ a.b.c(1, *d, **e)[1:2, ::3]|f("x")|g }}`,
		`{%- for a, (b, c) in d if e recursive -%}{{ loop(a) }}{%- else -%}{%- endfor -%}`, `{{ {"a": {"b": [1, 2.5e3, (), (1,)]}}.a }}`,
		`{% do x.append(1) %}{% generation %}x{% endgeneration %}{% break %}{% continue %}`, `{{ not a == b ~ c ** -d // 2 % 3 }}`,
		`{% set ns = namespace(found=false) %}{% for m in messages %}{% set ns.found = true %}{% endfor %}{{ ns.found }}`,
		`{{ in.x }}{{ os.1.5 }}{{ x.0or(y) }}{% if a: %}b{% endif: %}{% for a in b recursive: %}{% endfor %}{{ f(none=or) }}`, `x{#`, `x{% raw %}`,
		`{% trans count=n %}one{% pluralize %}{{ count }}{% endtrans %}{% autoescape true %}{% endautoescape %}`, `{{ a }} }} %} {`,
		`{% set roles = {"user": "USER", "assistant": "BOT"} %}{{ roles[message.role] }}`,
		`{% if a %}{% set r = "user" %}{% else %}{% set r = "model" %}{% endif %}{{ names[r] }}`,
		`{% macro m(a) %}{{ a.b }}{% endmacro %}{% set x = m(y) %}{% if x|length > 5 %}{{ names[x] }}{% endif %}{{ x.split(",")[0] }}`,
		`{{ os.name }}{{ platform.system }}`, `{{ "ABCD"[loop.index0] }}. {{ o }}`, `{{ "   "[:n] ~ x }}`, `{{ roles[["user","assistant"][loop.index0 % 2]] }}`,
		`{{ message.content.split("</think>")[-1].lstrip("\n") }}`, `{{ x|tojson(indent=4) }}`, `{{ m.content | trim }}`,
	} {
		parsed, err := jinja.Parse([]byte(template))
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		if problems := jinja.Check(parsed); len(problems) > 0 {
			t.Errorf("%s: %v", template, problems)
		}
	}
}

func TestChatTemplatesAreQuiet(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.jinja")
	if err != nil || len(paths) < 15 {
		t.Fatalf("%d templates, %v", len(paths), err)
	}
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jinja.Parse(src)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if problems := jinja.Check(parsed); len(problems) > 0 {
			t.Errorf("%s: %v", path, problems)
		}
		// The same template with one line more is refused.
		parsed, err = jinja.Parse(append(src, `{{ messages.__class__ }}`...))
		if err != nil || len(jinja.Check(parsed)) == 0 {
			t.Errorf("%s with an attack at its end: %v", path, err)
		}
	}
}

func TestSyntaxErrorsNameTheLine(t *testing.T) {
	for template, want := range map[string]string{
		"a\n{{ x ":                  "line 2: a tag is not closed",
		"{% if x %}\n\n":            `line 3: "endif" is missing`,
		"\n{% nonsense %}":          `line 2: there is no tag "nonsense"`,
		"{{ }}":                     "line 1: an expression is expected",
		"{{ a b }}":                 "line 1: the end of the tag is expected",
		"{# x":                      "line 1: a comment is not closed",
		"{{ 'x }}":                  "line 1: a string is not closed",
		"{{ a) }}":                  "line 1: a bracket closes nothing",
		"{% endfor %}":              `line 1: there is no tag "endfor"`,
		"{{ $x }}":                  "line 1: a character that is none of Jinja's: '$'",
		"{{ .Values.x }}":           "line 1: an expression is expected",
		"{{#if x}}":                 "line 1: a character that is none of Jinja's: '#'",
		strings.Repeat("{{ (", 300): "line 1: a string",
	} {
		_, err := jinja.Parse([]byte(template))
		if err == nil || template[0] == '{' && len(template) < 200 && err.Error() != want || template[0] != '{' && err.Error() != want {
			t.Errorf("%.40q: got %v, want %s", template, err, want)
		}
	}
}

func TestHostileTemplatesEnd(t *testing.T) {
	for name, template := range map[string]string{
		"deep brackets":     "{{ " + strings.Repeat("(", 100_000) + " }}",
		"deep lists":        "{{ " + strings.Repeat("[", 150) + strings.Repeat("]", 150) + " }}",
		"deep blocks":       strings.Repeat("{% if x %}", 10_000),
		"a long chain":      "{{ x" + strings.Repeat(".a", 400_000) + " }}",
		"a long sum":        "{{ x" + strings.Repeat("+x", 90_000) + " }}",
		"a long cat":        "{{ x" + strings.Repeat("~'a'", 90_000) + " }}",
		"loops in loops":    strings.Repeat("{% for a in range(500) %}", 50) + "{{ a }}" + strings.Repeat("{% endfor %}", 50),
		"macros in macros":  "{% macro a() %}" + strings.Repeat("{{ a() }}", 1000) + "{% endmacro %}{{ a() }}",
		"doubling":          "{% set a = 'aaaaaaaa' %}" + strings.Repeat("{% set a = a ~ a %}", 1000),
		"doubling lists":    "{% set a = [1] %}" + strings.Repeat("{% set a = a + a %}", 1000),
		"lists in lists":    "{% set a = [1] %}" + strings.Repeat("{% set a = [a, a] %}", 1000) + "{{ a|string }}",
		"a list in itself":  "{% set a = [] %}{% set _ = a.append(a) %}{{ a|string }}{{ a|sort }}{{ a|join }}",
		"a dict in itself":  "{% set a = {} %}{% set _ = a.update(b=a) %}{{ a|string }}{{ a.b.b.b }}",
		"comments":          strings.Repeat("{##}", 200_000),
		"negations":         "{{ " + strings.Repeat("not ", 50_000) + "x }}",
		"replace to swell":  "{% set a = 'aaaa' %}" + strings.Repeat("{% set a = a|replace('a', 'aaaaaaaaaaaaaaaa') %}", 100),
		"formats":           "{{ '%99999999999d' % 1 }}{{ '{:99999999999}'.format(1) }}",
		"negative indexes":  "{{ 'abc'[-99999999999] }}{{ [1][99999999999999999999] }}{{ 'abc'[::-9223372036854775808] }}",
		"many open strings": strings.Repeat("{{ '", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			src := []byte(template)
			if parsed, err := jinja.Parse(src); err == nil {
				jinja.Check(parsed)
			}
			jinja.Check(jinja.Fragments(src))
		})
	}
}

func TestFragmentsAreReadByThemselves(t *testing.T) {
	got := kinds(jinja.Fragments([]byte("{% if %}\n{{ $x }}\n{% set a = '__class__' %}{{ x[a] }} {% nonsense {{ y }}")))
	if got != "underscore" {
		t.Errorf("got %q", got)
	}
	if got := kinds(jinja.Fragments([]byte("{{ .Values.__class__ }} {{#if __class__}} ${{ github.x }} {{ x }}"))); got != "" {
		t.Errorf("got %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{{ x.__class__ }}`, `{% for a in "abc"[::-1]|list if b %}{% set ns.a = a ~ "%c"|format(95) %}{% endfor %}`,
		`{% macro m(a, b=1) %}{{ caller(a)|attr(b) }}{% endmacro %}{% call(x) m(1, *a, **b) %}{{ x }}{% endcall %}`,
		`{%- raw -%}{{ x }}{%- endraw -%}{# c #}{{ "\x5f\N{LOW LINE}\137" }}`, `{{ {"a": [1, (2.5e1,)]}["a"][0:1] is not divisibleby 3 }}`,
		`{% with a = 1, b = 2 %}{% filter upper|trim %}x{% endfilter %}{% endwith %}{% include ["a", "b"] ignore missing %}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		whole := func() string {
			parsed, err := jinja.Parse(src)
			if err != nil {
				return err.Error()
			}
			return fmt.Sprint(jinja.Check(parsed))
		}
		if first, second := whole(), whole(); first != second {
			t.Fatalf("%q: %s, then %s", src, first, second)
		}
		jinja.Check(jinja.Fragments(src))
	})
}

func BenchmarkCheck(b *testing.B) {
	src, err := os.ReadFile("testdata/tools_xml.jinja")
	if err != nil {
		b.Fatal(err)
	}
	for len(src) < 10_000 {
		src = append(src, src...)
	}
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		t, err := jinja.Parse(src)
		if err != nil || len(jinja.Check(t)) > 0 {
			b.Fatal(err)
		}
	}
}
