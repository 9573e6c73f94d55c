package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

func full(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestADocumentThatUsesEveryRuleIsAccepted(t *testing.T) {
	s := valid(t, full(t))
	if s.Len() != 5 || !s.Readiness("full").Ready {
		t.Errorf("%d documents, %+v", s.Len(), s.Readiness("full"))
	}
	if problems := Lint(s, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)); len(problems) != 0 {
		t.Errorf("lint: %v", problems)
	}
}

// TestEveryMistakeIsRefusedWhereItIs makes one mistake at a time in
// testdata/full.yaml, which is accepted as it stands: that is every row's twin.
func TestEveryMistakeIsRefusedWhereItIs(t *testing.T) {
	base := full(t)
	valid(t, base)
	for _, tt := range []struct {
		name, old, new string // the first old becomes new
		at, path       string
		message        string // a part of it
		suggestion     string
	}{
		// What a document is.
		{"a version of the future", "logic.com/v1alpha1\nkind: Im", "logic.com/v1alpha2\nkind: Im", "1:13", "apiVersion", "not a version", "security.apexlogic.com/v1alpha1"},
		{"a misspelled group", "security.apexlogic", "security.apexlogick", "1:13", "apiVersion", "not a version", "security.apexlogic.com/v1alpha1"},
		{"a group without version", ".com/v1alpha1\nkind: Im", ".com\nkind: Im", "1:13", "apiVersion", "not a version", "security.apexlogic.com/v1alpha1"},
		{"the core group", "security.apexlogic.com/v1alpha1\nkind: Im", "v1\nkind: Im", "1:13", "apiVersion", "has no kind", "security.apexlogic.com/v1alpha1"},
		{"no apiVersion", "apiVersion: security.apexlogic.com/v1alpha1\nkind: Im", "kind: Im", "1:1", "apiVersion", "missing", "security.apexlogic.com/v1alpha1"},
		{"apiVersion in lower case", "apiVersion: security", "apiversion: security", "1:1", "apiVersion", "another key", "apiVersion: security.apexlogic.com/v1alpha1"},
		{"a misspelled kind", "kind: ImageSecurityPolicy", "kind: ImageSecurtyPolicy", "2:7", "kind", "not a kind", "ImageSecurityPolicy"},
		{"a kind in lower case", "kind: TrustRoot", "kind: trustroot", "55:7", "kind", "not a kind", "TrustRoot"},
		{"a kind of another group", "kind: ImageSecurityPolicy", "kind: ConfigMap", "2:7", "kind", "not a kind", ""},
		{"no kind", "kind: ImageSecurityPolicy\n", "", "1:1", "kind", "missing", ""},

		// YAML.
		{"a key that is there twice", "  enforcement: Enforce\n", "  enforcement: Enforce\n  enforcement: Observe\n", "8:3", "spec.enforcement", "twice, first on line 7", ""},
		{"a merge key", "  enforcement: Enforce\n", "  <<: {enforcement: Observe}\n", "7:3", "spec", "merge keys", ""},
		{"a number as key", "{stage: prod}", "{1: prod}", "22:32", "spec.rules[0].parameters.signatureAnnotations", "a key has to be text", ""},
		{"an old boolean as key", "{stage: prod}", "{on: prod}", "22:32", "spec.rules[0].parameters.signatureAnnotations", "YAML 1.1", `"on"`},
		{"an old boolean as value", "requireLog: true", "requireLog: yes", "20:21", "spec.rules[0].parameters.requireLog", "YAML 1.1", "true"},
		{"an old boolean as text", "{stage: prod}", "{stage: off}", "22:39", "spec.rules[0].parameters.signatureAnnotations.stage", "YAML 1.1", "false"},
		{"a tag", "enforcement: Enforce", "enforcement: !env Enforce", "7:16", "spec.enforcement", "tag", ""},
		{"an octal number", "threshold: 2", "threshold: 02", "17:20", "spec.rules[0].parameters.threshold", "plain decimal", `"02"`},
		{"a hexadecimal number", "threshold: 2", "threshold: 0x2", "17:20", "spec.rules[0].parameters.threshold", "plain decimal", `"0x2"`},
		{"a number with underscores", "threshold: 2", "threshold: 1_0", "17:20", "spec.rules[0].parameters.threshold", "plain decimal", `"1_0"`},
		{"an infinite number", "threshold: 2", "threshold: .inf", "17:20", "spec.rules[0].parameters.threshold", "plain decimal", `".inf"`},
		{"too deep nesting", "{stage: prod}", "{stage: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}", "22:66", "", "nested deeper", ""},

		// Metadata.
		{"no metadata", "metadata:\n  name: full\n  labels: {team: vision}\n", "", "1:1", "metadata", "missing", ""},
		{"no name", "  name: full\n", "", "4:3", "metadata.name", "missing", ""},
		{"a name in upper case", "name: full", "name: Full", "4:9", "metadata.name", "does not match", "full"},
		{"a name that is a number", "name: full", "name: 17", "4:9", "metadata.name", "text is expected", `"17"`},
		{"a namespace", "  name: full\n", "  name: full\n  namespace: default\n", "5:3", "metadata.namespace", "cluster-scoped", ""},
		{"an unknown metadata field", "  labels: {", "  label: {", "5:3", "metadata.label", "unknown field", "labels"},
		{"a label that is a boolean", "{team: vision}", "{team: true}", "5:18", "metadata.labels.team", "text is expected", `"true"`},
		{"a label that no label can be", "{team: vision}", "{team: a b}", "5:18", "metadata.labels.team", "does not match", ""},

		// Fields.
		{"no spec", "\nspec:\n  enforcement", "\nspecs:\n  enforcement", "6:1", "specs", "unknown field", "spec"},
		{"a misspelled field", "  enforcement: Enforce", "  enforcment: Enforce", "7:3", "spec.enforcment", "unknown field", "enforcement"},
		{"a field in another case", "  imageSelector:", "  imageselector:", "8:3", "spec.imageselector", "unknown field", "imageSelector"},
		{"a field that nothing resembles", "  enforcement: Enforce", "  colour: blue", "7:3", "spec.colour", "unknown field; known here: enforcement", ""},
		{"no selector", "  imageSelector:\n    matchExpressions:\n      - {key: tier, operator: In, values: [gold]}\n", "", "7:3", "spec.imageSelector", "missing", ""},
		{"an empty selector line", "  imageSelector:\n    matchExpressions:\n      - {key: tier, operator: In, values: [gold]}\n", "  imageSelector:\n", "8:17", "spec.imageSelector", "is empty", ""},
		{"no rules", "rules:\n    - name: Req", "rules: []\n  platforms2:\n    - name: Req", "12:10", "spec.rules", "at least 1", ""},
		{"a parameter beside the parameters", "      action: Deny\n", "      threshold: 1\n", "14:7", "spec.rules[0].threshold", "unknown field", "parameters.threshold"},
		{"a misspelled parameter", "requireSignatureFrom:", "requireSignaturesFrom:", "16:9", "spec.rules[0].parameters.requireSignaturesFrom", "unknown field", "requireSignatureFrom"},
		{"no parameters", "    - name: RequireSBOM\n      parameters:\n        sbomFrom: [ci]\n        sbomFormats: [CycloneDX]\n", "    - name: RequireSBOM\n", "44:7", "spec.rules[5].parameters", "missing", ""},
		{"a rule without name", "    - name: RequireSBOM\n      parameters", "    - parameters", "44:7", "spec.rules[5].name", "missing; one of", ""},

		// Enums.
		{"an unknown rule", "name: RequireSBOM", "name: RequireSBOMs", "44:13", "spec.rules[5].name", "not one of", "RequireSBOM"},
		{"a rule in another case", "name: RequireSBOM", "name: requiresbom", "44:13", "spec.rules[5].name", "not one of", "RequireSBOM"},
		{"a rule that nothing resembles", "name: RequireSBOM", "name: BlockEverything", "44:13", "spec.rules[5].name", "not one of", ""},
		{"an action in lower case", "action: Deny", "action: deny", "14:15", "spec.rules[0].action", "Deny, Warn, Audit", "Deny"},
		{"an unknown action", "action: Deny", "action: Reject", "14:15", "spec.rules[0].action", "Deny, Warn, Audit", ""},
		{"an unknown enforcement", "enforcement: Enforce", "enforcement: Enforced", "7:16", "spec.enforcement", "Observe, Warn, Enforce", "Enforce"},
		{"a severity in upper case", "maxSeverity: High", "maxSeverity: HIGH", "25:22", "spec.rules[1].parameters.maxSeverity", "Low, Medium, High, Critical", "High"},
		{"an unknown severity", "maxSeverity: High", "maxSeverity: Negligible", "25:22", "spec.rules[1].parameters.maxSeverity", "Low, Medium, High, Critical", ""},
		{"an unknown SBOM format", "[CycloneDX]", "[cyclonedx]", "47:23", "spec.rules[5].parameters.sbomFormats[0]", "CycloneDX, SPDX", "CycloneDX"},
		{"an unknown signature format", "[bundle]", "[bundel]", "68:17", "spec.entries[1].formats[0]", "bundle, legacy, notation", "bundle"},
		{"an unknown use", "[Images, Exceptions]", "[Images, Exception]", "66:22", "spec.entries[1].uses[1]", "Images, Models, Exceptions, Revocations", "Exceptions"},

		// Types, sizes, patterns, formats.
		{"text where a list is needed", "sbomFrom: [ci]", "sbomFrom: ci", "46:19", "spec.rules[5].parameters.sbomFrom", "a list is expected", `["ci"]`},
		{"a list where a mapping is needed", "signatureAnnotations: {stage: prod}", "signatureAnnotations: [stage]", "22:31", "spec.rules[0].parameters.signatureAnnotations", "a mapping is expected", ""},
		{"text where a number is needed", "threshold: 2", `threshold: "2"`, "17:20", "spec.rules[0].parameters.threshold", "an integer is expected", "2"},
		{"a fraction where an integer is needed", "threshold: 2", "threshold: 1.5", "17:20", "spec.rules[0].parameters.threshold", "an integer is expected", ""},
		{"text where a boolean is needed", "requireLog: true", `requireLog: "True"`, "20:21", "spec.rules[0].parameters.requireLog", "true or false is expected", "true"},
		{"a number where text is needed", "{stage: prod}", "{stage: 1.0}", "22:39", "spec.rules[0].parameters.signatureAnnotations.stage", "text is expected", `"1.0"`},
		{"a threshold of zero", "threshold: 2", "threshold: 0", "17:20", "spec.rules[0].parameters.threshold", "at least 1", ""},
		{"a threshold that is too large", "threshold: 2", "threshold: 65", "17:20", "spec.rules[0].parameters.threshold", "at most 64", ""},
		{"an empty list of signers", "[ci, release]\n        threshold: 2", "[]", "16:31", "spec.rules[0].parameters.requireSignatureFrom", "at least 1", ""},
		{"an empty name in a list", "provenanceFrom: [ci]", `provenanceFrom: [""]`, "35:26", "spec.rules[3].parameters.provenanceFrom[0]", "empty text", ""},
		{"a name that is too long", "provenanceFrom: [ci]", "provenanceFrom: [" + strings.Repeat("a", 254) + "]", "35:26", "spec.rules[3].parameters.provenanceFrom[0]", "at most 253", ""},
		{"too many platforms", "[linux/amd64, linux/arm64]", "[" + strings.Repeat("a/b,", 33) + "]", "11:14", "spec.platforms", "at most 32", ""},
		{"too many annotations", "{stage: prod}", "{" + manyKeys(33) + "}", "22:31", "spec.rules[0].parameters.signatureAnnotations", "at most 32", ""},
		{"a platform that is none", "linux/arm64]", "linux]", "11:28", "spec.platforms[1]", "does not match", ""},
		{"a platform in upper case", "linux/arm64]", "Linux/arm64]", "11:28", "spec.platforms[1]", "does not match", "linux/arm64"},
		{"a platform that is there twice", "linux/arm64]", "linux/amd64]", "11:28", "spec.platforms[1]", "twice", ""},
		{"a rule that is there twice", "name: RequireSBOM\n      parameters:\n        sbomFrom: [ci]\n        sbomFormats: [CycloneDX]", "name: RequireProvenance\n      parameters:\n        provenanceFrom: [ci]\n        builders: [b]", "44:7", "spec.rules[5].name", "twice, first on line 33", ""},
		{"an entry that is there twice", "name: scan", "name: ci", "73:7", "spec.entries[2].name", "twice, first on line 60", ""},
		{"a time without zone", "2026-01-31T12:00:00Z\n        signatureAnnotations", "2026-01-31T12:00:00\n        signatureAnnotations", "21:21", "spec.rules[0].parameters.builtAfter", "RFC 3339", "2026-01-31T12:00:00Z"},
		{"a date", "2026-12-01T00:00:00Z", "2026-12-01", "87:14", "spec.expiresAt", "RFC 3339", "2026-12-01T00:00:00Z"},
		{"a time that does not exist", "2026-12-01T00:00:00Z", "2026-13-01T00:00:00Z", "87:14", "spec.expiresAt", "RFC 3339", ""},
		{"a duration in days", "maxReportAge: 24h", "maxReportAge: 2d", "27:23", "spec.rules[1].parameters.maxReportAge", "not a duration", "48h"},
		{"a duration without unit", "maxReportAge: 24h", `maxReportAge: "24"`, "27:23", "spec.rules[1].parameters.maxReportAge", "not a duration", "24h"},
		{"a duration of zero", "maxReportAge: 24h", "maxReportAge: 0s", "27:23", "spec.rules[1].parameters.maxReportAge", "above zero", ""},
		{"a negative duration", "maxBuildAge: 720h", "maxBuildAge: -1h", "37:22", "spec.rules[3].parameters.maxBuildAge", "above zero", ""},
		{"a tag instead of a digest", "digest: sha256:" + strings.Repeat("a", 64), "digest: v1.2", "82:11", "spec.digest", "does not match", ""},
		{"a digest without algorithm", "digest: sha256:" + strings.Repeat("a", 64), "digest: " + strings.Repeat("a", 64), "82:11", "spec.digest", "does not match", "sha256:" + strings.Repeat("a", 64)},
		{"a digest in upper case", "digest: sha256:" + strings.Repeat("b", 64), "digest: sha256:" + strings.Repeat("B", 64), "108:15", "spec.images[0].digest", "does not match", "sha256:" + strings.Repeat("b", 64)},
		{"a reason that says nothing", "reason: the generator is broken this week", "reason: because", "85:11", "spec.reason", "at least 10", ""},
		{"an exception without expiry", "  expiresAt: 2026-12-01T00:00:00Z\n", "", "82:3", "spec.expiresAt", "missing", ""},

		// CEL rules.
		{"a rule without its parameter", "        sbomFrom: [ci]\n", "", "44:7", "spec.rules[5]", "sbomFrom is needed", ""},
		{"a parameter of another rule", "sbomFormats: [CycloneDX]", "requireLog: true", "44:7", "spec.rules[5]", "belong to RequireImageSignature alone", ""},
		{"a severity twice", "maxSeverity: High\n", "maxSeverity: High\n        blockAtOrAbove: High\n", "23:7", "spec.rules[1]", "either maxSeverity or blockAtOrAbove", ""},
		{"no severity", "        maxSeverity: High\n", "", "23:7", "spec.rules[1]", "either maxSeverity or blockAtOrAbove", ""},
		{"an entry with two credentials", "    - name: scan\n", "    - name: scan\n      kms: {uri: x, pem: z}\n", "73:7", "spec.entries[2]", "exactly one of key", ""},
		{"an entry without credential", "      scanner:\n        signedBy: [ci]\n", "", "73:7", "spec.entries[2]", "exactly one of key", ""},
		{"an approver without owner", "      owner: release@apexlogic.com\n", "", "65:7", "spec.entries[1]", "needs an owner", ""},
		{"keyless without issuer", "        issuer: https://token.actions.githubusercontent.com\n        subjectR", "        subjectR", "62:9", "spec.entries[0].keyless", "exactly one of issuer", ""},
		{"keyless without identity", "        subjectRegExp: ^https://github\\.com/apexlogic/.+$\n", "", "62:9", "spec.entries[0].keyless", "exactly one of subject", ""},
		{"a revocation of nothing", "  identity:\n    issuer: https://token.actions.githubusercontent.com\n    subject: mallory\n", "", "95:3", "spec", "exactly one of digest", ""},

		// What a schema cannot say.
		{"an unanchored pattern", "^https://github\\.com/apexlogic/.+$", "github.com/apexlogic", "63:24", "spec.entries[0].keyless.subjectRegExp", "does not match", ""},
		{"a pattern with one anchor per alternative", "^https://github\\.com/apexlogic/.+$", "^a|b$", "63:9", "spec.entries[0].keyless.subjectRegExp", "a part of an identity", "^(a|b)$"},
		{"a pattern whose end is escaped", "^https://github\\.com/apexlogic/.+$", `^a\$`, "63:9", "spec.entries[0].keyless.subjectRegExp", "a part of an identity", ""},
		{"a pattern over lines", "^https://github\\.com/apexlogic/.+$", `^(?m)(?:^a$|b)$`, "63:9", "spec.entries[0].keyless.subjectRegExp", "a part of an identity", "^((?m)(?:^a$|b))$"},
		{"a pattern that is none", "^https://github\\.com/apexlogic/.+$", "^(a$", "63:9", "spec.entries[0].keyless.subjectRegExp", "not a regular expression", ""},
		{"a selector's operator in another case", "operator: In", "operator: in", "10:21", "spec.imageSelector.matchExpressions[0].operator", "In, NotIn, Exists, DoesNotExist", "In"},
		{"a selector without values", ", values: [gold]", "", "8:3", "spec.imageSelector", "not a label selector", ""},
		{"a threshold that nobody reaches", "[ci, release]", "[ci]", "17:9", "spec.rules[0].parameters.threshold", "no image can have that many", ""},
		{"a base image without tag", "python:3.x-slim", "python", "32:29", "spec.rules[2].parameters.allowedBaseImages[0]", "tag is missing", ""},
		{"a base image by digest", "python:3.x-slim", "python@" + digestA, "32:29", "spec.rules[2].parameters.allowedBaseImages[0]", "not a digest", ""},
		{"a base image with a wildcard path", "python:3.x-slim", "ghcr.io/*/python:3.x", "32:29", "spec.rules[2].parameters.allowedBaseImages[0]", "only the tag takes", ""},
		{"a base image in upper case", "python:3.x-slim", "Python:3.x-slim", "32:29", "spec.rules[2].parameters.allowedBaseImages[0]", "lower case", "python:3.x-slim"},
		{"a base image with a bad tag", "python:3.x-slim", "python:3.x+slim", "32:29", "spec.rules[2].parameters.allowedBaseImages[0]", "the tag holds", ""},
		{"a private key", "BEGIN PUBLIC KEY", "BEGIN PRIVATE KEY", "70:9", "spec.entries[1].key.pem", "private key", ""},
		{"a key that is never valid", "validUntil: 2027", "validUntil: 2025", "72:9", "spec.entries[1].key.validUntil", "not after validFrom", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(base, tt.old) {
				t.Fatalf("%q is not in the document", tt.old)
			}
			s := load(t, Bytes("f", []byte(strings.Replace(base, tt.old, tt.new, 1))))
			p := s.Problems
			if len(p) == 0 {
				t.Fatal("is accepted")
			}
			at := strings.TrimPrefix(p[0].Position.String(), "f:")
			if at != tt.at || tt.path != "" && p[0].Path != tt.path || !strings.Contains(p[0].Message, tt.message) || p[0].Suggestion != tt.suggestion {
				t.Errorf("got  %s %s %q suggestion %q\nwant %s %s %q suggestion %q", at, p[0].Path, p[0].Message, p[0].Suggestion, tt.at, tt.path, tt.message, tt.suggestion)
			}
			if s.Err() == nil {
				t.Error("the set can be published")
			}
		})
	}
}

func manyKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "k" + strings.Repeat("a", i) + ": v"
	}
	return strings.Join(keys, ", ")
}

func TestTextThatIsNoYAMLIsRefusedWithItsLine(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		line int
		part string
	}{
		"not UTF-8":          {trustYAML + "# \xff\n", 13, "UTF-8"},
		"a NUL byte":         {"a: 1\nb: \x00\n", 2, "UTF-8"},
		"UTF-16":             {"\xff\xfea\x00:\x00", 1, "UTF-8"},
		"an open list":       {"a: 1\nb: [1\nc: 2\n", 2, "not valid YAML"},
		"an unknown alias":   {"a: *none\n", 0, "unknown anchor"},
		"a tab as indent":    {"a:\n\tb: 1\n", 2, "not valid YAML"},
		"the second is open": {trustYAML + "---\nx: {\n", 15, "not valid YAML"},
	} {
		s := load(t, Bytes("f.yaml", []byte(tt.text)))
		if s.Err() == nil {
			t.Errorf("%s: is accepted", name)
			continue
		}
		if p := s.Problems[0]; p.Line != tt.line || !strings.Contains(p.Message, tt.part) {
			t.Errorf("%s: line %d, %q", name, p.Line, p.Message)
		}
	}
	valid(t, trustYAML+"# \u00ff\n")
	valid(t, "\ufeff"+trustYAML)
}

func TestTwoFilesMayNotDefineOneName(t *testing.T) {
	other := strings.Replace(trustYAML, "name: signers", "name: others", 1)
	s := load(t, Bytes("a.yaml", []byte(trustYAML)), Bytes("b.yaml", []byte(other)))
	if len(s.Problems) != 1 || s.Problems[0].Position.String() != "a.yaml:7:7" && s.Problems[0].Position.String() != "b.yaml:7:7" || !strings.Contains(s.Problems[0].Message, "defined twice, first at") {
		t.Errorf("two trust roots with one entry: %v", s.Problems)
	}
	renamed := strings.Replace(other, "signing-key-v1", "signing-key-v2", 1)
	if s := load(t, Bytes("a.yaml", []byte(trustYAML)), Bytes("b.yaml", []byte(renamed))); s.Err() != nil {
		t.Errorf("two trust roots with two entries: %v", s.Err())
	}
	s = load(t, Bytes("a.yaml", []byte(reference(t))), Bytes("b.yaml", []byte(reference(t))))
	if len(s.Problems) != 1 || s.Problems[0].Position.String() != "b.yaml:4:3" || !strings.Contains(s.Problems[0].Message, "first at a.yaml:4:3") {
		t.Errorf("two policies with one name: %v", s.Problems)
	}
	second := strings.Replace(reference(t), "name: multimodal", "name: second-multimodal", 1)
	if s := load(t, Bytes("a.yaml", []byte(reference(t))), Bytes("b.yaml", []byte(second))); s.Err() != nil {
		t.Errorf("two policies with two names: %v", s.Err())
	}
}

func TestErrorsDoNotRepeatSecrets(t *testing.T) {
	secret := strings.Repeat("c2VjcmV0", 40)
	text := strings.Replace(trustYAML, "BEGIN PUBLIC KEY", "BEGIN EC PRIVATE KEY", 1)
	text = strings.Replace(text, "MFkw", secret, 1)
	text = strings.Replace(text, "      key:\n", "      formats: ["+secret+"]\n      key:\n", 1)
	for _, text := range []string{text, strings.Replace(text, "      formats: ["+secret+"]\n", "", 1)} {
		err := load(t, Bytes("f.yaml", []byte(text))).Err()
		if err == nil || strings.Contains(err.Error(), strings.Repeat("c2VjcmV0", 8)) {
			t.Errorf("got %v", err)
		}
	}
}
