package text_test

import "testing"

func TestCodeThatIsQuotedIsNoTemplate(t *testing.T) {
	const run = "{{ x.__class__.__mro__[1].__subclasses__() }}"
	check(t, []sample{
		{"a fence in a model card", "---\nlicense: mit\n---\n# Net\n\n```\n{{ x.__class__ }}\n```\n", "clean"},
		{"backticks in a model card", "# Net\n\nWe drop `{{ x.__class__ }}` here.\n", "clean"},
		{"records", `{"text": "{{ x.__class__.__mro__ }}"}` + "\n" + `{"text": "b"}` + "\n", "clean"},
		{"outside of the fence", "# Net\n\n```\nx\n```\n{{ x.__class__ }}\n", "malicious"},
		{"a fence that is not closed", "# Net\n\n```\n{{ x.__class__ }}\n", "malicious"},
		{"a fence that runs something", "# Net\n\n```\n" + run + "\n```\n", "malicious"},
		{"records that run something", `{"text": "` + run + `"}` + "\n" + `{"text": "b"}` + "\n", "malicious"},
		{"no prose", "`{{ x.__class__ }}`", "malicious"},
		{"one document", `{"text": "{{ x.__class__ }}"}`, "malicious"},
		{"a file that begins like a template", "{# a #}\n# Net\n```\n{{ x.__class__ }}\n```\n", "malicious"},
		{"a template in records", `{"chat_template": "{{ x.__class__ }}"}` + "\n" + `{"a": 1}` + "\n", "malicious"},
	})
}
