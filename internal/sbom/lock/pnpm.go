package lock

import (
	"strings"

	"github.com/apexlogic/apex/internal/fact"
)

// parsePNPM reads pnpm-lock.yaml. Versions 5, 6 and 9 write the keys of
// "packages" as "/name/1.0_peer", "/name@1.0(peer)" and "name@1.0".
func parsePNPM(l *list, data []byte) error {
	root, err := readYAML(data)
	if err != nil {
		return err
	}
	direct := map[string]bool{} // name and version
	note := func(importer node) {
		for _, group := range []string{"dependencies", "devDependencies", "optionalDependencies"} {
			for name, v := range importer.get(group).pairs() {
				version := v.text("version")
				if v.Node != nil && v.Value != "" { // before version 6
					version = v.Value
				}
				version, _, _ = strings.Cut(version, "(")
				version, _, _ = strings.Cut(version, "_")
				direct[name+"@"+version] = true
			}
		}
	}
	note(root)
	for _, importer := range root.get("importers").pairs() {
		note(importer)
	}
	for key, e := range root.get("packages").pairs() {
		p := pnpmPackage(key, e, strings.HasPrefix(root.text("lockfileVersion"), "5"))
		p.Hashes = sri(e.get("resolution").text("integrity"))
		p.Attributes = append(p.Attributes, attributes(
			attribute{"direct", direct[p.Name+"@"+p.Version]}, attribute{"dev", e.is("dev")}, attribute{"optional", e.is("optional")})...)
		if err := l.put(p); err != nil {
			return err
		}
	}
	return nil
}

// pnpmPackage makes a package of an entry; old says that the key is of version 5.
func pnpmPackage(key string, e node, old bool) fact.Package {
	rooted := strings.HasPrefix(key, "/")
	key, _, _ = strings.Cut(strings.TrimPrefix(key, "/"), "(")
	name, version := key, ""
	if old && rooted {
		scope, rest := "", key
		if key != "" && key[0] == '@' {
			if i := strings.IndexByte(key, '/'); i >= 0 {
				scope, rest = key[:i+1], key[i+1:]
			}
		}
		name, version, _ = strings.Cut(rest, "/")
		name = scope + name
		version, _, _ = strings.Cut(version, "_")
	} else if i := strings.LastIndexByte(key, '@'); i > 0 && !strings.Contains(key[i:], "/") {
		name, version = key[:i], key[i+1:]
	}
	resolution := e.get("resolution")
	from := ""
	switch {
	case resolution.text("repo") != "":
		from = "git+" + strings.TrimPrefix(resolution.text("repo"), "git+") + "#" + resolution.text("commit")
	case resolution.text("directory") != "" || strings.HasPrefix(version, "file:") || strings.HasPrefix(key, "file:"):
		from = "file:"
	case resolution.text("tarball") != "" && resolution.text("integrity") == "":
		from = resolution.text("tarball")
	}
	// What is from no registry has an address for a key, and says its name.
	if n := e.text("name"); n != "" {
		name = n
	} else if i := strings.IndexByte(key[min(1, len(key)):], '@'); i >= 0 && from != "" {
		name = key[:i+1]
	}
	if v := e.text("version"); v != "" {
		version = v
	} else if strings.ContainsAny(version, ":/") {
		version = ""
	}
	return npmFrom(name, version, from)
}
