package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/bounded"
)

func TestTheScannerDecidesLikeBounded(t *testing.T) {
	many := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"key%d":0,`, i)
		}
		return "{" + b.String() + last + "}"
	}
	for _, c := range []struct {
		text string
		want error // nil: accepted; errAny: any error
	}{
		{`{"a":1,"b":[true,false,null,-0.5e+3,"x"]}`, nil}, {` "x" `, nil}, {`[]`, nil}, {`{}`, nil}, {`0`, nil},
		{`{"a":1,"a":2}`, bounded.ErrDuplicateKey}, {`{"a":1,"A":2}`, bounded.ErrDuplicateKey}, {`{"a":1,"\u0061":2}`, bounded.ErrDuplicateKey},
		{`{"ä":1,"Ä":2}`, bounded.ErrDuplicateKey}, {`{"k":1,"` + "\u212a" + `":2}`, bounded.ErrDuplicateKey}, {`{"a@":1,"a` + "`" + `":2}`, nil},
		{`{"a":{"b":1},"b":{"a":1}}`, nil}, {`[{"a":1},{"a":2}]`, nil},
		{many(100, `"x":1`), nil}, {many(100, `"KEY3":1`), bounded.ErrDuplicateKey}, {many(23, `"key1":1`), bounded.ErrDuplicateKey},
		{many(24, `"key24":1`), nil}, {many(24, `"Key0":1`), bounded.ErrDuplicateKey}, {many(25, `"key24":1`), bounded.ErrDuplicateKey},
		{strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), nil},
		{strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), bounded.ErrTooDeep},
		{`{"a":1`, errAny}, {`{"a" 1}`, errAny}, {`{a:1}`, errAny}, {`{"a":1,}`, errAny}, {`[1,]`, errAny}, {`[1 2]`, errAny}, {`01`, errAny},
		{`1.`, errAny}, {`-`, errAny}, {`1e`, errAny}, {`tru`, errAny}, {`"\x"`, errAny}, {`"\u12g4"`, errAny}, {"\"\n\"", errAny}, {``, errAny},
		{`{} {}`, errAny}, {"\"\xff\"", errAny}, {`{"a":1}}`, errAny},
	} {
		err := checkJSON([]byte(c.text))
		switch {
		case c.want == nil && err != nil:
			t.Errorf("%.60q: %v", c.text, err)
		case c.want == errAny && err == nil:
			t.Errorf("%.60q was accepted", c.text)
		case c.want != nil && c.want != errAny && !errors.Is(err, c.want):
			t.Errorf("%.60q: %v, want %v", c.text, err, c.want)
		}
	}
}

var errAny = errors.New("any error")

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,{"b":"\u00e4\n"}],"c":-1.5e3}`, `{"a":1,"A":2}`, `{"\u0061":1,"a":2}`, `[[[[]]]]`, `{"a":1,}`, `1 2`, "\"\xff\"", `{"k":1,"K":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		ours := checkJSON(raw)
		theirs := bounded.CheckJSON(raw, maxDepth)
		if ours == nil && (theirs != nil || !json.Valid(raw)) {
			t.Fatalf("accepted %q, bounded says %v", raw, theirs)
		}
		if ours != nil && theirs == nil && json.Valid(raw) && !strings.Contains(ours.Error(), "UTF-8") {
			t.Fatalf("rejected %q: %v", raw, ours)
		}
		if ours != nil {
			return
		}
		// The splitters read what encoding/json reads.
		var want map[string]json.RawMessage
		if json.Unmarshal(raw, &want) == nil && want != nil {
			got, err := openObject(raw)
			if err != nil || len(got) != len(want) {
				t.Fatalf("openObject(%q) = %v, %v", raw, got, err)
			}
			for k, v := range want {
				if string(got.get(k)) != string(v) {
					t.Fatalf("%q in %q: %q, want %q", k, raw, got.get(k), v)
				}
			}
		}
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) == nil && elements != nil {
			got, err := array(raw)
			if err != nil || len(got) != len(elements) {
				t.Fatalf("array(%q) = %q, %v", raw, got, err)
			}
			for i := range got {
				if string(got[i]) != string(elements[i]) {
					t.Fatalf("element %d of %q: %q", i, raw, got[i])
				}
			}
		}
		var text string
		if json.Unmarshal(raw, &text) == nil && len(raw) > 0 && raw[0] == '"' && raw[len(raw)-1] == '"' {
			var got string
			if err := decodeString(raw, &got); err != nil || got != text {
				t.Fatalf("decodeString(%q) = %q, %v", raw, got, err)
			}
		}
	})
}
