package bump

import (
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// parsedTexts lists the texts of a document as a real parser sees them, each behind
// its keys.
func parsedTexts(v any, path []string, out []string) []string {
	switch v := v.(type) {
	case string:
		return append(out, strings.Join(path, "\x00")+"\x01"+v)
	case []any:
		for _, e := range v {
			out = parsedTexts(e, path, out)
		}
	case map[string]any:
		for k, e := range v {
			out = parsedTexts(e, append(slices.Clone(path), k), out)
		}
	}
	return out
}

// What is found in a document that is valid TOML is what a parser finds there,
// under the same keys; found is all but texts with escapes or of several lines.
func FuzzTOMLTexts(f *testing.F) {
	for _, s := range []string{
		"a = 'x'\n[b.\"c d\"]\ne.f = [\"y\", 'z', {g = \"1\", h = ['2']}, # \"no\"\n \"w\"]\n[[i]]\nj = {k.l = 'm'}\n",
		"a = \"\"\"\n[x]\nb = 'c'\"\"\"\nd = '''e''''\nf = \"g\\\"h\"\n'i j' = 1\n\"k\" = 'l'\n",
		"a = [[\"1\"], [\"2\"]]\nb = 2026-01-01T00:00:00Z\nc = true\nd = ''\n[e]\n[e.f]\ng = [\n]\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "[")+strings.Count(text, "{")+strings.Count(text, ".") > 200 {
			return // the parser calls itself for each
		}
		var doc map[string]any
		if toml.Unmarshal([]byte(text), &doc) != nil {
			return
		}
		want := parsedTexts(doc, nil, nil)
		found := 0
		err := tomlTexts([]byte(text), func(v tomlText) error {
			found++
			if got := strings.Join(v.path, "\x00") + "\x01" + text[v.start:v.end]; !slices.Contains(want, got) {
				t.Errorf("found %q, which a parser does not: %q", got, want)
			}
			return nil
		})
		if err != nil {
			return // nested deeper than is read
		}
		plain := 0
		for _, w := range want {
			if _, value, _ := strings.Cut(w, "\x01"); !strings.ContainsAny(value, "\n\r") {
				plain++
			}
		}
		if !strings.Contains(text, `\`) && !strings.Contains(text, `"""`) && !strings.Contains(text, "'''") && found != plain {
			t.Errorf("found %d of %d texts in %q", found, plain, text)
		}
	})
}
