package media

import (
	"encoding/json"
	"testing"
)

func TestAKindIsReadAsItIsWritten(t *testing.T) {
	for k := range Tensor + 1 {
		text, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		var back Kind
		if err := json.Unmarshal(text, &back); err != nil || back != k {
			t.Errorf("%s: %v %v", text, back, err)
		}
	}
	var k Kind
	if json.Unmarshal([]byte(`"smell"`), &k) == nil {
		t.Error("a kind that nobody knows")
	}
}
