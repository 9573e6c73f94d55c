package bounded

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// wide is an object with n different keys, then last.
func wide(n int, last string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"key%d":0,`, i)
	}
	return "{" + b.String() + last + "}"
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestJSONIsAcceptedOrRefused(t *testing.T) {
	const depth = 5
	long := strings.Repeat("k", longKey+1)
	for _, tc := range []struct {
		name, text string
		want       error  // nil: accepted, unless says
		says       string // what any other error says
	}{
		{"plain values", `{"a":1,"b":[true,false,null,-0.5e+3,"x",{}],"c":{"a":0}}`, nil, ""},
		{"white space everywhere", " {\n\t\"a\" : [ 1 , 2 ] , \"b\" : { } }\r\n", nil, ""},
		{"a string alone", ` "x" `, nil, ""},
		{"quotes and backslashes in strings", `{"a\\":"\"}","b":"\\"}`, nil, ""},
		{"every escape", `"\"\\\/\b\f\n\r\t\u00e4\uD83D\uDE00"`, nil, ""},
		{"a lone surrogate, which encoding/json accepts too", `"\ud800"`, nil, ""},
		{"characters of two, three and four bytes", `["ä","€","😀"]`, nil, ""},
		{"U+FFFD written out", "\"\ufffd\"", nil, ""},
		{"a string that ends at each place of a word", `["","1","12","123","1234","12345","123456","1234567","12345678","123456789"]`, nil, ""},

		{"one key in two objects", `[{"a":1},{"a":1}]`, nil, ""},
		{"one key in an object and in its member", `{"a":{"a":1},"b":{"a":1}}`, nil, ""},
		{"a key twice", `{"a":1,"a":1}`, ErrDuplicateKey, ""},
		{"a key twice, deep", `[[{"x":{"a":1,"b":2,"a":3}}]]`, ErrDuplicateKey, ""},
		{"a key twice, around an object with that key", `{"a":{"b":1},"b":1,"a":1}`, ErrDuplicateKey, ""},
		{"the empty key twice", `{"":1,"":2}`, ErrDuplicateKey, ""},
		{"a key in two cases", `{"config":1,"Config":2}`, ErrDuplicateKey, ""},
		{"a key and its escape", `{"a":1,"\u0061":2}`, ErrDuplicateKey, ""},
		{"a key and its escape in upper case", `{"a":1,"\u0041":2}`, ErrDuplicateKey, ""},
		{"two escapes of a slash", `{"a/b":1,"a\/b":2}`, ErrDuplicateKey, ""},
		{"a newline and its code", `{"\n":1,"\u000a":2}`, ErrDuplicateKey, ""},
		{"a character beyond ASCII and its escape", `{"ä":1,"\u00e4":2}`, ErrDuplicateKey, ""},
		{"a character beyond ASCII in two cases", `{"ä":1,"Ä":2}`, ErrDuplicateKey, ""},
		{"three cases of one character", `{"ǆ":1,"ǅ":2}`, ErrDuplicateKey, ""},
		{"a pair of surrogates and its character", `{"😀":1,"\ud83d\ude00":2}`, ErrDuplicateKey, ""},
		{"two lone surrogates, which both read as U+FFFD", `{"\ud800":1,"\udc00":2}`, ErrDuplicateKey, ""},
		{"a lone surrogate and U+FFFD", "{\"\\ud800\":1,\"\ufffd\":2}", ErrDuplicateKey, ""},
		{"a lone surrogate before another escape", `{"\ud800\u0061":1,"\ud800A":2}`, ErrDuplicateKey, ""},
		{"an s and a long s", `{"subject":1,"ſubject":2}`, ErrDuplicateKey, ""},
		{"a k and a Kelvin sign", "{\"link\":1,\"lin\u212a\":2}", ErrDuplicateKey, ""},
		{"a k and an escaped Kelvin sign", `{"link":1,"LIN\u212A":2}`, ErrDuplicateKey, ""},
		{"an i and a dotted I, which encoding/json keeps apart", `{"i":1,"İ":2}`, nil, ""},
		{"an s and a sharp s", `{"ss":1,"ß":2}`, nil, ""},
		{"characters that differ in the bit of the case", "{\"a@\":1,\"a`\":2,\"a[\":3,\"a{\":4}", nil, ""},
		{"a character and its decomposition", "{\"\u00e4\":1,\"a\u0308\":2}", nil, ""},

		{"as many keys as are listed", wide(manyKeys, `"x":1`), nil, ""},
		{"the first of many keys twice", wide(manyKeys, `"KEY0":1`), ErrDuplicateKey, ""},
		{"the last of many keys twice", wide(manyKeys, `"Key31":1`), ErrDuplicateKey, ""},
		{"a key twice among those in the table", wide(200, `"KEY150":1`), ErrDuplicateKey, ""},
		{"a key of the table, escaped", wide(200, `"\u004bey150":1`), ErrDuplicateKey, ""},
		{"a key of the table, with a Kelvin sign", wide(200, "\"\u212aey150\":1"), ErrDuplicateKey, ""},
		{"a long key twice", `{"` + long + `":1,"` + long + `":2}`, ErrDuplicateKey, ""},
		{"a long key in two cases", `{"` + long + `":1,"` + strings.ToUpper(long) + `":2}`, ErrDuplicateKey, ""},
		{"a long key and a longer one", `{"` + long + `":1,"` + long + `k":2}`, nil, ""},
		{"two long keys that differ in the middle", `{"` + long + "a" + long + `":1,"` + long + "b" + long + `":2}`, nil, ""},

		{"nested as deeply as allowed", nested(depth), nil, ""},
		{"nested deeper", nested(depth + 1), ErrTooDeep, ""},
		{"objects nested deeper", strings.Repeat(`{"a":`, depth+1) + "0" + strings.Repeat("}", depth+1), ErrTooDeep, ""},

		{"nothing", ``, nil, "ends too early"},
		{"white space", " \n", nil, "ends too early"},
		{"an open object", `{"a":1`, nil, "ends too early"},
		{"an open string", `"abc`, nil, "ends too early"},
		{"an open escape", `"abc\`, nil, "ends too early"},
		{"an open list", `[1,`, nil, "ends too early"},
		{"two values", `{} {}`, nil, "more than one JSON value"},
		{"a bracket too many", `{"a":1}}`, nil, "more than one JSON value"},
		{"a comma too many in an object", `{"a":1,}`, nil, "at byte 7: expected a key"},
		{"a comma too many in a list", `[1,]`, nil, "expected a value"},
		{"a list without a comma", `[1 2]`, nil, "expected a comma"},
		{"an object without a comma", `{"a":1 "b":2}`, nil, "expected a comma"},
		{"a key without a colon", `{"a" 1}`, nil, "expected a colon"},
		{"a key without quotes", `{a:1}`, nil, "expected a key in quotes"},
		{"a number as a key", `{1:1}`, nil, "expected a key in quotes"},
		{"a leading zero", `[01]`, nil, "expected a comma"},
		{"a leading plus", `+1`, nil, "expected a value"},
		{"a point without digits", `[1.]`, nil, "digits after the point"},
		{"a point alone", `.5`, nil, "expected a value"},
		{"a minus alone", `[-]`, nil, "expected a value"},
		{"an exponent without digits", `[1e]`, nil, "digits in the exponent"},
		{"an exponent with a sign only", `[1e+]`, nil, "digits in the exponent"},
		{"part of a word", `[tru]`, nil, "expected a value"},
		{"a word in upper case", `[NULL]`, nil, "expected a value"},
		{"a word that goes on", `[nulls]`, nil, "expected a comma"},
		{"NaN", `NaN`, nil, "expected a value"},
		{"a comment", `[1] // one`, nil, "more than one JSON value"},
		{"single quotes", `['a']`, nil, "expected a value"},
		{"an unknown escape", `"\x41"`, nil, "escape that JSON does not have"},
		{"an escape with too few digits", `"\u12g4"`, nil, "four hex digits"},
		{"a newline in a string", "\"a\nb\"", nil, "control character"},
		{"a NUL in a long string", "\"0123456789\x00123456789\"", nil, "control character"},
		{"a byte order mark", "\ufeff{}", nil, "expected a value"},
		{"white space that is not JSON's", "[1,\u00a02]", nil, "expected a value"},
		{"a byte that is not UTF-8", "\"\xff\"", nil, "not UTF-8 at byte 1"},
		{"a byte that is not UTF-8 in a key", "{\"12345678\xff\":1}", nil, "not UTF-8 at byte 10"},
		{"an overlong slash", "\"\xc0\xaf\"", nil, "not UTF-8"},
		{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", nil, "not UTF-8"},
		{"a cut-off character", "\"\xe2\x82\"", nil, "not UTF-8"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := CheckJSON([]byte(tc.text), depth)
			switch {
			case tc.want == nil && tc.says == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want == nil && tc.says == "":
			case err == nil:
				t.Error("accepted")
			case tc.want != nil && !errors.Is(err, tc.want):
				t.Errorf("%v, want %v", err, tc.want)
			case !strings.Contains(err.Error(), tc.says):
				t.Errorf("%v, want %q in it", err, tc.says)
			}
		})
	}
}

func TestValuesAndKeysAreLimited(t *testing.T) {
	list := func(n int) string { return "[" + strings.Repeat("1,", n-2) + "1]" } // n values with the list
	for _, tc := range []struct {
		name, text string
		rules      Rules
		ok         bool
	}{
		{"as many values as by default", list(MaxValues), Rules{Depth: 1}, true},
		{"more values than by default", list(MaxValues + 1), Rules{Depth: 1}, false},
		{"as many values as the rules say", list(10), Rules{Depth: 1, Values: 10}, true},
		{"more values than the rules say", list(11), Rules{Depth: 1, Values: 10}, false},
		{"as many keys as by default", wide(MaxKeys-1, `"x":0`), Rules{Depth: 1}, true},
		{"more keys than by default", wide(MaxKeys, `"x":0`), Rules{Depth: 1}, false},
		{"as many keys as the rules say", `{"a":1,"b":{"c":1}}`, Rules{Depth: 2, Keys: 3}, true},
		{"more keys than the rules say, in two objects that are open", `{"a":1,"b":{"c":1,"d":1}}`, Rules{Depth: 2, Keys: 3}, false},
		{"keys of objects that are closed", `[{"a":1,"b":2},{"a":1,"b":2},{"a":1,"b":2}]`, Rules{Depth: 2, Keys: 2}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.rules.Check([]byte(tc.text))
			if tc.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tc.ok && !errors.Is(err, ErrTooMany) {
				t.Errorf("got %v, want %v", err, ErrTooMany)
			}
		})
	}
}

func TestFreeMapsTellCasesApart(t *testing.T) {
	rules := Rules{Depth: 5, FreeMaps: []string{"Labels", "environment"}}
	many := wide(100, `"KEY3":0`)
	for _, tc := range []struct {
		name, text string
		ok         bool
	}{
		{"two cases of a key in a free map", `{"environment":{"http_proxy":"a","HTTP_PROXY":"b"}}`, true},
		{"two cases of a key beside it", `{"http_proxy":"a","HTTP_PROXY":"b"}`, false},
		{"two cases among many keys of a free map", `{"environment":` + many + `}`, true},
		{"two cases among many keys beside it", `{"other":` + many + `}`, false},
		{"two cases beyond ASCII in a free map", `{"Labels":{"ä":1,"Ä":1}}`, true},
		{"a key twice in a free map", `{"Labels":{"a":1,"b":1,"a":1}}`, false},
		{"a key and its escape in a free map", `{"Labels":{"a":1,"\u0061":1}}`, false},
		{"a key twice among many of a free map", `{"Labels":` + wide(100, `"key3":0`) + `}`, false},
		{"two cases in an object inside of a free map", `{"Labels":{"a":{"x":1,"X":1}}}`, false},
		{"two cases in an object in a list in its place", `{"Labels":[{"a":1,"A":1}]}`, false},
		{"two cases after a free map", `{"Labels":{"a":1,"A":1},"b":{"c":1,"C":1}}`, false},
		{"a free map deep in the document", `[[{"x":{"Labels":{"a":1,"A":1}}}]]`, true},
		{"a name in another case is not that name", `{"labels":{"a":1,"A":1}}`, false},
		{"a name with an escape is not that name", `{"\u004cabels":{"a":1,"A":1}}`, false},
		{"two cases of the free map itself", `{"Labels":{"a":1},"labels":{"A":1}}`, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := rules.Check([]byte(tc.text))
			if tc.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tc.ok && !errors.Is(err, ErrDuplicateKey) {
				t.Errorf("got %v, want %v", err, ErrDuplicateKey)
			}
		})
	}
}

func TestAnErrorAboutAKeyIsShort(t *testing.T) {
	long := strings.Repeat("k", 1<<20)
	err := CheckJSON([]byte(`{"`+long+`":1,"`+long+`":2}`), 1)
	if !errors.Is(err, ErrDuplicateKey) || len(err.Error()) > 200 {
		t.Errorf("an error of %d bytes: %.100v", len(err.Error()), err)
	}
	err = CheckJSON([]byte(`{"a":1,"a":2}`), 1)
	if err == nil || err.Error() != `duplicate key "a" at byte 7` {
		t.Errorf("got %v", err)
	}
}

func TestJSONUnmarshalsOnlyWhatItAccepts(t *testing.T) {
	type doc struct{ Name string }
	var d doc
	if err := JSON([]byte(`{"name":"a","more":1}`), 1, &d); err != nil || d.Name != "a" {
		t.Errorf("got %v, %v", d, err)
	}
	d = doc{Name: "as it was"}
	if err := JSON([]byte(`{"name":"a","Name":"b"}`), 1, &d); !errors.Is(err, ErrDuplicateKey) || d.Name != "as it was" {
		t.Errorf("got %v, %v", d, err)
	}
	if err := JSON([]byte(`{"name":1}`), 1, &d); err == nil {
		t.Error("a number is no name")
	}
	rules := Rules{Depth: 2, FreeMaps: []string{"Labels"}}
	var image struct{ Labels map[string]string }
	if err := rules.Unmarshal([]byte(`{"Labels":{"a":"1","A":"2"}}`), &image); err != nil || len(image.Labels) != 2 {
		t.Errorf("got %v, %v", image, err)
	}
}
