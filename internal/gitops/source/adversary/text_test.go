package adversary

import (
	"fmt"
	"strings"

	"github.com/apexlogic/apex/verdict"
)

// bomb is YAML in which n aliases of each level stand for n of the one below.
func bomb(levels, n int) string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nl0: &l0 [lol, lol, lol]\n")
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, "l%d: &l%d [%s*l%d]\n", i, i, strings.Repeat(fmt.Sprintf("*l%d, ", i-1), n-1), i-1)
	}
	return b.String()
}

// two is a pod whose container is given twice in some way.
func two(text string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n" + text
}

// texts are files that two parsers read differently, or one at great cost.
var texts = []attempt{
	{name: "a key twice", text: two("  - {name: c, image: \"«good»\", image: \"«unsigned»\"}\n"), code: verdict.ManifestInvalid},
	{name: "a key twice, quoted once", text: two("  - name: c\n    image: \"«good»\"\n    \"image\": \"«unsigned»\"\n"), code: verdict.ManifestInvalid},
	{name: "a key twice, with an escape", text: two("  - name: c\n    image: \"«good»\"\n    \"\\x69mage\": \"«unsigned»\"\n"), code: verdict.ManifestInvalid},
	{name: "a spec twice", text: two("  - {name: c, image: \"«good»\"}\nspec: {containers: [{name: c, image: \"«unsigned»\"}]}\n"), code: verdict.ManifestInvalid},
	{name: "a kind twice", text: configMap("x") + "kind: Pod\nspec: {containers: [{name: c, image: \"«unsigned»\"}]}\n", code: verdict.ManifestInvalid},
	{name: "a key twice in JSON", more: files{"deploy/x.json": {regular, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"«good»","image":"«unsigned»"}]}}`}}, code: verdict.ManifestInvalid},
	{name: "good JSON", more: files{"deploy/x.json": {regular, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"«good»"}]}}`}}},
	{name: "JSON with an unsigned image", more: files{"deploy/x.json": {regular, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"c","image":"«unsigned»"}]}}`}}, code: verdict.SignatureMissing},
	{name: "a merge key of JSON", more: files{"deploy/x.json": {regular, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"<<":{"spec":{"containers":[{"name":"c","image":"«unsigned»"}]}}}`}}, code: verdict.ManifestInvalid},
	{name: "an alias with a good image", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  initContainers: &a [{name: c, image: \"«good»\"}]\n  containers: *a\n"},
	{name: "an alias with an unsigned image", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers: [&a {name: c, image: \"«unsigned»\"}]\n  initContainers: [*a]\n", code: verdict.SignatureMissing},
	{name: "an unsigned image that is an alias of a label", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x, annotations: {a: &a \"«unsigned»\"}}\nspec: {containers: [{name: c, image: *a}]}\n", code: verdict.SignatureMissing},
	{name: "a merge key with a good image", text: two("  - &a {name: c, image: \"«good»\"}\n  - {<<: *a, name: d}\n")},
	{name: "a merge key with an unsigned image", text: two("  - {name: c, image: \"«good»\"}\n  - {<<: {image: \"«unsigned»\"}, name: d}\n"), code: verdict.SignatureMissing},
	{name: "a merge key that the image overrides", text: two("  - {<<: {image: \"«good»\"}, name: d, image: \"«unsigned»\"}\n"), code: verdict.SignatureMissing},
	{name: "two merge keys", text: two("  - {<<: {image: \"«good»\"}, <<: {image: \"«unsigned»\"}, name: d}\n"), code: verdict.ManifestInvalid},
	{name: "an alias of itself", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: &a {key: *a}\n", code: verdict.ManifestInvalid},
	{name: "an alias of nothing", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: *a\n", code: verdict.ManifestInvalid},
	{name: "a bomb of aliases", text: bomb(9, 10), code: verdict.ManifestInvalid},
	{name: "a wide bomb of aliases", text: bomb(3, 400), code: verdict.ManifestInvalid},
	{name: "braces ten thousand deep", text: configMap("x") + "more: " + strings.Repeat("{a: ", 10_000) + strings.Repeat("}", 10_000) + "\n", code: verdict.ManifestInvalid},
	{name: "text behind a separator", text: configMap("y") + "---apiVersion: v1\nkind: Pod\n", code: verdict.ManifestInvalid},
	{name: "a separator within a text block", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  key: |\n    a\n---\n" + deployment("y", "«unsigned»"), code: verdict.SignatureMissing},
	{name: "a document's end and one behind it", text: configMap("y") + "...\n---\n" + deployment("x", "«unsigned»"), code: verdict.SignatureMissing},
	{name: "a separator with a comment", text: configMap("y") + "--- # next\n" + deployment("x", "«unsigned»"), code: verdict.SignatureMissing},
	{name: "a separator with a carriage return", text: configMap("y") + "---\r\n" + deployment("x", "«unsigned»"), code: verdict.SignatureMissing},
	{name: "lines that end in carriage returns", text: strings.ReplaceAll(configMap("x"), "\n", "\r\n")},
	{name: "a line that only YAML 1.1 ends", text: configMap("x") + "# a comment\u2028spec: {containers: [{name: c, image: \"«unsigned»\"}]}\n", code: verdict.SignatureMissing},
	{name: "a byte order mark", text: "\ufeff" + deployment("x", "«good»")},
	{name: "a byte order mark before an unsigned image", text: "\ufeff" + deployment("x", "«unsigned»"), code: verdict.SignatureMissing},
	{name: "a byte order mark in the middle", text: configMap("y") + "\ufeff---\n" + deployment("x", "«unsigned»"), code: verdict.ManifestInvalid},
	{name: "UTF-16", text: "\xff\xfea\x00p\x00i\x00", code: verdict.ManifestInvalid},
	{name: "bytes that are no UTF-8", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {key: \"\xc3\x28\"}\n", code: verdict.ManifestInvalid},
	{name: "a NUL", text: configMap("x") + "# \x00\n", code: verdict.ManifestInvalid},
	{name: "an overlong slash", text: deployment("x", "«host»\xc0\xafvision\xc0\xafunsigned:1.0"), code: verdict.ManifestInvalid},
	{name: "an integer that no float holds", text: configMap("x") + "spec: {n: 18446744073709551617}\n", code: verdict.ManifestInvalid},
	{name: "a number that is none", text: configMap("x") + "spec: {n: .nan}\n", code: verdict.ManifestInvalid},
	{name: "an infinite number", text: configMap("x") + "spec: {n: .inf}\n", code: verdict.ManifestInvalid},
	{name: "a tag of a programming language", text: configMap("x") + "spec: !!python/object/apply:os.system [id]\n", code: verdict.ManifestInvalid},
	{name: "a binary image", text: two("  - {name: c, image: !!binary aGVsbG8=}\n"), code: verdict.ManifestInvalid},
	{name: "a key that is a list", text: configMap("x") + "? [a, b]\n: c\n", code: verdict.ManifestInvalid},
	{name: "a directive of another version of YAML", text: "%YAML 1.2\n---\n" + configMap("x"), code: verdict.ManifestInvalid},
	{name: "a directive that nothing needs", text: "%YAML 1.1\n---\n" + configMap("x")},
	{name: "a text that is not YAML", text: "apiVersion: v1\n\tkind: ConfigMap\n", code: verdict.ManifestInvalid},
	{name: "a list of objects at the top", text: "- " + pod(`containers: [{name: c, image: "«unsigned»"}]`) + "\n", code: verdict.ObjectInvalid},
	{name: "a text at the top", text: "just a word\n", code: verdict.ObjectInvalid},
	{name: "more than 1 MiB in one object", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {key: \"" + strings.Repeat("x", 1<<20) + "\"}\n", code: verdict.RenderTooLarge},
	{name: "more than 1 MiB by an alias", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n  a: &a " + strings.Repeat("x", 200_000) + "\n  b: *a\n  c: *a\n  d: *a\n  e: *a\n  f: *a\n", code: verdict.RenderTooLarge},
	{name: "half a MiB in one object", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {key: \"" + strings.Repeat("x", 1<<19) + "\"}\n"},
}

// trees are files that are none, and names that mean two things.
var trees = []attempt{
	{name: "a symbolic link to a good file", more: files{"deploy/x.yaml": {symlink, "app.yaml"}}, code: verdict.RenderPath},
	{name: "a symbolic link out of the repository", more: files{"deploy/x.yaml": {symlink, "/etc/passwd"}}, code: verdict.RenderPath},
	{name: "a symbolic link upwards", more: files{"deploy/x.yaml": {symlink, "../../../secrets.yaml"}}, code: verdict.RenderPath},
	{name: "a symbolic link to a folder", more: files{"deploy/more": {symlink, "../other"}}, code: verdict.RenderPath},
	{name: "a symbolic link in the place of the folder", more: files{"deploy/settings.yaml": {}, "deploy/app.yaml": {}, "deploy": {symlink, "other"}, "other/x.yaml": {regular, configMap("x")}}, code: verdict.RenderPath},
	{name: "a submodule", more: files{"deploy/more": {submodule, strings.Repeat("ab", 20)}}, code: verdict.RenderPath},
	{name: "a submodule called like a manifest", more: files{"deploy/x.yaml": {submodule, strings.Repeat("ab", 20)}}, code: verdict.RenderPath},
	{name: "a submodule elsewhere", more: files{"vendor/x": {submodule, strings.Repeat("ab", 20)}}, objects: none},
	{name: "a pointer of Git LFS", more: files{"deploy/x.yaml": {regular, "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("ab", 32) + "\nsize 12\n"}}, code: verdict.RenderEncrypted},
	{name: "values encrypted by SOPS", text: "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {key: \"ENC[AES256_GCM,data:Zm9v,iv:YQ==,tag:Yg==,type:str]\"}\nsops: {version: 3.8.1}\n", code: verdict.RenderEncrypted},
	{name: "a file encrypted by age", text: "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n", code: verdict.RenderEncrypted},
	{name: "two names that differ in case", more: files{"deploy/x.yaml": {regular, configMap("x")}, "deploy/X.yaml": {regular, configMap("y")}}, code: verdict.RenderPath},
	{name: "two names that differ in composition", more: files{"deploy/\u00e9.yaml": {regular, configMap("x")}, "deploy/e\u0301.yaml": {regular, configMap("y")}}, code: verdict.RenderPath},
	{name: "a folder called ..", more: files{"deploy/../x.yaml": {regular, configMap("x")}}, code: verdict.CommitMalformed},
	{name: "a folder called .git", more: files{"deploy/.git/config": {regular, "[core]\n"}}, code: verdict.CommitMalformed},
	{name: "a folder called .GIT", more: files{"deploy/.GIT/config": {regular, "[core]\n"}}, code: verdict.CommitMalformed},
	{name: "a folder that Windows calls .git", more: files{"deploy/git~1/config": {regular, "[core]\n"}}, code: verdict.CommitMalformed},
	{name: "a name with a backslash", more: files{`deploy/..\x.yaml`: {regular, configMap("x")}}, code: verdict.CommitMalformed},
	{name: "a file of another mode", more: files{"deploy/x.yaml": {"100600", configMap("x")}}, code: verdict.CommitMalformed},
	{name: "an executable file", more: files{"deploy/x.yaml": {"100755", configMap("x")}}},
	{name: "a file that begins with a dot", more: files{"deploy/.x.yaml": {regular, deployment("x", "«unsigned»")}}, objects: none},
	{name: "a file with another ending", more: files{"deploy/x.yaml.bak": {regular, deployment("x", "«unsigned»")}}, objects: none},
	{name: "an unsigned image in another folder", more: files{"staging/x.yaml": {regular, deployment("x", "«unsigned»")}}, objects: none},
	{name: "an unsigned image in a folder below", more: files{"deploy/a/b/c/x.yml": {regular, deployment("x", "«unsigned»")}}, code: verdict.SignatureMissing},
	{name: "a good image in a folder below", more: files{"deploy/a/b/c/x.yml": {regular, deployment("x", "«good»")}}},
	{name: "a folder forty deep", more: files{"deploy/" + strings.Repeat("d/", 40) + "x.yaml": {regular, configMap("x")}}, code: verdict.RenderTooLarge},
	{name: "a Helm chart", more: files{"deploy/chart/Chart.yaml": {regular, "apiVersion: v2\nname: x\nversion: 1.0.0\n"}, "deploy/chart/templates/x.yaml": {regular, "{{ .Values.x }}"}}, code: verdict.RenderChart},
	{name: "a template of Helm without a chart", text: "{{- if .Values.enabled }}\n" + configMap("x") + "{{- end }}\n", code: verdict.ManifestInvalid},
}
