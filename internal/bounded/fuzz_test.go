package bounded

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzCheckJSON holds CheckJSON to encoding/json's grammar and to checkTokens.
func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,{"b":"\u00e4\n"}],"c":-1.5e3}`, `{"a":1,"A":2}`, `{"\u0061":1,"a":2}`, `[[[[]]]]`, `{"a":1,}`, `1 2`, "\"\xff\"",
		"{\"k\":1,\"\u212a\":2}", `{"ſ":1,"S":2}`, `{"İ":1,"i":2}`, `{"\ud83d\ude00":1,"😀":2}`, `{"":1,"":2}`, `["12345678\"","1234567\\"]`,
		`[true,false,null,0,-0,1e5,"\/"]`, ` {"a" : { } } `, wide(manyKeys, `"KEY1":0`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const depth = 8
		ours, theirs := CheckJSON(data, depth), checkTokens(data, depth)
		if ours == nil && !json.Valid(data) {
			t.Fatalf("accepted %q, which is no JSON", data)
		}
		if (ours == nil) != (theirs == nil) {
			t.Fatalf("%q: %v; the tokens say %v", data, ours, theirs)
		}
	})
}

// keyPairs are pairs of keys that some readers take for one.
func keyPairs() [][2]string {
	return [][2]string{
		{"a", "A"}, {"s", "ſ"}, {"S", "ſ"}, {"k", "\u212a"}, {"K", "\u212a"}, {"i", "İ"}, {"i", "ı"}, {"I", "ı"}, {"ǆ", "ǅ"}, {"ß", "ẞ"}, {"ss", "ß"},
		{"σ", "ς"}, {"Σ", "ς"}, {"a_b-c", "A_B-C"}, {"é", "É"}, {"é", "e"}, {"𐐀", "𐐨"}, {"Å", "\u212b"}, {"µ", "μ"}, {"x", "y"}, {"a", "aa"}, {"ά", "ά"},
	}
}

// refuses says whether an object with both keys is refused.
func refuses(t *testing.T, rules Rules, open, a, b, end string) bool {
	t.Helper()
	ka, errA := json.Marshal(a)
	kb, errB := json.Marshal(b)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	err := rules.Check([]byte(open + `{` + string(ka) + `:1,` + string(kb) + `:2}` + end))
	if err != nil && !errors.Is(err, ErrDuplicateKey) {
		t.Fatalf("%q and %q: %v", a, b, err)
	}
	return err != nil
}

// What is asked here is encoding/json itself, with a struct that has a field of
// the one name and a document that has the other.
func TestKeysAreFoldedAsEncodingJSONDoes(t *testing.T) {
	for _, pair := range keyPairs() {
		a, b := pair[0], pair[1]
		typ := reflect.StructOf([]reflect.StructField{{Name: "F", Type: reflect.TypeFor[int](), Tag: reflect.StructTag(`json:"` + a + `"`)}})
		reaches := func(key string) bool {
			v := reflect.New(typ)
			if err := json.Unmarshal([]byte(`{"`+key+`":7}`), v.Interface()); err != nil {
				t.Fatal(err)
			}
			return v.Elem().Field(0).Int() == 7
		}
		if !reaches(a) {
			t.Fatalf("%q cannot be the name of a field", a)
		}
		if got := refuses(t, Rules{Depth: 1}, "", a, b, ""); got != reaches(b) {
			t.Errorf("%q and %q: refused %t, one field to encoding/json %t", a, b, got, reaches(b))
		}
		if strings.EqualFold(a, b) != reaches(b) {
			t.Errorf("%q and %q: strings.EqualFold, which other tests rely on, is not how encoding/json compares", a, b)
		}
	}
}

// FuzzKeys holds the comparison of keys to strings.EqualFold, and in free maps
// to equality, in small objects and in large ones.
func FuzzKeys(f *testing.F) {
	for _, pair := range keyPairs() {
		f.Add(pair[0], pair[1])
	}
	var filler strings.Builder
	for i := range manyKeys {
		filler.WriteString(`"` + strings.Repeat("~", i+64) + `":0,`)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) || strings.Contains(a+b, "~") {
			t.Skip()
		}
		rules := Rules{Depth: 2, FreeMaps: []string{"m"}}
		if got := refuses(t, rules, "", a, b, ""); got != strings.EqualFold(a, b) {
			t.Fatalf("%q and %q: refused %t", a, b, got)
		}
		if got := refuses(t, rules, `{"m":`, a, b, `}`); got != (a == b) {
			t.Fatalf("%q and %q in a free map: refused %t", a, b, got)
		}
		// The same with the table of an object that has many keys.
		ka, _ := json.Marshal(a)
		kb, _ := json.Marshal(b)
		object := `{` + filler.String() + string(ka) + `:1,` + string(kb) + `:2}`
		if err := rules.Check([]byte(object)); (err != nil) != strings.EqualFold(a, b) {
			t.Fatalf("%q and %q among many: %v", a, b, err)
		}
		if err := rules.Check([]byte(`{"m":` + object + `}`)); (err != nil) != (a == b) {
			t.Fatalf("%q and %q among many of a free map: %v", a, b, err)
		}
	})
}
