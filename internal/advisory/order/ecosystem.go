package order

import "strings"

// For returns the order of an ecosystem as OSV spells it, with or without a
// release ("Debian", "Debian:12"). ok is false, and the order knows nothing,
// for one whose rules are not here: Maven, NuGet, RubyGems and others. Their
// advisories can be matched by listed versions only.
func For(ecosystem string) (o Order, ok bool) {
	base, _, _ := strings.Cut(ecosystem, ":")
	switch base {
	case "PyPI":
		return Order{Scheme: "PEP 440", parse: pep440, bound: pep440Bound, name: pep503}, true
	case "npm":
		return Order{Scheme: "SemVer (npm)", parse: semver}, true
	case "Go":
		return Order{Scheme: "SemVer (Go)", parse: golang}, true
	case "crates.io", "Hex", "Pub", "SwiftURL":
		return Order{Scheme: "SemVer", parse: semver}, true
	case "Debian", "Ubuntu", "Echo":
		return Order{Scheme: "dpkg", Source: BySource, parse: dpkg}, true
	case "Alpine", "Wolfi", "Chainguard", "MinimOS":
		return Order{Scheme: "apk", Source: BySource, parse: apk}, true
	case "SUSE", "openSUSE", "openEuler", "Mageia":
		return Order{Scheme: "rpm", Source: BySource, parse: rpm}, true
	case "Red Hat", "Rocky Linux", "AlmaLinux", "Azure Linux", "Photon OS":
		return Order{Scheme: "rpm", parse: rpm}, true
	}
	return Order{}, false
}

// SemVer is the order of ranges whose type is SEMVER, whatever the ecosystem.
func SemVer() Order { return Order{Scheme: "SemVer", parse: semver} }

// Ecosystem returns the one spelling of an ecosystem under which its
// advisories are kept: Ubuntu without ":LTS", Alpine with its "v" and without
// a patch level, the others that are rebuilt per major release without a minor one.
func Ecosystem(ecosystem string) string {
	base, release, ok := strings.Cut(ecosystem, ":")
	if !ok {
		return ecosystem
	}
	switch base {
	case "Ubuntu":
		release = strings.TrimSuffix(release, ":LTS")
	case "Alpine":
		release = "v" + parts(strings.TrimPrefix(release, "v"), 2)
	case "Debian", "Rocky Linux", "AlmaLinux":
		release = parts(release, 1)
	default:
		return ecosystem
	}
	return base + ":" + release
}

// parts returns the first n dot-separated parts.
func parts(s string, n int) string {
	for i := range len(s) {
		if s[i] == '.' {
			if n--; n == 0 {
				return s[:i]
			}
		}
	}
	return s
}

// pep503 is PEP 503's normal form: lower case, runs of "-", "_" and "." as one "-".
func pep503(name string) string {
	normal := true
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' || c == '_' || c == '.' || c == '-' && i+1 < len(name) && isSeparator(name[i+1]) {
			normal = false
			break
		}
	}
	if normal {
		return name
	}
	out := make([]byte, 0, len(name))
	for i := range len(name) {
		switch c := name[i]; {
		case isSeparator(c):
			if i == 0 || !isSeparator(name[i-1]) {
				out = append(out, '-')
			}
		case c >= 'A' && c <= 'Z':
			out = append(out, c|0x20)
		default:
			out = append(out, c)
		}
	}
	return string(out)
}

func isSeparator(c byte) bool { return c == '-' || c == '_' || c == '.' }
