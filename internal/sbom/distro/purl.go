package distro

import (
	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/fact"
)

// purl writes a package URL of the types deb, apk and rpm (purl-spec, types).
// The distro qualifier names the release that the version belongs to.
func purl(kind string, d fact.Distribution, name, version, arch, epoch string) string {
	var q packageurl.Qualifiers
	add := func(key, value string) {
		if value != "" {
			q = append(q, packageurl.Qualifier{Key: key, Value: value})
		}
	}
	add("arch", arch)
	if d.ID != "" {
		release := d.ID
		if d.Version != "" {
			release += "-" + d.Version
		}
		add("distro", release)
	}
	add("epoch", epoch)
	return packageurl.NewPackageURL(kind, vendor(d, kind), name, version, q, "").ToString()
}
