package document

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// read makes of a document what encoding/json does, with nothing but a walker.
func read(w *Walker) (any, error) {
	switch w.space() {
	case '{':
		out := map[string]any{}
		err := w.Object(func(key string) (err error) {
			out[key], err = read(w)
			return err
		})
		return out, err
	case '[':
		out := []any{}
		_, err := w.Array(func() error {
			v, err := read(w)
			out = append(out, v)
			return err
		})
		return out, err
	case '"':
		var s string
		err := w.Text(&s)
		return s, err
	}
	var v any
	err := w.Decode(&v)
	return v, err
}

// FuzzWalker holds the walker to encoding/json on documents that were checked,
// and to an end on all others.
func FuzzWalker(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,true,false,null,"x"],"b":{"c":{}},"d":[]}`, `{"a\"b\\":"\\\"","c":"\\\\"}`, ` [ { "a" : "\u00e4\n" } , [ ] ] `, `"a`, `{"a"`, `[1,,2]`, `{]`, ``, `nul`, `"\\`, `[}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := read(NewWalker(data))
		skip := NewWalker(data)
		skipped := skip.Skip()
		if Check(data) != nil {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q was accepted", data)
		}
		var want any
		if json.Unmarshal(data, &want) != nil {
			return // a number that Go has no type for
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %v, %v; want %v", data, err, got, want)
		}
		if skip.space(); skipped != nil || skip.i != len(data) {
			t.Fatalf("%q: stepped over %d of %d bytes, %v", data, skip.i, len(data), skipped)
		}
	})
}

func TestFieldsOfAnotherTypeLeaveATextAsItIs(t *testing.T) {
	for doc, want := range map[string]string{`"b"`: "b", `1`: "a", `null`: "a", `{}`: "a", `["b"]`: "a", `""`: ""} {
		v := "a"
		if err := NewWalker([]byte(doc)).Text(&v); err != nil || v != want {
			t.Errorf("%s: %q, %v", doc, v, err)
		}
	}
}

func TestAWalkerCountsWhatItPassesOver(t *testing.T) {
	for elements, want := range map[int]error{5: nil, 4: ErrTooMany} {
		w := NewWalker([]byte(`{"a":[[1,2],[3]],"b":null}`))
		w.elements = elements
		err := w.Object(func(string) error {
			_, err := w.Array(func() error {
				_, err := w.Array(w.Skip)
				return err
			})
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("five elements of %d: %v", elements, err)
		}
	}
}

func TestListsWithinAPackageAreShort(t *testing.T) {
	for n, ok := range map[int]bool{MaxInner: true, MaxInner + 1: false} {
		data, err := json.Marshal(make([]int, n))
		if err != nil {
			t.Fatal(err)
		}
		var l List[int]
		if err := json.Unmarshal(data, &l); (err == nil) != ok || !ok && !errors.Is(err, ErrTooMany) {
			t.Errorf("%d: %v", n, err)
		}
	}
}
