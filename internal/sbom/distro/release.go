package distro

import (
	"strings"

	"github.com/apexlogic/apex/internal/fact"
	"github.com/apexlogic/apex/internal/sbom/extract"
)

const (
	etcRelease    = "etc/os-release"
	usrRelease    = "usr/lib/os-release"
	alpineRelease = "etc/alpine-release"
	debianVersion = "etc/debian_version"

	// maxRelease is a hundred times the size of the files that there are.
	maxRelease = 64 << 10
	// maxField of what a distribution says about itself.
	maxField = 256
)

// Of returns the distribution of the tree, zero when nothing names one.
func Of(t extract.Tree) fact.Distribution {
	for _, path := range []string{etcRelease, usrRelease} {
		data, err := t.Read(path, maxRelease)
		if err != nil {
			continue
		}
		if d := ParseRelease(string(data)); d.ID != "" {
			return d
		}
	}
	// Images that were stripped by hand, and those older than os-release.
	if data, err := t.Read(alpineRelease, maxRelease); err == nil {
		return fact.Distribution{ID: "alpine", Version: field(string(data))}
	}
	if data, err := t.Read(debianVersion, maxRelease); err == nil {
		return fact.Distribution{ID: "debian", Version: debianNumber(field(string(data)))}
	}
	return fact.Distribution{}
}

// ParseRelease reads os-release(5). Text without ID yields the zero value.
func ParseRelease(text string) fact.Distribution {
	var d fact.Distribution
	var codename string
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		value = field(unquote(value))
		switch key {
		case "ID":
			d.ID = strings.ToLower(value)
		case "VERSION_ID":
			d.Version = value
		case "PRETTY_NAME":
			d.Name = value
		case "VERSION_CODENAME":
			codename = value
		}
	}
	if d.ID == "" || strings.Trim(d.ID, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		return fact.Distribution{}
	}
	if d.ID == "debian" && d.Version == "" {
		d.Version = debianNumber(codename) // testing has no number yet
	}
	return d
}

// unquote takes off the quotes of a shell assignment.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' && s[0] != '\'' || s[len(s)-1] != s[0] {
		return s
	}
	quote := s[0]
	s = s[1 : len(s)-1]
	if quote == '"' && strings.Contains(s, `\`) {
		s = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(s)
	}
	return s
}

// field keeps what a person may be shown.
func field(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxField || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	return s
}

// debianNumber turns "12.5" and "bookworm/sid" into the number of a release; the
// feed of Debian names releases by that.
func debianNumber(s string) string {
	s, _, _ = strings.Cut(s, "/")
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
	case "sid":
		return ""
	}
	return s
}

// Ecosystem names the distribution's advisories as the OSV schema spells it,
// with the release: "Debian:12", "Alpine:v3.20", "Ubuntu:22.04:LTS". Of
// distributions that have none there it is a name of the same form. kind is
// "deb", "apk" or "rpm" and decides where os-release says nothing.
func Ecosystem(d fact.Distribution, kind string) string {
	major, rest, _ := strings.Cut(d.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	with := func(name, release string) string {
		if release == "" {
			return name
		}
		return name + ":" + release
	}
	switch d.ID {
	case "debian":
		return with("Debian", major)
	case "ubuntu":
		// Every second April's release is one with long-term support.
		if len(major) == 2 && minor == "04" && (major[1]-'0')%2 == 0 {
			return with("Ubuntu", d.Version+":LTS")
		}
		return with("Ubuntu", d.Version)
	case "alpine":
		if strings.Contains(d.Version, "_alpha") || strings.Contains(d.Version, "edge") {
			return "Alpine:edge"
		}
		if minor == "" {
			return with("Alpine", major)
		}
		return "Alpine:v" + major + "." + minor
	case "wolfi":
		return "Wolfi"
	case "chainguard":
		return "Chainguard"
	case "minimos":
		return "MinimOS"
	case "rocky":
		return with("Rocky Linux", major)
	case "almalinux":
		return with("AlmaLinux", major)
	case "rhel":
		if major == "" {
			return "Red Hat"
		}
		// The feed goes on with the repository, as a CPE does.
		return "Red Hat:enterprise_linux:" + major
	case "opensuse-leap", "opensuse":
		return "openSUSE:Leap" + space(d.Version)
	case "opensuse-tumbleweed":
		return "openSUSE:Tumbleweed"
	case "sles", "sled", "sles_sap":
		name := "Server"
		switch d.ID {
		case "sled":
			name = "Desktop"
		case "sles_sap":
			name = "Server for SAP Applications"
		}
		out := "SUSE:Linux Enterprise " + name + space(major)
		if minor != "" && minor != "0" {
			out += " SP" + minor
		}
		return out
	case "mageia":
		return with("Mageia", major)
	case "openeuler":
		// "openEuler 24.03 (LTS-SP1)"; the number alone names three releases.
		_, kind, _ := strings.Cut(strings.TrimSuffix(d.Name, ")"), "(")
		if kind != "" {
			kind = "-" + kind
		}
		return with("openEuler", d.Version+kind)
	case "photon":
		return with("Photon OS", d.Version)
	case "azurelinux":
		return with("Azure Linux", major)
	case "mariner":
		return with("CBL-Mariner", d.Version)
	case "fedora":
		return with("Fedora", major)
	case "centos":
		return with("CentOS", major)
	case "amzn":
		return with("Amazon Linux", d.Version)
	case "ol":
		return with("Oracle Linux", major)
	case "":
		switch kind {
		case "deb":
			return "Debian"
		case "apk":
			return "Alpine"
		}
		return "generic"
	}
	return with(d.ID, d.Version)
}

func space(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}
