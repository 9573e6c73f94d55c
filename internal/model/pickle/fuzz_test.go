package pickle_test

import (
	"reflect"
	"testing"

	"github.com/apexlogic/apex/internal/model/pickle"
	"github.com/apexlogic/apex/internal/model/scan"
)

func FuzzScan(f *testing.F) {
	for _, samples := range techniques() {
		for _, s := range samples {
			if len(s.content) < 4096 {
				f.Add(s.content)
			}
		}
	}
	f.Add(proto(3).wrapper("f8", 0, true, 1).raw("\x01\xff12345678").stop())
	f.Add(legacy(proto(2).raw("}").text("a").tensor("FloatStorage", "1", 0).raw("s").stop(), []string{"1"}, storage(12, 4)))
	f.Add([]byte("ZF0x5                abc"))
	limits := scan.DefaultLimits
	limits.Work /= 40
	formats := scan.NewFormats(limits, pickle.Formats()...)
	f.Fuzz(func(t *testing.T, content []byte) {
		res := formats.Scan(t.Context(), scan.Bytes(content), scan.Options{Tensors: true})
		for _, finding := range res.Findings {
			if finding.Rule == "scan.internal" {
				t.Fatal(finding.Detail)
			}
		}
		again := formats.Scan(t.Context(), scan.Bytes(content), scan.Options{Tensors: true})
		if !reflect.DeepEqual(res, again) {
			t.Errorf("%v, then %v", res, again)
		}
	})
}
