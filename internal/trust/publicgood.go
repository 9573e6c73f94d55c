package trust

import (
	_ "embed"
	"slices"
)

//go:embed root/public-good.json
var publicGood []byte

// PublicGoodRoot returns the trusted_root.json of the sigstore public good
// instance as it was when this release was made. Where it comes from is in
// root/README.md.
func PublicGoodRoot() []byte { return slices.Clone(publicGood) }
