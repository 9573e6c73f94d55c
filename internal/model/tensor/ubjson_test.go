package tensor_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/tensor"
)

// ubText is a text with its length, as keys are; with an S before it, a value.
func ubText(s string) string {
	return "L" + string(binary.BigEndian.AppendUint64(nil, uint64(len(s)))) + s
}

func ubObject(keysAndValues ...string) string {
	s := "{"
	for i := 0; i < len(keysAndValues); i += 2 {
		s += ubText(keysAndValues[i]) + keysAndValues[i+1]
	}
	return s + "}"
}

func ubLong(n int64) string { return "L" + string(binary.BigEndian.AppendUint64(nil, uint64(n))) }

// ubBooster is a booster around a value.
func ubBooster(value string) []byte {
	return []byte(ubObject("learner", ubObject("name", "S"+ubText("binary:logistic"), "trees", value), "version", "[$l#i\x03\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03"))
}

func TestUBJSONThatXGBoostWritesIsClean(t *testing.T) {
	const clean = "clean ubjson-xgboost"
	check(t, []file{
		{"numbers of one type", ubBooster("[$d#" + ubLong(3) + strings.Repeat("\x00", 12)), clean},
		{"no numbers", ubBooster("[$l#" + ubLong(0)), clean},
		{"values of many types", ubBooster("[i\x01U\x02I\x00\x03l\x00\x00\x00\x04" + ubLong(5) + "CxZTFND\x00\x00\x00\x00\x00\x00\x00\x00H" + ubText("1e400") + "]"), clean},
		{"objects in an array", ubBooster("[" + strings.Repeat(ubObject("a", "[]"), 50) + "]"), clean},
		{"an object that counts", ubBooster("{#i\x02" + ubText("a") + "Z" + ubText("b") + "T"), clean},
		{"an object that counts, of one type", ubBooster("{$i#i\x02" + ubText("a") + "\x01" + ubText("b") + "\x02"), clean},
		{"an array that counts", ubBooster("[#i\x03ZTF"), clean},
		{"arrays of one type", ubBooster("[$[#i\x02][]"[:6] + "]]"), clean},
		{"true, counted", ubBooster("[$T#" + ubLong(1<<40)), clean},
		{"other objects", []byte(ubObject("a", "Z")), "clean ubjson"},
	})
}

func TestUBJSONThatLiesIsFound(t *testing.T) {
	const (
		bounds = "suspicious ubjson-xgboost: ubjson.bounds"
		early  = "suspicious ubjson: ubjson.bounds"
		broken = "unscannable ubjson: ubjson.broken"
	)
	late := func(value string) []byte { // behind the version
		b := ubBooster("Z")
		return append(b[:len(b)-1], ubText("x")+value+"}"...)
	}
	check(t, []file{
		{"more numbers than there are bytes", late("[$d#" + ubLong(1000)), bounds},
		{"a count that overflows", late("[$D#" + ubLong(1<<62)), bounds},
		{"a negative count", late("[$d#" + ubLong(-1)), bounds},
		{"a negative text", late("S" + ubLong(-5)), bounds},
		{"a text beyond the end", late("S" + ubLong(1<<40)), bounds},
		{"a key beyond the end", []byte("{" + ubText("a") + "Z" + ubLong(1<<40) + "}"), early},
		{"values beyond the end", late("[#" + ubLong(1<<20)), bounds},
		{"deeper than anybody nests", late(strings.Repeat("[", 100) + strings.Repeat("]", 100)), "suspicious ubjson-xgboost: ubjson.depth"},
		{"sixty levels", late(strings.Repeat("[", 60) + strings.Repeat("]", 60)), "clean ubjson-xgboost"},
		{"a pickle behind it", append(ubBooster("Z"), "\x80\x02cos\nsystem\n."...), "malicious ubjson-xgboost: test.pickle ubjson.trailing"},
		{"zeros behind it", append(ubBooster("Z"), 0, 0), "suspicious ubjson-xgboost: ubjson.trailing"},
		{"a type that no value has", []byte(ubObject("a", "Q")), "unknown "},
		{"one in the middle", []byte(ubObject("a", "Z", "b", "Q")), broken},
		{"a type without a number", []byte(ubObject("a", "[$d\x00")), broken},
		{"cut off", []byte(ubObject("a", "S"+ubText("text"))[:20]), broken},
		{"prose in braces", []byte("{image of a cat, " + strings.Repeat("and so on, ", 20) + "Then}"), "unknown "},
		{"JSON", []byte(`{"learner": {}, "version": []}`), "unknown "},
	})
}

func FuzzUBJSON(f *testing.F) {
	for _, seed := range []string{string(ubBooster("[$d#" + ubLong(3) + strings.Repeat("\x00", 12))), "{U\x01a{#i\x02i\x01aZi\x01bT", "{i\x01a[$[#i\x02]]}", "{i\x01a[$T#" + ubLong(1<<62)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		formats := scan.NewFormats(scan.Limits{}, tensor.UBJSON())
		first, second := formats.Scan(t.Context(), scan.Bytes(content), scan.Options{}), formats.Scan(t.Context(), scan.Bytes(content), scan.Options{})
		if said(first) != said(second) {
			t.Fatalf("%s, then %s", said(first), said(second))
		}
		for _, finding := range first.Findings {
			if finding.Rule == "scan.internal" || finding.Rule == "scan.budget" {
				t.Fatalf("%+v", finding)
			}
		}
	})
}
