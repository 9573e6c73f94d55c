package purl

import (
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/distro"
)

// fromDistribution reads what is special about the types deb, apk and rpm.
func fromDistribution(p *fact.Package, u *packageurl.PackageURL) {
	p.Ecosystem = distro.Ecosystem(release(u.Namespace, qualifier(u, "distro")), u.Type)
	if a := qualifier(u, "arch"); a != "source" && a != "src" {
		p.Arch = a
	}
	epoch := qualifier(u, "epoch")
	p.Version = withEpoch(epoch, p.Version)
	// "upstream" is not in the specification; Syft and Grype write it, for RPM
	// as the file name of the source package.
	upstream := qualifier(u, "upstream")
	if u.Type == "rpm" && strings.HasSuffix(upstream, ".rpm") {
		if name, version, ok := sourceRPM(upstream); ok {
			p.SourceName, p.SourceVersion = name, withEpoch(epoch, version)
		}
	} else {
		p.SourceName, p.SourceVersion, _ = strings.Cut(upstream, "@")
	}
	if p.SourceName == p.Name && (p.SourceVersion == "" || p.SourceVersion == p.Version) {
		p.SourceName, p.SourceVersion = "", ""
	}
}

// withEpoch puts an epoch before a version that has none. 0 compares as none.
func withEpoch(epoch, version string) string {
	if epoch == "" || version == "" || strings.Trim(epoch, "0123456789") != "" || strings.Trim(epoch, "0") == "" || strings.Contains(version, ":") {
		return version
	}
	return epoch + ":" + version
}

// sourceRPM takes "glibc-2.34-100.el9.src.rpm" apart.
func sourceRPM(s string) (name, version string, ok bool) {
	s = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(s, ".rpm"), ".src"), ".nosrc")
	i := strings.LastIndexByte(s, '-')
	if i <= 0 {
		return "", "", false
	}
	i = strings.LastIndexByte(s[:i], '-')
	if i <= 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// release returns the distribution that the namespace and the qualifier distro
// name: "debian-12", "12", "bookworm", "opensuse-leap-15.6", "rhel-9.4".
func release(namespace, qualifier string) fact.Distribution {
	id, version := namespace, ""
	switch at := numberAt(qualifier); {
	case at == 0:
		version = qualifier // Trivy writes Alpine's so
	case at > 0:
		id, version = qualifier[:at-1], qualifier[at:]
	case qualifier != "" && OSRelease(qualifier) != OSRelease(namespace):
		name := strings.TrimPrefix(qualifier, namespace+"-")
		switch number := codename(name); {
		case number != "":
			version = number
		case name == "edge":
			version = name
		case known(OSRelease(qualifier)):
			id = qualifier
		}
	}
	d := fact.Distribution{ID: OSRelease(id), Version: version}
	// The two must agree: a URL of Debian's namespace with the release of
	// another distribution would be looked up there.
	if ns := OSRelease(namespace); ns != "" && family(ns) != family(d.ID) {
		d = fact.Distribution{ID: ns}
	}
	return d
}

// numberAt returns where the number of a release begins: at the start, or after
// a dash; -1 when there is none.
func numberAt(s string) int {
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' && (i == 0 || s[i-1] == '-') {
			return i
		}
	}
	return -1
}

// codename returns the number of releases that are called by a name; feeds name
// them by number.
func codename(s string) string {
	switch s {
	case "buster":
		return "10"
	case "bullseye":
		return "11"
	case "bookworm":
		return "12"
	case "trixie":
		return "13"
	case "forky":
		return "14"
	case "xenial":
		return "16.04"
	case "bionic":
		return "18.04"
	case "focal":
		return "20.04"
	case "jammy":
		return "22.04"
	case "noble":
		return "24.04"
	}
	return ""
}

// OSRelease returns the ID of os-release(5) for the names that writers of package
// URLs give to distributions.
func OSRelease(name string) string {
	name = strings.ToLower(name)
	switch name {
	case "redhat", "red hat":
		return "rhel"
	case "alma":
		return "almalinux"
	case "oracle", "oraclelinux":
		return "ol"
	case "amazon", "amazonlinux":
		return "amzn"
	case "opensuse.leap", "leap":
		return "opensuse-leap"
	case "opensuse.tumbleweed", "tumbleweed":
		return "opensuse-tumbleweed"
	case "suse", "suse linux enterprise server":
		return "sles"
	case "rockylinux":
		return "rocky"
	case "cbl-mariner":
		return "mariner"
	}
	return name
}

// family is what distributions share that name each other's packages: SUSE calls
// its vendor "suse" or "opensuse" whatever the product.
func family(id string) string {
	switch id {
	case "opensuse", "opensuse-leap", "opensuse-tumbleweed", "sles", "sled", "sles_sap":
		return "suse"
	case "azurelinux", "mariner":
		return "azure"
	}
	return id
}

// known reports whether a distribution has no numbered releases.
func known(id string) bool { return id == "opensuse-tumbleweed" || id == "wolfi" || id == "chainguard" }

// toDistribution makes the URL of a distribution's package; ok is false when the
// ecosystem is none of a distribution's.
func toDistribution(p *fact.Package) (*packageurl.PackageURL, bool) {
	kind, d := distribution(p.Ecosystem)
	if kind == "" {
		return nil, false
	}
	u := &packageurl.PackageURL{Type: kind, Namespace: d.ID, Name: p.Name, Version: p.Version}
	add(u, "arch", p.Arch)
	name := d.ID
	if d.Version != "" {
		name += "-" + d.Version
	}
	add(u, "distro", name)
	if kind == "rpm" {
		if epoch, version, ok := strings.Cut(p.Version, ":"); ok {
			u.Version = version
			add(u, "epoch", epoch)
		}
	}
	if p.SourceName != "" {
		upstream := p.SourceName
		if p.SourceVersion != "" {
			upstream += "@" + p.SourceVersion
		}
		add(u, "upstream", upstream)
	}
	return u, true
}

// distribution returns the kind of package and the distribution of an ecosystem;
// kind is "" for all that are not listed here.
func distribution(ecosystem string) (kind string, d fact.Distribution) {
	name, version, _ := strings.Cut(ecosystem, ":")
	switch name {
	case "Debian":
		return "deb", fact.Distribution{ID: "debian", Version: version}
	case "Ubuntu":
		return "deb", fact.Distribution{ID: "ubuntu", Version: strings.TrimSuffix(version, ":LTS")}
	case "Alpine":
		return "apk", fact.Distribution{ID: "alpine", Version: strings.TrimPrefix(version, "v")}
	case "Wolfi", "Chainguard", "MinimOS":
		return "apk", fact.Distribution{ID: strings.ToLower(name)}
	case "Rocky Linux":
		return "rpm", fact.Distribution{ID: "rocky", Version: version}
	case "AlmaLinux":
		return "rpm", fact.Distribution{ID: "almalinux", Version: version}
	case "Red Hat":
		product, number, _ := strings.Cut(version, ":")
		if product != "" && product != "enterprise_linux" {
			return "", fact.Distribution{}
		}
		number, _, _ = strings.Cut(number, "::")
		return "rpm", fact.Distribution{ID: "rhel", Version: number}
	case "openSUSE":
		if leap, ok := strings.CutPrefix(version, "Leap"); ok {
			return "rpm", fact.Distribution{ID: "opensuse-leap", Version: strings.TrimSpace(leap)}
		}
		if version == "Tumbleweed" {
			return "rpm", fact.Distribution{ID: "opensuse-tumbleweed"}
		}
		return "", fact.Distribution{}
	case "SUSE":
		return suse(version)
	case "Mageia", "Fedora", "CentOS", "openEuler":
		return "rpm", fact.Distribution{ID: strings.ToLower(name), Version: version}
	case "Photon OS":
		return "rpm", fact.Distribution{ID: "photon", Version: version}
	case "Azure Linux":
		return "rpm", fact.Distribution{ID: "azurelinux", Version: version}
	case "CBL-Mariner":
		return "rpm", fact.Distribution{ID: "mariner", Version: version}
	case "Amazon Linux":
		return "rpm", fact.Distribution{ID: "amzn", Version: version}
	case "Oracle Linux":
		return "rpm", fact.Distribution{ID: "ol", Version: version}
	}
	return "", fact.Distribution{}
}

// suse reads "Linux Enterprise Server 15 SP5".
func suse(product string) (kind string, d fact.Distribution) {
	for _, edition := range [...]struct{ prefix, id string }{
		{"Linux Enterprise Server for SAP Applications", "sles_sap"},
		{"Linux Enterprise Server", "sles"},
		{"Linux Enterprise Desktop", "sled"},
	} {
		if rest, ok := strings.CutPrefix(product, edition.prefix); ok {
			version := strings.Replace(strings.TrimSpace(rest), " SP", ".", 1)
			return "rpm", fact.Distribution{ID: edition.id, Version: version}
		}
	}
	return "", fact.Distribution{}
}
