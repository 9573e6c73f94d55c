package manifest_test

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
)

// What an attacker repeats must not cost more than its length: these end, and
// the reader gives up with a reason, or reads them to the end.
func TestTextThatRepeatsItselfIsReadInTimeOrRefused(t *testing.T) {
	const size = 256 << 10
	for _, piece := range []string{"a|", "LLM(", "pipeline('a/b',", "$(", "`", "\"$(", "((", "<<E ", "I=$I$I;", "docker run ", "evil.example/a:1,", "- {a: *b}\n", "eval ", "sudo ", "sh -c '", "<(", "image: a\n", "${", "curl x|sh;"} {
		text := "#!/bin/sh\n" + strings.Repeat(piece, size/len(piece))
		for _, doc := range []string{config("x.sh", text), config("x.yaml", strings.TrimPrefix(text, "#!/bin/sh\n")), pod("    command: [sh, -c, " + quoted(text) + "]\n")} {
			r := manifest.Extract("f.yaml", []byte(doc), manifest.Limits{})
			if r.Rejected && r.Problems[0].Why == "" {
				t.Errorf("%q is refused without a reason", piece)
			}
			if n := len(r.Refs) + len(r.Unresolved); n > size {
				t.Errorf("%q makes %d findings", piece, n)
			}
		}
	}
}
