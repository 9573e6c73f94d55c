package trust

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/apexlogic/apex/internal/fact"
)

// predicateAliases are the short names that the command line takes, as cosign
// spells them. An alias never means two URIs.
var predicateAliases = [...]struct{ alias, uri string }{
	{"slsaprovenance", "https://slsa.dev/provenance/v0.2"},
	{"slsaprovenance02", "https://slsa.dev/provenance/v0.2"},
	{"slsaprovenance1", "https://slsa.dev/provenance/v1"},
	{"vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"},
	{"spdx", "https://spdx.dev/Document"},
	{"spdxjson", "https://spdx.dev/Document"},
	{"cyclonedx", "https://cyclonedx.org/bom"},
	{"openvex", "https://openvex.dev/ns"},
	{"modelscan", fact.PredicateModelScan},
	{"datasetmanifest", fact.PredicateDatasetManifest},
	{"link", "https://in-toto.io/Link/v1"},
	{"custom", "https://cosign.sigstore.dev/attestation/v1"},
}

// PredicateType turns an alias ("vuln", "spdxjson", …) or a URI into the
// predicate type's URI. Anything else is an error that lists the aliases.
func PredicateType(name string) (string, error) {
	var aliases []string
	for _, p := range predicateAliases {
		if p.alias == name {
			return p.uri, nil
		}
		aliases = append(aliases, p.alias)
	}
	if u, err := url.Parse(name); err == nil && u.Scheme != "" && (u.Host != "" || u.Opaque != "") {
		return name, nil
	}
	return "", fmt.Errorf("predicate type %q is neither a URI nor one of %s", clip(name), strings.Join(aliases, ", "))
}
