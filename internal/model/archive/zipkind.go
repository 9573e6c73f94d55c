package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/flate"

	"github.com/apexlogic/apex/internal/model/scan"
)

// maxManifest bounds a MAR's manifest.
const maxManifest = 1 << 20

// kind tells from the names of the members what wrote the archive, and judges
// the members that this writer would not have written.
func (z *zipFile) kind() error {
	if z.noCRC {
		z.p.Report(ruleZipNoCRC, scan.Nowhere, "every checksum is 0")
	}
	has := map[string]bool{}
	var pickles []string // folders with a data.pkl, in the archive's order
	arrays := len(z.main) > 0
	for i := range z.main {
		name := z.main[i].name
		if !strings.HasSuffix(name, ".npy") {
			arrays = false
		}
		folder, base := "", name
		if at := strings.IndexByte(name, '/'); at >= 0 {
			folder, base = name[:at+1], name[at+1:]
		}
		switch {
		case base == "data.pkl":
			pickles = append(pickles, folder)
			has[name] = true
		case base == "version", base == "constants.pkl", base == ".data/extern_modules", base == ".data/version", base == "archive_format",
			name == "MAR-INF/MANIFEST.json", name == "config.json", name == "metadata.json", name == "schema.json",
			name == "model.weights.h5":
			has[name] = true
		case strings.HasPrefix(base, "code/"):
			has[folder+"code/"] = true
		case base == ".data/": // a folder by itself says nothing
		}
	}
	for i := range z.main { // torch.package needs no data.pkl
		if name := z.main[i].name; strings.HasSuffix(name, "/.data/extern_modules") && strings.Count(name, "/") == 2 {
			z.p.As("torch-package")
			return z.torchPackage(strings.TrimSuffix(name, ".data/extern_modules"))
		}
	}
	for _, root := range pickles {
		if has[root+"constants.pkl"] && has[root+"code/"] {
			z.p.As("torchscript")
			z.torchOdd(root, true)
			return nil
		}
		if has[root+"version"] || has[root+".data/version"] {
			z.p.As("torch-zip")
			z.torchOdd(root, false)
			return nil
		}
	}
	switch {
	case has["MAR-INF/MANIFEST.json"]:
		z.p.As("mar")
		return z.mar()
	case has["config.json"] && has["metadata.json"] && has["model.weights.h5"]:
		z.p.As("keras")
		z.odd(func(string) bool { return false }, ".py")
	case has["schema.json"]:
		z.p.As("skops")
	case arrays:
		z.p.As("npz")
		z.odd(func(string) bool { return false })
	}
	return nil
}

// native are the endings by which loaders and systems take a file for a
// program or a library.
var native = [...]string{".pyc", ".pyo", ".so", ".dll", ".dylib", ".exe", ".pyd", ".bat", ".cmd", ".ps1", ".vbs", ".scr", ".lnk", ".jar"}

// torchOdd reports the members that torch.save does not write. TorchScript's
// own sources are no Python modules: the interpreter of TorchScript reads them.
func (z *zipFile) torchOdd(root string, script bool) {
	z.odd(func(name string) bool { return script && strings.HasPrefix(name, root+"code/") }, ".py", ".sh")
}

// odd reports members that are named like programs, unless they are allowed.
func (z *zipFile) odd(allowed func(name string) bool, endings ...string) {
	for i := range z.main {
		name := z.main[i].name
		if (hasSuffix(name, native[:]...) || hasSuffix(name, endings...)) && !(allowed(name) && hasSuffix(name, endings...)) {
			z.p.Report(ruleTorchOdd, scan.Where{Member: name, Offset: -1}, fmt.Sprintf("%q is no part of a model", cut(name)))
		}
	}
}

// torchPackage reports a package's modules.
func (z *zipFile) torchPackage(root string) error {
	sources, first := 0, ""
	for i := range z.main {
		name := z.main[i].name
		if strings.HasPrefix(name, root) && strings.HasSuffix(name, ".py") && z.main[i].size > 0 {
			if sources++; first == "" {
				first = name
			}
		}
	}
	if sources > 0 {
		z.p.Report(ruleTorchSource, scan.Where{Member: first, Offset: -1}, fmt.Sprintf("%d modules, the first is %q", sources, cut(first)))
	}
	z.odd(func(string) bool { return false })
	return nil
}

// builtinHandlers are TorchServe's own.
var builtinHandlers = [...]string{"image_classifier", "image_segmenter", "object_detector", "text_classifier"}

// mar judges the archive of a model for TorchServe by its manifest.
func (z *zipFile) mar() error {
	sources, first := 0, ""
	for i := range z.main {
		e := &z.main[i]
		if hasSuffix(e.name, ".py") && e.size > 0 {
			if sources++; first == "" {
				first = e.name
			}
		}
		if e.name != "MAR-INF/MANIFEST.json" {
			continue
		}
		where := scan.Where{Member: e.name, Offset: -1}
		b, err := z.content(e, maxManifest)
		if err != nil {
			z.p.Report(ruleManifest, where, err.Error())
			continue
		}
		var manifest struct {
			Model struct {
				Handler          string `json:"handler"`
				RequirementsFile string `json:"requirementsFile"`
				Name             string `json:"modelName"`
			} `json:"model"`
		}
		if err := json.Unmarshal(b, &manifest); err != nil {
			z.p.Report(ruleManifest, where, fmt.Sprintf("it is not the JSON of a manifest: %v", err))
			continue
		}
		if handler := manifest.Model.Handler; handler != "" && !contains(builtinHandlers[:], handler) {
			z.p.Report(ruleHandler, where, fmt.Sprintf("the handler is %q", cut(handler)))
		}
		if file := manifest.Model.RequirementsFile; file != "" {
			z.p.Report(ruleRequirements, where, fmt.Sprintf("it asks for the packages of %q", cut(file)))
		}
		if bytes.Count(b, []byte(`"handler"`)) > 1 {
			z.p.Report(ruleHandler, where, "it names more than one handler")
		}
	}
	if sources > 0 {
		z.p.Report(ruleHandler, scan.Where{Member: first, Offset: -1}, fmt.Sprintf("%d Python sources, the first is %q", sources, cut(first)))
	}
	z.odd(func(string) bool { return false })
	return nil
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

// content returns a member's bytes, as long as they are no more than most.
func (z *zipFile) content(e *entry, most int64) ([]byte, error) {
	l, ok := readLocal(z.f, e.local)
	if !ok || e.packed > most || e.size > most {
		return nil, fmt.Errorf("it is not there, or longer than %d bytes", most)
	}
	packed := z.f.Section(l.data, e.packed)
	if err := z.p.Spend(scan.Cost(e.size) * scan.CostInflate); err != nil {
		return nil, err
	}
	switch e.method {
	case methodStored:
		return packed.Read(0, packed.Size())
	case methodDeflate:
		b, err := io.ReadAll(io.LimitReader(flate.NewReader(buffered(packed)), most+1))
		if err == nil && int64(len(b)) > most {
			err = fmt.Errorf("it is longer than %d bytes", most)
		}
		return b, err
	}
	return nil, fmt.Errorf("the method %d is %w", e.method, errUnsupported)
}
