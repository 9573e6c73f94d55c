package bump

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
)

// pins describes the pins of a file, one line each.
func pins(f *File) []string {
	var out []string
	for _, p := range f.Pins {
		text := fmt.Sprintf("%d %s %s %s%s", p.Line, p.Ecosystem, p.Name, [...]string{Exact: "", Caret: "^", Tilde: "~"}[p.Range], p.Version)
		if p.Held != "" {
			text += " held"
		}
		out = append(out, text)
	}
	return out
}

func TestPinsAreFoundWhereTheyStand(t *testing.T) {
	for _, tc := range []struct {
		name, path, text string
		want             []string
	}{
		{"requirements with extras, markers and comments", "requirements.txt",
			"# requests==9.9\nrequests[socks] == 2.25.0 ; python_version > \"3\"  # pinned\n\nurllib3==1.26.4\n", []string{
				"2 PyPI requests 2.25.0", "4 PyPI urllib3 1.26.4"}},
		{"line ends of Windows and a byte order mark", "requirements.txt",
			"\xef\xbb\xbfa==1.0\r\nb==2.0\r\n", []string{"1 PyPI a 1.0", "2 PyPI b 2.0"}},
		{"arbitrary equality and parentheses", "requirements.in", "a===1.0\nb (==2.0)\n", []string{"1 PyPI a 1.0", "2 PyPI b 2.0"}},
		{"an epoch", "constraints.txt", "a==1!2.0\n", []string{"1 PyPI a 1!2.0"}},
		{"lines that are pinned by hash are held", "requirements.txt",
			"a==1.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\nb==2.0\n", []string{"1 PyPI a 1.0 held", "4 PyPI b 2.0"}},
		{"further conditions are held", "requirements.txt", "a==1.0,!=1.5\nb>=1,==1.2\n", []string{"1 PyPI a 1.0 held", "2 PyPI b 1.2 held"}},
		{"a local label is held", "requirements.txt", "torch==2.1.0+cu121\n", []string{"1 PyPI torch 2.1.0+cu121 held"}},
		{"what allows several versions is no pin", "requirements.txt", "a>=1.0\nb~=1.0\nc==1.*\nd\ne!=1.0\nf==${V}\n-e ./g\nh @ https://h.example/h-1.0.tar.gz\n", nil},
		{"requirements of a folder of that name", "requirements/prod.txt", "a==1\n", []string{"1 PyPI a 1"}},

		{"the standard tables of pyproject.toml", "pyproject.toml", `
[build-system]
requires = ["setuptools==60.0.0"]
[project] # comment with "quotes" and [
name = "x==1.0"
dependencies = [
  "requests[socks]==2.25.0; python_version > '3'", # "no==1.0"
  'flask==1.0',
  "open>=1",
]
optional-dependencies = {gpu = ["torch==2.0.0"]}
[project.optional-dependencies]
dev = ["pytest==7.0.0"]
[dependency-groups]
lint = ["ruff==0.1.0", {include-group = "dev"}, "mypy==1.0.0"]
[tool.other]
dependencies = ["none==1.0"]
text = """
[project]
dependencies = ["fake==1.0"]
"""
`, []string{"3 PyPI setuptools 60.0.0", "7 PyPI requests 2.25.0", "8 PyPI flask 1.0", "11 PyPI torch 2.0.0", "13 PyPI pytest 7.0.0",
			"15 PyPI ruff 0.1.0", "15 PyPI mypy 1.0.0"}},
		{"the tables of Poetry", "pyproject.toml", `
[tool.poetry.dependencies]
python = "3.11.0"
requests = "^2.25.0"
flask = {version = "1.0.1", extras = ["async==9"]}
django = "==3.2.0"
"zope.interface" = "~5.4.0"
open = ">=1.0"
loose = "^1"
[tool.poetry.group.dev.dependencies]
pytest = "7.0.0"
`, []string{"4 PyPI requests ^2.25.0", "5 PyPI flask 1.0.1", "6 PyPI django 3.2.0", "7 PyPI zope.interface ~5.4.0", "11 PyPI pytest 7.0.0"}},
		{"a Pipfile", "Pipfile", "[[source]]\nname = \"==1.0\"\n[packages]\nrequests = \"==2.25.0\"\nflask = {extras = [\"async\"], version = \"==1.0\"}\nany = \"*\"\n[dev-packages]\npytest = '==7.0.0'\n[requires]\npython_version = \"==3.11\"\n",
			[]string{"4 PyPI requests 2.25.0", "5 PyPI flask 1.0", "8 PyPI pytest 7.0.0"}},

		{"package.json", "package.json", `{
  "name": "x", "version": "1.0.0",
  "dependencies": {"lodash": "4.17.20", "@scope/a": "^1.2.3", "b": "~1.2.3", "c": "=1.0.0", "al": "npm:real@^1.0.0"},
  "devDependencies": {
    "d": "1.x", "e": "^1", "f": "*", "g": "file:../g", "h": ">=1.0.0", "i": "1.0.0 || 2.0.0", "j": "1.2.3-rc.1"
  },
  "peerDependencies": {"p": "1.0.0"},
  "config": {"dependencies": {"q": "1.0.0"}}
}`, []string{"3 npm lodash 4.17.20", "3 npm @scope/a ^1.2.3", "3 npm b ~1.2.3", "3 npm c 1.0.0", "3 npm real ^1.0.0", "5 npm j 1.2.3-rc.1"}},

		{"go.mod", "go.mod", "module example.com/m\n\ngo 1.22\n\ntoolchain go1.22.1\n\nrequire (\n\tgolang.org/x/net v0.1.0 // indirect\n\texample.com/old v2.0.0+incompatible\n)\n\nrequire golang.org/x/text v0.3.0\n\nreplace example.com/r => example.com/fork v1.0.0\n\nreplace example.com/l => ../l\n",
			[]string{"5 Go stdlib 1.22.1", "8 Go golang.org/x/net v0.1.0", "9 Go example.com/old v2.0.0+incompatible", "12 Go golang.org/x/text v0.3.0", "14 Go example.com/fork v1.0.0"}},
		{"modules that are replaced are not used", "go.mod", "module m\n\nrequire (\n\ta.b/c v1.0.0\n\ta.b/d v1.0.0\n\ta.b/e v1.0.0\n)\n\nreplace (\n\ta.b/c => a.b/x v1.1.0\n\ta.b/d v1.0.0 => ../d\n\ta.b/e v1.9.0 => a.b/y v1.2.0\n)\n",
			[]string{"6 Go a.b/e v1.0.0", "10 Go a.b/x v1.1.0", "12 Go a.b/y v1.2.0"}},
		{"a go line without a toolchain is held", "go.mod", "module m\n\ngo 1.22\n", []string{"3 Go stdlib 1.22.0 held"}},

		{"a Dockerfile", "Dockerfile", `# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM python:3.12-slim-bookworm AS base
ENV FLASK=flask==1.0
RUN --mount=type=cache,target=/root/.cache pip install --no-cache-dir \
    # urllib3==1.0
    'requests[socks]==2.25.0' "flask==1.0" \
    -r requirements.txt && echo numpy==1.0
RUN python3 -m pip install a==1.0; uv pip install b==2.0 c==$V "d==${V}" # e==1.0
RUN echo "x && pip install n==1.0 y"
FROM base
RUN apt-get update && apt-get install -y -t stable curl=7.88.1-10+deb12u4 libc6:amd64=2.36-9 wget
RUN ["pip", "install", "e==3.0"]
RUN <<EOF
pip3 install f==4.0
EOF
RUN python3 <<'PY'
pip install g==5.0
PY
`, []string{"6 PyPI requests 2.25.0", "6 PyPI flask 1.0", "8 PyPI a 1.0", "8 PyPI b 2.0", "11 Debian:12 curl 7.88.1-10+deb12u4",
			"11 Debian:12 libc6 2.36-9", "12 PyPI e 3.0", "14 PyPI f 4.0"}},
		{"a Dockerfile with another escape", "windows.Dockerfile", "# escape=`\nFROM x\nRUN pip install `\n  a==1.0\n", []string{"4 PyPI a 1.0"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !Wants(tc.path) {
				t.Fatalf("%s is not wanted", tc.path)
			}
			f, err := Read(tc.path, []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := pins(f); !slices.Equal(got, tc.want) {
				t.Errorf("pins:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			// Each of them can be replaced, and nothing else changes.
			for i, p := range f.Pins {
				to := map[string]string{"PyPI": "77.7.7", "npm": "77.7.7", "Go": "0.77.7"}[p.Ecosystem]
				switch {
				case to == "":
					to = "77.7-7"
				case strings.HasPrefix(p.Version, "v2"):
					to = "2.77.7"
				case strings.HasPrefix(p.Version, "v1"), p.Name == stdlib:
					to = "1.77.7"
				}
				e := []Edit{{p.Ecosystem, p.Name, p.Version, to}}
				got, err := f.Apply(e)
				if p.Held != "" {
					if err == nil {
						t.Errorf("pin %d is held, and was replaced", i)
					}
					continue
				}
				if err != nil {
					t.Errorf("pin %d: %v", i, err)
					continue
				}
				spelled, err := f.Spell(&p, to)
				if err != nil {
					t.Fatal(err)
				}
				if want := tc.text[:p.start] + spelled + tc.text[p.end:]; string(got) != want {
					t.Errorf("pin %d: got\n%s\nwant\n%s", i, got, want)
				}
			}
		})
	}
}

func TestEditsNameTheVersionThatTheyReplace(t *testing.T) {
	text := "numpy==1.21.0; python_version < '3.8'\nNumPy==1.24.0; python_version >= '3.8'\nnumpy.typing==1.21.0\n"
	f, err := Read("requirements.txt", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Apply([]Edit{{"PyPI", "numpy", "1.24.0", "1.26.0"}, {"PyPI", "num_py", "1.21.0", "9.0"}, {"npm", "numpy", "1.21.0", "9.0"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(text, "1.24.0", "1.26.0", 1); string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A version comes from an advisory, and lands where it is executed.
func TestWhatIsNoVersionIsNeverWritten(t *testing.T) {
	docker := "FROM debian:12\nRUN pip install a==1.0 && apt-get install b=1.0\n"
	for _, tc := range []struct {
		name, path, text, ecosystem, pkg, from, to string
		ok                                         bool
	}{
		{"a version is", "requirements.txt", "a==1.0\n", "PyPI", "a", "1.0", "1.1", true},
		{"a further line", "requirements.txt", "a==1.0\n", "PyPI", "a", "1.0", "1.1\nevil==1.0", false},
		{"an option", "requirements.txt", "a==1.0\n", "PyPI", "a", "1.0", "1.1 --index-url=https://evil.example", false},
		{"nothing", "requirements.txt", "a==1.0\n", "PyPI", "a", "1.0", "", false},
		{"a range", "requirements.txt", "a==1.0\n", "PyPI", "a", "1.0", "1.*", false},
		{"a command", "Dockerfile", docker, "PyPI", "a", "1.0", "1.1;reboot", false},
		{"a substitution", "Dockerfile", docker, "PyPI", "a", "1.0", "$(reboot)", false},
		{"a version of dpkg is, in a Dockerfile", "Dockerfile", docker, "Debian:12", "b", "1.0", "1:1.1~rc1-2", true},
		{"a version of dpkg is none of PyPI", "Dockerfile", docker, "PyPI", "a", "1.0", "1:1.1", false},
		{"a quote", "package.json", `{"dependencies":{"a":"1.0.0"}}`, "npm", "a", "1.0.0", `1","b":"2`, false},
		{"a path of npm's", "package.json", `{"dependencies":{"a":"1.0.0"}}`, "npm", "a", "1.0.0", "git://x", false},
		{"a quote of TOML", "pyproject.toml", "[project]\ndependencies=['a==1.0']\n", "PyPI", "a", "1.0", "1'", false},
		{"another major version of a module", "go.mod", "module m\n\nrequire example.com/a v1.0.0\n", "Go", "example.com/a", "v1.0.0", "2.0.0", false},
		{"the same major version of a module is", "go.mod", "module m\n\nrequire example.com/a v1.0.0\n", "Go", "example.com/a", "v1.0.0", "1.0.1", true},
		{"a part of a version of a module", "go.mod", "module m\n\nrequire example.com/a v1.0.0\n", "Go", "example.com/a", "v1.0.0", "1.1", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := Read(tc.path, []byte(tc.text))
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Apply([]Edit{{tc.ecosystem, tc.pkg, tc.from, tc.to}})
			if ok := err == nil; ok != tc.ok {
				t.Errorf("got %q, %v", got, err)
			}
			if err != nil && got != nil {
				t.Errorf("there is a result beside the error: %q", got)
			}
			if err == nil && string(got) == tc.text {
				t.Error("nothing was changed")
			}
		})
	}
}

func TestIncompatibleModulesStaySo(t *testing.T) {
	f, err := Read("go.mod", []byte("module m\n\nrequire example.com/a v2.0.0+incompatible\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Apply([]Edit{{"Go", "example.com/a", "v2.0.0+incompatible", "2.0.1"}})
	if want := "module m\n\nrequire example.com/a v2.0.1+incompatible\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRequirementsSayWhatTheyTakeIn(t *testing.T) {
	f, err := Read("deploy/requirements.txt", []byte("-r base.in\n--constraint=../limits.txt\n-c https://x.example/c.txt\n-r /etc/r.txt\n-r ../../out.txt\n-rmore.txt\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"deploy/base.in", "limits.txt", "deploy/more.txt"}; !slices.Equal(f.Includes, want) {
		t.Errorf("got %q, want %q", f.Includes, want)
	}
}

func TestDistributionIsToldByTheTag(t *testing.T) {
	for image, want := range map[string]string{
		"debian:12": "Debian:12", "debian:12.4-slim": "Debian:12", "debian:bookworm-slim": "Debian:12", "docker.io/library/ubuntu:22.04": "Ubuntu:22.04",
		"python:3.12-slim-bullseye": "Debian:11", "registry.example:5000/team/node:20-jammy@sha256:00": "Ubuntu:22.04",
		"python:3.12-slim": "", "debian": "", "debian:stable": "", "ubuntu:22": "", "bookworm": "", "alpine:3.19": "",
	} {
		if got := distributionOf(image); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}

func TestAptWithoutAKnownReleaseIsNamed(t *testing.T) {
	for image, want := range map[string]int{"python:3.12-slim": 1, "python:3.12-bookworm": 0} {
		f, err := Read("Dockerfile", []byte("FROM "+image+"\nRUN apt-get install curl=1.0 wget=2.0\n"))
		if err != nil || len(f.Unread) != want {
			t.Errorf("%s: %q, %v", image, f.Unread, err)
		}
	}
}

func TestCommandsHoldNothingThatAShellReads(t *testing.T) {
	l, ok := LockOf("web/package-lock.json")
	if !ok || l.Relock() != "npm install --package-lock-only" || l.Raise("@scope/a", "1.0.0") != "npm update @scope/a --package-lock-only" {
		t.Errorf("%+v, %t: %q, %q", l, ok, l.Relock(), l.Raise("@scope/a", "1.0.0"))
	}
	uv, _ := LockOf("uv.lock")
	if got := uv.Raise("requests", "2.31.0"); got != "uv lock --upgrade-package requests==2.31.0" {
		t.Errorf("got %q", got)
	}
	for _, name := range []string{"$(reboot)", "a;b", "a b", "`a`", "-rf", "a\nb", ""} {
		if got := l.Raise(name, "1.0.0") + Install(pypi, name, "1.0.0"); got != "" {
			t.Errorf("%q: %q", name, got)
		}
	}
	for _, version := range []string{"1!2.0", "1;reboot", ""} {
		if got := uv.Raise("a", version) + Install(pypi, "a", version); got != "" {
			t.Errorf("%q: %q", version, got)
		}
	}
	if _, ok := LockOf("package.json"); ok {
		t.Error("package.json is no lock file")
	}
	if got := Locks("web/package.json"); !slices.Contains(got, "yarn.lock") || slices.Contains(got, "uv.lock") {
		t.Errorf("got %q", got)
	}
}

func TestOtherFilesHaveNoPins(t *testing.T) {
	for _, p := range []string{"README.md", "notes.txt", "x/node_modules/a/package.json", "venv/lib/site-packages/a/requirements.txt", ".git/go.mod", ".github/workflows/ci.yml"} {
		if Wants(p) {
			t.Errorf("%s is wanted", p)
		}
	}
	if _, err := Read("README.md", nil); !errors.Is(err, ErrOther) {
		t.Errorf("got %v", err)
	}
}

func TestHostileFilesAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name, path, text string
		want             error
	}{
		{"a file that is too large", "requirements.txt", strings.Repeat("#", MaxFile+1), bounded.ErrTooLarge},
		{"too many pins", "requirements.txt", strings.Repeat("a==1\n", maxPins+1), bounded.ErrTooMany},
		{"lists in lists", "pyproject.toml", "a = " + strings.Repeat("[", 1_000_000), bounded.ErrTooDeep},
		{"a long key", "pyproject.toml", strings.Repeat("a.", 1_000_000), bounded.ErrTooDeep},
		{"a long table", "Pipfile", "[" + strings.Repeat("a.", 1_000_000), bounded.ErrTooDeep},
		{"objects in objects", "package.json", strings.Repeat(`{"a":`, 100_000), bounded.ErrTooDeep},
		{"too many words", "Dockerfile", "RUN " + strings.Repeat("a ", maxWords+1), bounded.ErrTooMany},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Read(tc.path, []byte(tc.text)); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
	for _, tc := range []struct{ path, text string }{{"package.json", `{"a"`}, {"package.json", `{"a":1} x`}, {"go.mod", "module\nx y z\n"}} {
		if _, err := Read(tc.path, []byte(tc.text)); err == nil {
			t.Errorf("%s %q is valid", tc.path, tc.text)
		}
	}
}
