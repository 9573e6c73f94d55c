package dir

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/apexlogic/apex/internal/gitops"
)

// FuzzFile holds that what is written is read as it was, and that anybody's file
// is read within its bounds.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{
		`{"a":"b","n":1,"f":1.5,"t":true,"z":null,"l":[1,"2",[]],"m":{}}`,
		`{"text":"line\nline \"quoted\" é: - #\n","date":"2020-01-01","no":"no","oct":"0o7","tilde":"~","empty":"","sp":" x ","cr":"a\rb","nel":"\u0085","sep":"\u2028","tab":"\t"}`,
		`{"<<":{"a":1},"=":"=","!tag":"!x","&a":"*a","bin":"0b1","inf":".inf","big":9223372036854775807,"under":"1_000","e":1e300}`,
		"a: &a [x]\nb: *a\n", "a: .nan\nb: 0x1F\nc: 1_000\n", "---\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		if body, err := decodeFile(data); err == nil {
			if _, err := json.Marshal(body); err != nil {
				t.Fatalf("what was read cannot be JSON: %v", err)
			}
		}
		_ = sourceIn(data)
		var body map[string]any
		if utiljson.Unmarshal(data, &body) != nil || body == nil {
			return
		}
		file, err := encodeFile(body)
		if err != nil {
			return
		}
		again, err := decodeFile(file)
		if err != nil {
			t.Fatalf("%v\n%s", err, file)
		}
		// A float without a fraction is an integer in YAML, as it is in JSON.
		a, _ := json.Marshal(body)
		b, _ := json.Marshal(again)
		if string(a) != string(b) {
			t.Fatalf("wrote %s\nread  %s\n%s", a, b, file)
		}
	})
}

func TestAFilesFirstLineIsOnlyBelievedWhenTheRestIsWhatItSays(t *testing.T) {
	body := map[string]any{"kind": "X", "metadata": map[string]any{"name": "x", "labels": map[string]any{gitops.LabelSource: "vision"}}}
	file, err := encodeFile(body)
	if err != nil {
		t.Fatal(err)
	}
	if s := sourceIn(file); s != "vision" {
		t.Errorf("its source is %q", s)
	}
	for name, tampered := range map[string]string{
		"its label is another": strings.ReplaceAll(string(file), "source: vision", "source: claims"),
		"its line is gone":     string(file[strings.Index(string(file), "\n")+1:]),
	} {
		want := "vision"
		if name == "its label is another" {
			want = "claims"
		}
		if s := sourceIn([]byte(tampered)); s != want {
			t.Errorf("%s: its source is %q", name, s)
		}
	}
}

func TestAPlaceSaysWhoseItIs(t *testing.T) {
	for _, p := range []place{{"vision", "ConfigMap", "a.yml"}, {"vision", "ConfigMap", "a b.yaml"}, {"vision", "ConfigMap", "%61.yaml"}, {"vision", "ConfigMap", "%.yaml"}, {"vision", "", "a.yaml"}, {"_x", "ConfigMap", "a.yaml"}, {"vision", "ConfigMap", ".yaml"}} {
		if id, ok := idAt(p); ok {
			t.Errorf("%s is %s", p, id)
		}
	}
	want := gitops.ID{Group: "apps", Kind: "Deployment", Namespace: "vision", Name: "a"}
	if id, ok := idAt(place{"vision", "Deployment.apps", "a.yaml"}); !ok || !reflect.DeepEqual(id, want) {
		t.Errorf("got %s", id)
	}
}
