package hdf5

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/model/scan"
)

// The files of testdata were written by the HDF5 library: what is read here
// must be what the library wrote, whatever our own writer thinks.
func TestFilesOfTheLibraryAreReadWhole(t *testing.T) {
	for _, tc := range []struct {
		file, verdict, rules string
		handed               []string // members, by name
		tensors              int
	}{
		{"keras-earliest.h5", "clean", "", []string{"@model_config", "@training_config"}, 4},
		{"keras-latest.h5", "clean", "", []string{"@model_config", "@training_config"}, 4},
		{"userblock.h5", "clean", "hdf5.userblock", []string{"@model_config", "@training_config"}, 4},
		{"sohm.h5", "clean", "", []string{"/a@same", "/b@same", "/c@same", "@model_config"}, 3},
		{"types.h5", "clean", "hdf5.filter.plugin", []string{"/op", "/s", "/sa[1]", "/vs[0]", "/vs[1]", "@bytes", "@pickle", "@typed"}, 13},
		{"virtual-self.h5", "clean", "", nil, 2},
		{"external-link.h5", "malicious", "hdf5.link.external hdf5.link.outside", nil, 0},
		{"external-data.h5", "malicious", "hdf5.data.external hdf5.data.outside", nil, 2},
		{"virtual.h5", "malicious", "hdf5.virtual.external hdf5.virtual.outside", nil, 2},
		{"user-link.h5", "suspicious", "hdf5.link.user", nil, 0},
		{"cache-image.h5", "suspicious", "hdf5.broken hdf5.cache", nil, 0},
	} {
		t.Run(tc.file, func(t *testing.T) {
			res, h := examineBytes(t, read(t, tc.file))
			if res.Verdict.String() != tc.verdict || said(res) != tc.rules {
				t.Errorf("got %s\nwant %s %s", describe(res), tc.verdict, tc.rules)
			}
			if got := slices.Sorted(maps.Keys(h)); !slices.Equal(got, tc.handed) {
				t.Errorf("handed on: %q", got)
			}
			if len(res.Tensors) != tc.tensors {
				t.Errorf("%d tensors: %v", len(res.Tensors), res.Tensors)
			}
		})
	}
}

func TestAttributesAndLinksInHeapsAreRead(t *testing.T) {
	res, h := examineBytes(t, read(t, "dense.h5"))
	for i := range 40 {
		if got, want := h[fmt.Sprintf("@a%d", i)], fmt.Sprintf(`{"text": %d}`, i); got != want {
			t.Errorf("attribute %d: %q", i, got)
		}
	}
	if len(h) != 40 {
		t.Errorf("%d attributes", len(h))
	}
	if got := describe(res); !strings.Contains(got, `/g000/x: "/x" in the file "/etc/passwd"`) ||
		!strings.Contains(got, `/zz-link: "/w" in the file "../other.h5"`) || len(res.Findings) != 2 {
		t.Errorf("got %s", got)
	}
}

func TestTensorsLieWhereTheLibraryPutThem(t *testing.T) {
	for _, file := range []string{"keras-earliest.h5", "keras-latest.h5", "userblock.h5"} {
		content := read(t, file)
		res, _ := examineBytes(t, content)
		for _, tensor := range res.Tensors {
			if tensor.DType != "F32" || tensor.Offset < 0 || tensor.Offset+tensor.Size > int64(len(content)) {
				t.Fatalf("%s: %+v", file, tensor)
			}
			if strings.HasSuffix(tensor.Name, "kernel:0") { // the numbers 0 to 5
				if got := content[tensor.Offset : tensor.Offset+8]; string(got) != "\x00\x00\x00\x00\x00\x00\x80\x3f" ||
					!slices.Equal(tensor.Shape, []int64{3, 2}) || tensor.Size != 24 {
					t.Errorf("%s: %+v begins with %x", file, tensor, got)
				}
			}
		}
	}
}

func TestWhatTheFileSaysOfItselfIsKept(t *testing.T) {
	res, _ := examineBytes(t, read(t, "keras-latest.h5"))
	want := []scan.Property{{Key: "backend", Value: "tensorflow"}, {Key: "framework", Value: "keras"}, {Key: "keras_version", Value: "2.15.0"}}
	if !slices.Equal(res.Properties, want) {
		t.Errorf("got %v", res.Properties)
	}
}

func TestTextInChunksIsRead(t *testing.T) {
	const pickle = "\x80\x04]\x94(K\x01K\x02e."
	res, h := examineBytes(t, read(t, "chunked-text.h5"))
	if res.Verdict != scan.Clean || said(res) != "hdf5.filter.plugin" {
		t.Errorf("%s", describe(res))
	}
	for member, want := range map[string]string{"/plain": strings.Repeat(pickle, 50), "/packed": strings.Repeat(pickle, 50),
		"/rows[0]": pickle, "/rows[1]": pickle, "/texts[0]": `{"n": 0}`, "/texts[9]": `{"n": 9}`} {
		if h[member] != want {
			t.Errorf("%s: %q", member, h[member])
		}
	}
	if len(h) != 14 {
		t.Errorf("handed on: %q", slices.Sorted(maps.Keys(h)))
	}
}
