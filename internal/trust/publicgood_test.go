package trust_test

import (
	"os"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/trust"
	"github.com/apexlogic/apex/internal/trust/trusttest"
)

func TestTheEmbeddedRootIsTheOneThatItsReadmeNames(t *testing.T) {
	readme, err := os.ReadFile("root/README.md")
	must(t, err)
	if hash := trusttest.Digest(string(trust.PublicGoodRoot())).Hex(); !strings.Contains(string(readme), "sha256 "+hash) {
		t.Fatalf("the file's hash is %s, which root/README.md does not name", hash)
	}
}
