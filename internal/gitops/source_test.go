package gitops_test

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/gitops"
)

func TestASourcesNameCanNameAFileAndALabel(t *testing.T) {
	for _, name := range []string{"vision", "a", "9", "team-vision.prod", strings.Repeat("x", gitops.MaxSource)} {
		if err := gitops.CheckSource(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a..b", "-a", "a-", ".a", "a.", "A", "a/b", "a\x00", "é", "a b", strings.Repeat("x", gitops.MaxSource+1)} {
		if gitops.CheckSource(name) == nil {
			t.Errorf("%q passes", name)
		}
	}
}
