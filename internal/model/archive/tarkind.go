package archive

import (
	"path"
	"slices"
	"strings"
)

// A tarShape learns from the names of the members what wrote an archive.
type tarShape struct {
	dirs, files  int
	config       bool // NeMo's model_config.yaml
	checkpoint   bool
	legacy       int    // of torch's first format
	group        string // the sample of the last member
	ofGroup      int
	groups, more int // samples, and those of several members
}

// legacyTorch are the members that torch.save wrote before 2016.
var legacyTorch = [...]string{"sys_info", "pickle", "storages", "tensors"}

func (s *tarShape) add(name string) {
	s.files++
	base := path.Base(name)
	s.config = s.config || base == "model_config.yaml"
	s.checkpoint = s.checkpoint || strings.HasSuffix(base, ".ckpt")
	if slices.Contains(legacyTorch[:], name) {
		s.legacy++
	}
	// a sample of WebDataset is a run of members that differ in what follows
	// the first dot of their base name
	sample, ending, dotted := strings.Cut(base, ".")
	if !dotted || ending == "" {
		s.groups = -1 << 30
		return
	}
	sample = path.Join(path.Dir(name), sample)
	if sample != s.group {
		s.group, s.ofGroup = sample, 0
		s.groups++
	}
	if s.ofGroup++; s.ofGroup == 2 {
		s.more++
	}
}

// name is that of the format, "" for a plain archive.
func (s *tarShape) name() string {
	switch {
	case s.legacy == len(legacyTorch):
		return "torch-tar"
	case s.config && s.checkpoint:
		return "nemo"
	case s.groups > 0 && s.more*2 > s.groups:
		return "webdataset"
	}
	return ""
}
