package admission_test

import (
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/admission"
	"github.com/apexlogic/apex/verdict"
)

func TestWhatTheAPIServerManagesIsLeftOutAndNothingElse(t *testing.T) {
	bad := `{"containers":[{"name":"c","image":"bad` + pinned + `"}]}`
	for _, tt := range []struct {
		name, object string
		code         verdict.Code
	}{
		{"an image beside it", `{"metadata":{"managedFields":[{"a":"]}\""}],"labels":{}},"spec":` + bad + `}`, verdict.SignatureMissing},
		{"an image behind it", `{"spec":` + bad + `,"metadata":{"managedFields":[]}}`, verdict.SignatureMissing},
		{"its name elsewhere", `{"metadata":{},"spec":{"managedFields":[` + bad + `],"containers":[{"name":"c","image":"good` + pinned + `"}]}}`, verdict.SignatureMissing},
		{"twice", `{"metadata":{"managedFields":[],"managedFields":[]},"spec":` + bad + `}`, verdict.ManifestInvalid},
		{"two metadata", `{"metadata":{"managedFields":[]},"metadata":{},"spec":` + bad + `}`, verdict.ManifestInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := newDoor(t)
			object := `{"apiVersion":"v1","kind":"Pod",` + tt.object[1:]
			body := strings.Replace(string(review{object: "{}"}.body()), `"object":{}`, `"object":`+object, 1)
			recorder := d.send(admission.PathValidate, []byte(body))
			if text := recorder.Body.String(); recorder.Code == 200 && !strings.Contains(text, string(tt.code)) || strings.Contains(text, `"allowed":true`) {
				t.Errorf("%d %s", recorder.Code, text)
			} else if recorder.Code != 200 && tt.code != verdict.ManifestInvalid {
				t.Errorf("%d %s", recorder.Code, text)
			}
			mended := strings.ReplaceAll(body, "bad", "good")
			if tt.code == verdict.SignatureMissing {
				if text := d.send(admission.PathValidate, []byte(mended)).Body.String(); !strings.Contains(text, `"allowed":true`) {
					t.Errorf("the twin: %s", text)
				}
			}
		})
	}
}
