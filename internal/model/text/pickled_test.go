package text_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/text"
)

func TestPicklesInBase64AreHandedOn(t *testing.T) {
	rule := &scan.Rule{ID: "test.system", Severity: scan.Harmful}
	pickles := scan.Format{Name: "pickle", Rules: []*scan.Rule{rule}, Claim: func(*scan.File) bool { return true },
		Scan: func(p *scan.Place, f *scan.File) error {
			b, err := f.Read(0, f.Size())
			if p.Depth() == 0 || err != nil || !bytes.HasSuffix(b, []byte(".")) {
				return scan.ErrOther
			}
			if bytes.Contains(b, []byte("system")) {
				p.Report(rule, scan.At(0), "os.system")
			}
			return nil
		}}
	binary := base64.StdEncoding.EncodeToString([]byte("\x80\x04\x8c\x02os\x8c\x06system\x93)R."))
	old := base64.StdEncoding.EncodeToString([]byte("cos\nsystem\n(tR."))
	plain := base64.StdEncoding.EncodeToString([]byte("\x80\x04\x8c\x08mlp-mlp-\x8c\x02ab\x86."))
	for _, c := range []struct{ name, content, want string }{
		{"where Stable Baselines unpickles it", `{"policy": {":type:": "x", ":serialized:": "` + old + `"}}`, "malicious"},
		{"with a key in escapes", `{"policy": {"\u003aserialized:": "` + binary + `"}}`, "malicious"},
		{"with letters that base64 does not have", `{"policy": {":serialized:": "` + old[:5] + `\n!` + old[5:] + `"}}`, "malicious"},
		{"under any other key", `{"state": ["` + binary + `"]}`, "malicious"},
		{"that calls nothing", `{"policy": {":serialized:": "` + plain + `"}}`, "clean"},
		{"that only a text could be", `{"state": "` + old + `"}`, "clean"},
		{"in records of data", strings.Repeat(`{"text": "`+binary+`"}`+"\n", 3), "clean"},
		{"text that begins like one", `{"name": "gASVery long name of something"}`, "clean"},
	} {
		t.Run(c.name, func(t *testing.T) {
			formats := scan.NewFormats(scan.Limits{}, append(text.Formats(), pickles)...)
			if res := formats.Scan(t.Context(), scan.Bytes([]byte(c.content)), scan.Options{}); res.Verdict.String() != c.want {
				t.Errorf("got %s %+v, want %s", res.Verdict, res.Findings, c.want)
			}
		})
	}
}
