package bump

import (
	"path"
	"strings"

	"github.com/apexlogic/apex/internal/sbom/python"
)

// relocking says how one kind of lock file is made anew.
type relocking struct {
	file      string // the lock file's name
	ecosystem string
	// all makes it anew after a change of what is asked for.
	all string
	// one moves a single package; NAME and VERSION are replaced.
	one string
	// manifests are the files beside or below it whose pins it settles.
	manifests []string
}

func relockings() []relocking {
	node := []string{"package.json"}
	pyproject := []string{"pyproject.toml"}
	return []relocking{
		{"package-lock.json", npm, "npm install --package-lock-only", "npm update NAME --package-lock-only", node},
		{"npm-shrinkwrap.json", npm, "npm install --package-lock-only", "npm update NAME --package-lock-only", node},
		{"yarn.lock", npm, "yarn install", "yarn upgrade NAME", node},
		{"pnpm-lock.yaml", npm, "pnpm install --lockfile-only", "pnpm update NAME --lockfile-only", node},
		{"uv.lock", pypi, "uv lock", "uv lock --upgrade-package NAME==VERSION", pyproject},
		{"poetry.lock", pypi, "poetry lock", "poetry update --lock NAME", pyproject},
		{"pdm.lock", pypi, "pdm lock --update-reuse", "pdm update --no-sync NAME", pyproject},
		{"Pipfile.lock", pypi, "pipenv lock", "pipenv upgrade NAME==VERSION", []string{"Pipfile"}},
		{"go.sum", golang, "go mod tidy", "go mod tidy", []string{"go.mod"}},
		{"Cargo.lock", "crates.io", "cargo update", "cargo update -p NAME --precise VERSION", nil},
		{"Gemfile.lock", "RubyGems", "bundle lock", "bundle lock --update NAME --conservative", nil},
		{"gems.locked", "RubyGems", "bundle lock", "bundle lock --update NAME --conservative", nil},
		{"composer.lock", "Packagist", "composer update --lock", "composer update NAME --no-install", nil},
	}
}

// Lock says what is known about a lock file by its name.
type Lock struct {
	Ecosystem string
	all, one  string
	manifests []string
}

// LockOf returns what is known about the lock file at the path; ok is false for
// any other file. A pylock file is known and has no command: several tools
// write it.
func LockOf(at string) (l Lock, ok bool) {
	name := path.Base(at)
	for _, r := range relockings() {
		if r.file == name {
			return Lock{r.ecosystem, r.all, r.one, r.manifests}, true
		}
	}
	if name == "pylock.toml" || strings.HasPrefix(name, "pylock.") && strings.HasSuffix(name, ".toml") {
		return Lock{Ecosystem: pypi}, true
	}
	return Lock{}, false
}

// Locks are the names of the lock files that settle what the file at the path
// asks for.
func Locks(manifest string) []string {
	var out []string
	for _, r := range relockings() {
		for _, m := range r.manifests {
			if m == path.Base(manifest) {
				out = append(out, r.file)
			}
		}
	}
	return out
}

// Relock is the command, to be run in the lock file's folder, that makes it
// anew after its manifest was changed; "" when it is not known.
func (l Lock) Relock() string { return l.all }

// Raise is the command that moves one package of it to a version; "" when it is
// not known, or the name is none that could stand in a command as it is.
func (l Lock) Raise(name, version string) string {
	if l.one == "" || !inCommand(name) || !isPlainVersion(version) {
		return ""
	}
	return strings.NewReplacer("NAME", name, "VERSION", version).Replace(l.one)
}

// Install is the command that puts a version in the place of an installed
// package of the ecosystem; "" when none is known.
func Install(ecosystem, name, version string) string {
	if !inCommand(name) || !isPlainVersion(version) {
		return ""
	}
	switch {
	case ecosystem == pypi:
		return "pip install " + python.Normalize(name) + "==" + version
	case ecosystem == npm:
		return "npm install " + name + "@" + version
	case isDistribution(ecosystem):
		return "apt-get install --only-upgrade " + name
	case strings.HasPrefix(ecosystem, "Alpine"):
		return "apk add --upgrade " + name
	}
	return ""
}

// hashCommand makes the lines of a package anew, hashes included.
func hashCommand(at string) string {
	if !inCommand(path.Base(at)) {
		return ""
	}
	return "hashin NAME==VERSION -r " + path.Base(at)
}

// Fill puts a name and version into the command of a pin; "" when they could
// not stand in one.
func (p *Pin) Fill(version string) string {
	if p.Command == "" || !inCommand(p.Name) || !isPlainVersion(version) {
		return ""
	}
	return strings.NewReplacer("NAME", p.Name, "VERSION", version).Replace(p.Command)
}

// inCommand reports whether a name is made of what no shell reads as anything
// else: a person will copy the command.
func inCommand(name string) bool {
	if name == "" || len(name) > maxName || !isAlphanumeric(name[0]) && name[0] != '@' {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isAlphanumeric(c) && strings.IndexByte("@/._-+", c) < 0 {
			return false
		}
	}
	return true
}

// isPlainVersion is isVersion without what an interactive shell takes for its
// history.
func isPlainVersion(version string) bool {
	return isVersion(version) && !strings.Contains(version, "!")
}
