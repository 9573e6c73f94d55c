package rewrite

import (
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// actions sets the actions of an entry, resources its resources.
func actions(values ...string) Field {
	return Field{Keys: []string{"Action", "NotAction"}, Key: "Action", Values: values}
}

func resources(old []string, values ...string) Field {
	return Field{Keys: []string{"Resource", "NotResource"}, Key: "Resource", Values: values, Old: old}
}

func TestOnlyTheEntriesChange(t *testing.T) {
	for _, tc := range []struct {
		name    string
		source  string
		lines   []int
		entries []Entry
		want    string
	}{
		{"block style", `# ours
Statement:
  # reads
  - Effect: Allow   # yes
    Action:
      - s3:*   # all
      - sqs:*
    Resource: '*'
  - Sid: Keep
    Effect: Deny
    Action: "iam:*"
    Resource: "*"
Other: 1
`, []int{4, 9}, []Entry{{0, []Field{actions("s3:GetObject"), resources(nil, "arn:aws:s3:::b/*", "arn:aws:s3:::c/${*}"[:16])}}, {1, nil}}, `# ours
Statement:
  # reads
  - Effect: Allow   # yes
    Action:
      - s3:GetObject
    Resource:
      - "arn:aws:s3:::b/*"
      - "arn:aws:s3:::c/$"
  - Sid: Keep
    Effect: Deny
    Action: "iam:*"
    Resource: "*"
Other: 1
`},
		{"a text stays a text", "Statement:\n- Effect: Allow\n  Action: s3:*\n  Resource: arn:aws:s3:::b\n", []int{2}, []Entry{{0, []Field{actions("s3:ListBucket")}}},
			"Statement:\n- Effect: Allow\n  Action: s3:ListBucket\n  Resource: arn:aws:s3:::b\n"},
		{"what is not to be done becomes what is", "Statement:\n- Effect: Allow\n  NotAction:\n  - iam:*\n  Resource: '*'\n", []int{2}, []Entry{{0, []Field{actions("s3:GetObject", "s3:PutObject")}}},
			"Statement:\n- Effect: Allow\n  Action:\n  - s3:GetObject\n  - s3:PutObject\n  Resource: '*'\n"},
		{"functions of a template keep their words", `Statement:
  - Effect: Allow
    Action: dynamodb:*
    Resource:
      - !GetAtt Table.Arn # the table
      - !Sub "${Table.Arn}/index/*"
      - Fn::Sub: "arn:aws:sqs:${AWS::Region}:1:q"
      - !Join [":", [a, b]]
    Condition: {StringEquals: {"aws:SourceVpc": !Ref Vpc}}
`, []int{2}, []Entry{{0, []Field{actions("dynamodb:Query"), resources([]string{"T", "T/index/*", "Q", "a:b"}, "T", "Q", "a:b")}}}, `Statement:
  - Effect: Allow
    Action: dynamodb:Query
    Resource:
      - !GetAtt Table.Arn
      - Fn::Sub: "arn:aws:sqs:${AWS::Region}:1:q"
      - !Join [":", [a, b]]
    Condition: {StringEquals: {"aws:SourceVpc": !Ref Vpc}}
`},
		{"an entry that becomes two", `Statement:
  - Sid: All
    Effect: Allow
    Action: '*'
    Resource: '*'

  # what follows
  - {Effect: Deny, Action: 'iam:*', Resource: '*'}
`, []int{2, 8}, []Entry{
			{0, []Field{actions("s3:GetObject"), resources(nil, "arn:aws:s3:::b")}},
			{0, []Field{{Keys: []string{"Sid"}, Key: "Sid", Values: []string{"All2"}, One: true}, actions("sqs:SendMessage")}}, {1, nil}}, `Statement:
  - Sid: All
    Effect: Allow
    Action: "s3:GetObject"
    Resource: "arn:aws:s3:::b"
  - Sid: All2
    Effect: Allow
    Action: "sqs:SendMessage"
    Resource: '*'

  # what follows
  - {Effect: Deny, Action: 'iam:*', Resource: '*'}
`},
		{"an entry that goes", "Statement:\n  - Effect: Allow\n    Action: a\n  - Effect: Allow\n    Action: b\n    # of b\n  - Effect: Deny\n    Action: c\n", []int{2, 4, 7}, []Entry{{0, nil}, {2, nil}},
			"Statement:\n  - Effect: Allow\n    Action: a\n    # of b\n  - Effect: Deny\n    Action: c\n"},
		{"a map in place of a list", "Statement:\n  Effect: Allow\n  Action: [s3:*]\n", []int{2}, []Entry{{0, []Field{actions("s3:GetObject", "s3:PutObject")}}}, "Statement:\n  Effect: Allow\n  Action: [\"s3:GetObject\", \"s3:PutObject\"]\n"},
		{"flow in a list of block style", "Statement:\n  - { Effect: Allow, Action: s3:*, Resource: a }\n", []int{2}, []Entry{{0, []Field{actions("s3:GetObject")}}}, "Statement:\n  - { Effect: Allow, Action: \"s3:GetObject\", Resource: a }\n"},
		{"JSON", `{
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "*",
      "Resource": ["*"]
    },
    {"Effect": "Deny", "NotAction": "a:*", "Resource": "*"}
  ],
  "Version": "2012-10-17"
}`, []int{3, 8}, []Entry{{0, []Field{actions("s3:GetObject"), resources(nil, "b")}}, {0, []Field{actions("sqs:A", "sqs:B", "sqs:C", "sqs:D")}}, {1, nil}}, `{
  "Statement": [
    {
      "Effect": "Allow",
      "Action": "s3:GetObject",
      "Resource": ["b"]
    },
    {
      "Effect": "Allow",
      "Action": [
        "sqs:A",
        "sqs:B",
        "sqs:C",
        "sqs:D"
      ],
      "Resource": ["*"]
    },
    {"Effect": "Deny", "NotAction": "a:*", "Resource": "*"}
  ],
  "Version": "2012-10-17"
}`},
		{"JSON in one line", `{"Statement":[{"Effect":"Allow","Action":["a:B","c:D"]},{"Effect":"Deny"}]}`, []int{1, 1}, []Entry{{1, nil}}, `{"Statement":[{"Effect":"Deny"}]}`},
		{"JSON with functions", `{"Statement": [{"Effect": "Allow", "Action": "a:*", "Resource": [{"Fn::GetAtt": ["T", "Arn"]}, "x"]}]}`, []int{1}, []Entry{{0, []Field{resources([]string{"${T.Arn}", "x"}, "${T.Arn}")}}},
			`{"Statement": [{"Effect": "Allow", "Action": "a:*", "Resource": [{"Fn::GetAtt": ["T", "Arn"]}]}]}`},
		{"breaks of lines as the file has them", "Statement:\r\n- Effect: Allow\r\n  Action:\r\n  - a:B\r\n  - c:D\r\nX: 1\r\n", []int{2}, []Entry{{0, []Field{actions("a:B", "e:F")}}}, "Statement:\r\n- Effect: Allow\r\n  Action:\r\n  - a:B\r\n  - e:F\r\nX: 1\r\n"},
		{"the second document", "a: 1\n---\nStatement:\n- Effect: Allow\n  Action: äö\n  Resource: a\n", []int{4}, []Entry{{0, []Field{actions("b:C")}}}, "a: 1\n---\nStatement:\n- Effect: Allow\n  Action: b:C\n  Resource: a\n"},
		{"nothing is left", "rules: # of it\n- Effect: x\n  verbs: [get]\nb: 1\n", []int{2}, nil, "rules: []\nb: 1\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			edits, err := List([]byte(tc.source), tc.lines, "Effect", tc.entries)
			if err != nil {
				t.Fatal(err)
			}
			got := string(Apply([]byte(tc.source), edits))
			if got != tc.want {
				t.Errorf("%s\nwant\n%s", got, tc.want)
			}
			var v any
			for dec := yaml.NewDecoder(strings.NewReader(got)); dec.Decode(&v) == nil; {
			}
		})
	}
}

func TestWhatCannotBeChangedInPlaceIsRefused(t *testing.T) {
	set := []Entry{{0, []Field{actions("a:B")}}}
	const fine = "Statement:\n- Effect: Allow\n  Action: x\n"
	for _, tc := range []struct {
		name, source string
		lines        []int
		entries      []Entry
		refused      bool
	}{
		{"a list that is there", fine, []int{2}, set, false},
		{"no such line", fine, []int{3}, set, true},
		{"two at the same line", `{"a":{"Statement":[{"Effect":"Allow","Action":"a"}]},"b":{"Statement":[{"Effect":"Allow","Action":"a"}]}}`, []int{1}, set, true},
		{"no YAML", "a: [", []int{1}, set, true},
		{"an entry that others refer to", "Statement:\n- &x\n  Effect: Allow\n  Action: x\n", []int{3}, set, true},
		{"a value that others refer to", "Statement:\n- Effect: Allow\n  Action: &x a\n", []int{2}, set, true},
		{"no such field", "Statement:\n- Effect: Allow\n  Actions: x\n", []int{2}, set, true},
		{"a field that stands twice", "Statement:\n- Effect: Allow\n  Action: x\n  NotAction: y\n", []int{2}, set, true},
		{"an entry that is not there", fine, []int{2}, []Entry{{1, nil}}, true},
		{"one that becomes two outside of a list", "Statement:\n  Effect: Allow\n  Action: x\n", []int{2}, []Entry{{0, nil}, {0, nil}}, true},
		{"a value that only the template knows", fine, []int{2}, []Entry{{0, []Field{actions("${X}")}}}, true},
		{"a value over several lines", "Statement:\n- Effect: Allow\n  Action:\n  - Fn::Join:\n    - ''\n    - [a]\n  - b\n", []int{2}, []Entry{{0, []Field{{Keys: []string{"Action"}, Key: "Action", Values: []string{"${A}"}, Old: []string{"${A}", "b"}}}}}, true},
		{"another order", "Statement:\n- Effect: Allow\n- Effect: Deny\n", []int{2, 3}, []Entry{{1, nil}, {0, nil}}, true},
	} {
		_, err := List([]byte(tc.source), tc.lines, "Effect", tc.entries)
		if tc.refused != errors.Is(err, ErrShape) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// FuzzList holds that no file makes it panic, and that entries which do not
// change leave every byte as it is.
func FuzzList(f *testing.F) {
	f.Add("Statement:\n- Effect: Allow\n  Action:\n  - a # b\n  Resource: !Sub '${x}'\n", 2)
	f.Add(`{"Statement":[{"Effect":"Allow","Action":["a"]}]}`, 1)
	f.Add("a: &x [{Effect: 1, Action: \"x\\\"\"}]\nb: *x", 1)
	f.Add("- Effect: |\n   x\n  Action: >\n   - y\n", 1)
	f.Fuzz(func(t *testing.T, source string, line int) {
		edits, err := List([]byte(source), []int{line}, "Effect", []Entry{{0, nil}})
		if err == nil && string(Apply([]byte(source), edits)) != source {
			t.Fatalf("%q became %q", source, Apply([]byte(source), edits))
		}
		edits, err = List([]byte(source), []int{line}, "Effect", []Entry{{0, []Field{actions("a:B", "c:D")}}, {0, nil}})
		if err == nil {
			Apply([]byte(source), edits)
		}
	})
}
