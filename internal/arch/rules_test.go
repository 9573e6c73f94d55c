package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// floors are the rooms by floor, as docs/design.md draws the house. The ground
// floor also holds what is embedded (examples, schemas): data, without imports.
var floors = [][]string{
	0: {"api/v1alpha1", "verdict", "internal/fact", "internal/meter", "internal/clock", "internal/bounded", "internal/footprint", "internal/flight", "internal/arch", "config/crd", "examples/captioner"},
	1: {"internal/trust", "internal/oci", "internal/repo", "internal/kube", "internal/keys", "internal/seal", "internal/identity", "internal/media", "internal/ledger", "internal/store", "internal/config"},
	2: {"internal/policy", "internal/access", "internal/dlp", "internal/image", "internal/model", "internal/dataset", "internal/sbom", "internal/function", "internal/manifest", "internal/report"},
	3: {"internal/verify", "internal/protect", "internal/detect", "internal/cost", "internal/lineage", "internal/advisory", "internal/scanhub"},
	4: {"internal/ci", "internal/gitops", "internal/admission", "internal/registry", "internal/gateway", "internal/objects", "internal/policytest"},
	5: {"internal/app", "internal/console", "internal/advise", "internal/doctor", "internal/install"},
	6: {"cmd/apex", "test/interop", "bench/gateway"},
}

// ground is what packages of the ground floor may share. The other floors'
// rooms share nothing with their neighbours.
var ground = []string{"verdict", "internal/clock"}

// heavy are the dependencies that cost size, start-up or trust, each with the
// rooms that may import it. The longest prefix of an import counts.
var heavy = []struct {
	prefix string
	owners []string
}{
	{"github.com/sigstore/", []string{"internal/trust"}},
	{"github.com/notaryproject/", []string{"internal/trust"}},
	{"github.com/secure-systems-lab/", []string{"internal/trust"}},
	{"github.com/google/go-containerregistry/", []string{"internal/oci"}},
	{"github.com/go-git/", []string{"internal/repo"}},
	{"github.com/transparency-dev/", []string{"internal/ledger"}},
	{"github.com/jackc/pgx/", []string{"internal/store"}},
	{"modernc.org/sqlite", []string{"internal/store"}},
	{"github.com/google/cel-go/", []string{"internal/config", "internal/policy"}},
	{"github.com/aws/", []string{"internal/model", "internal/gitops", "internal/gateway"}},
	{"github.com/CycloneDX/", []string{"internal/model", "internal/sbom"}},
	{"github.com/hashicorp/hcl/", []string{"internal/function"}},
	{"github.com/zclconf/", []string{"internal/function"}},
	{"github.com/parquet-go/", []string{"internal/dataset", "internal/model"}},
	{"github.com/vbauerster/", []string{"cmd/apex"}},
	{"github.com/prometheus/", []string{"internal/app"}},
	{"github.com/spf13/", []string{"cmd/apex"}},
	{"k8s.io/", []string{"internal/kube"}},
	{"sigs.k8s.io/", []string{"internal/kube"}},
	{"sigs.k8s.io/kustomize/", []string{"internal/gitops"}},
	{"sigs.k8s.io/structured-merge-diff/", []string{"internal/gitops"}}, // server-side apply without a server
	{"github.com/fsnotify/", []string{"internal/gitops"}},
	{"github.com/redis/", []string{"internal/gateway"}},
	{"github.com/cedar-policy/", []string{"internal/access"}},
	{"github.com/corazawaf/", []string{"internal/gateway"}},
	{"github.com/wasilibs/", []string{"internal/gateway"}},
	{"github.com/spiffe/", []string{"internal/identity"}},
	{"github.com/go-jose/", []string{"internal/identity"}},
	{"github.com/coreos/go-oidc/", []string{"internal/identity"}},
	{"github.com/envoyproxy/", []string{"internal/gateway", "internal/identity"}},
	{"go.opentelemetry.io/", []string{"internal/gateway"}}, // gateway/trace
	{"google.golang.org/grpc", []string{"internal/gateway", "internal/identity"}},
	{"github.com/hiddeco/sshsig", []string{"internal/trust"}},
	{"github.com/ProtonMail/", []string{"internal/trust"}},
	{"github.com/digitorus/", []string{"internal/trust"}},
	{"k8s.io/klog/", []string{"internal/app"}}, // to hand what Tessera logs to our logger
	{"k8s.io/apimachinery/", []string{"api/v1alpha1", "internal/config", "internal/policy", "internal/kube", "internal/gitops", "internal/admission"}},
	// Metadata and times are part of our kinds: who writes a document names them.
	{"k8s.io/apimachinery/pkg/apis/meta/v1", []string{"api/v1alpha1", "internal/config", "internal/policy", "internal/kube", "internal/gitops", "internal/admission", "internal/app", "cmd/apex"}},
	{"sigs.k8s.io/yaml", []string{"internal/config", "internal/report", "internal/app", "internal/install", "cmd/apex"}},
	{"sigs.k8s.io/json", []string{"internal/config"}},
}

// pkg is one package as its source stands.
type pkg struct {
	path    string   // within the module: "internal/oci"
	ours    []string // imports of this module, the same way
	foreign []string // imports of other modules
}

// roomOf returns the room that a package belongs to, and its floor; "" when it
// belongs to none.
func roomOf(pkgPath string) (room string, floor int) {
	for i, rooms := range floors {
		for _, r := range rooms {
			if pkgPath == r || strings.HasPrefix(pkgPath, r+"/") {
				return r, i
			}
		}
	}
	return "", -1
}

// isKit says whether the package is a test kit: a subpackage of a room whose
// name ends in "test". Kits may import what tests may, and only tests and other
// kits import them.
func isKit(pkgPath string) bool {
	room, _ := roomOf(pkgPath)
	name := path.Base(pkgPath)
	return room != "" && room != pkgPath && strings.HasSuffix(name, "test") && name != "attest"
}

// broken returns what breaks the rules of the house, in words.
func broken(all []pkg) []string {
	var out []string
	for _, p := range all {
		room, floor := roomOf(p.path)
		if room == "" {
			out = append(out, fmt.Sprintf("%s: it is on no floor: add its room to rules_test.go and docs/design.md", p.path))
			continue
		}
		for _, imported := range p.ours {
			other, below := roomOf(imported)
			switch {
			case isKit(imported) && !isKit(p.path):
				out = append(out, fmt.Sprintf("%s imports %s, which is a test kit", p.path, imported))
			case other == room || other == "": // a package without a floor is reported where it is
			case below > floor:
				out = append(out, fmt.Sprintf("%s (floor %d) imports %s (floor %d): imports go down", p.path, floor, imported, below))
			case below == floor && (floor != 0 || room == "verdict" || !slices.Contains(ground, other)):
				out = append(out, fmt.Sprintf("%s imports %s, its neighbour on floor %d", p.path, imported, floor))
			}
		}
		if room == "verdict" && len(p.foreign) > 0 {
			out = append(out, fmt.Sprintf("%s imports %v: the vocabulary has the standard library only", p.path, p.foreign))
		}
		if isKit(p.path) {
			continue
		}
		for _, imported := range p.foreign {
			if prefix, owners := ownersOf(imported); prefix != "" && !slices.Contains(owners, room) {
				out = append(out, fmt.Sprintf("%s imports %s, which belongs to %v", p.path, imported, owners))
			}
		}
	}
	return out
}

// ownersOf returns the entry of the heavy dependency that the import is part of.
func ownersOf(imported string) (prefix string, owners []string) {
	for _, h := range heavy {
		if strings.HasPrefix(imported+"/", h.prefix) && len(h.prefix) > len(prefix) {
			prefix, owners = h.prefix, h.owners
		}
	}
	return prefix, owners
}
