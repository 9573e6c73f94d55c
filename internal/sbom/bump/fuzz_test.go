package bump

import (
	"bytes"
	"strings"
	"testing"
)

// fuzzFormat reads arbitrary files of one format. Where a pin can be replaced,
// the result reads back with the new version and no other change, all other
// bytes are the same, and to do it again changes nothing.
func fuzzFormat(f *testing.F, path, to string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s), uint16(0))
		f.Add([]byte(strings.ReplaceAll(s, "\n", "\r\n")), uint16(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint16) {
		file, err := Read(path, data)
		if err != nil || len(file.Pins) == 0 {
			return
		}
		if same, err := file.Apply(nil); err != nil || !bytes.Equal(same, data) {
			t.Fatalf("without edits: %q, %v", same, err)
		}
		p := &file.Pins[int(which)%len(file.Pins)]
		file.Text(p, to)
		edits := []Edit{{p.Ecosystem, p.Name, p.Version, to}}
		out, err := file.Apply(edits)
		if p.Held != "" && err == nil {
			t.Fatalf("a pin that is held was replaced: %+v", p)
		}
		if err != nil {
			if out != nil {
				t.Fatalf("a result beside the error %v", err)
			}
			return
		}
		// What was not replaced is there in its order.
		rest := out
		done := 0
		for i := range file.Pins {
			q := &file.Pins[i]
			if !edits[0].is(q) {
				continue
			}
			spelled, err := file.Spell(q, to)
			if err != nil {
				t.Fatal(err)
			}
			want := append(bytes.Clone(data[done:q.start]), spelled...)
			if !bytes.HasPrefix(rest, want) {
				t.Fatalf("other bytes changed: %q became %q", data, out)
			}
			rest, done = rest[len(want):], q.end
		}
		if !bytes.Equal(rest, data[done:]) {
			t.Fatalf("other bytes changed: %q became %q", data, out)
		}
		again, err := Read(path, out)
		if err != nil {
			t.Fatalf("the result cannot be read: %v", err)
		}
		twice, err := again.Apply(edits)
		if p.Version != to && (err != nil || !bytes.Equal(twice, out)) {
			t.Fatalf("applied again: %q, %v; first %q", twice, err, out)
		}
	})
}

func FuzzRequirements(f *testing.F) {
	fuzzFormat(f, "requirements.txt", "9.9.9",
		"# a\nrequests[socks] == 2.25.0 ; python_version > '3'  # b\nurllib3===1.26 \\\n  --hash=sha256:00\n-r x.txt\nb (==1.0)\n",
		"a==1\\\n# c\n==2\na==1,==2\n")
}

func FuzzPyproject(f *testing.F) {
	fuzzFormat(f, "pyproject.toml", "9.9.9",
		"[project]\ndependencies = [\"a==1.0\", 'b[c]==2.0', # \"d==1\"\n]\n[dependency-groups]\nx = [{include-group='y'}, \"e==1\"]\n",
		"[tool.poetry.dependencies]\na = \"^1.2.3\"\nb = {version = \"~1.2.3\"}\n[tool.poetry.group.dev.dependencies]\n\"c.d\" = '1.0'\n",
		"x = \"\"\"\n[project]\n\"\"\"\nproject.dependencies = ['a==1']\n")
}

func FuzzPipfile(f *testing.F) {
	fuzzFormat(f, "Pipfile", "9.9.9", "[packages]\na = \"==1.0\"\nb = {extras=['x'], version='===2.0'}\n[dev-packages]\nc=\"*\"\n")
}

func FuzzPackageJSON(f *testing.F) {
	fuzzFormat(f, "package.json", "9.9.9",
		"{\n\"dependencies\": {\"a\": \"^1.2.3\", \"b\": \"npm:c@~1.0.0\", \"\\u0064\": \"1.0.0\"},\n\"devDependencies\": {\"e\": \"=v1.0.0\"}, \"x\": [1, {\"dependencies\": {}}]}")
}

func FuzzGoMod(f *testing.F) {
	fuzzFormat(f, "go.mod", "1.9.9",
		"module m\n\ngo 1.22\n\ntoolchain go1.22.1\n\nrequire (\n\tgolang.org/x/net v0.1.0 // indirect\n\ta.b/c/v2 v2.0.0\n)\nreplace a.b/d v1.0.0 => a.b/e v1.2.3\n")
}

func FuzzDockerfile(f *testing.F) {
	fuzzFormat(f, "Dockerfile", "9.9.9",
		"FROM debian:12 AS x\nRUN --mount=type=cache pip install \\\n # c\n 'a==1.0' \"b[c]==2\" && apt-get install -y curl=1:7.0~rc-1\nFROM x\nRUN [\"pip\", \"install\", \"d==1\"]\n",
		"# escape=`\nFROM x\nRUN <<EOF\npip install a==1\nEOF\nRUN pip install `\n b==1 # c==1\n")
}
