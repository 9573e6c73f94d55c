package hdf5

import "github.com/apexlogic/apex/internal/model/scan"

const (
	mendInline = "Save the model anew with all of its data in one file."
	mendAuthor = "Do not load it; ask its author why it names files of the machine that loads it."
)

var (
	ruleLinkOutside = &scan.Rule{ID: "hdf5.link.outside", Severity: scan.Harmful,
		Why:        "An external link makes HDF5 open another file of the machine that loads this one, wherever it lies.",
		Mend:       mendAuthor,
		References: []string{"CVE-2026-1669", "CWE-73"}}
	ruleLinkExternal = &scan.Rule{ID: "hdf5.link.external", Severity: scan.Doubtful,
		Why:        "An external link makes HDF5 open another file, which nobody scanned with this one.",
		Mend:       mendInline,
		References: []string{"CVE-2026-1669", "CWE-73"}}
	ruleLinkUser = &scan.Rule{ID: "hdf5.link.user", Severity: scan.Doubtful,
		Why:  "A user-defined link is followed by code that the loading program registered for it.",
		Mend: mendInline}
	ruleDataOutside = &scan.Rule{ID: "hdf5.data.outside", Severity: scan.Harmful,
		Why:        "A dataset with an external file list reads any file of the machine that loads this one as if it were weights.",
		Mend:       mendAuthor,
		References: []string{"CVE-2026-1669", "CWE-73"}}
	ruleDataExternal = &scan.Rule{ID: "hdf5.data.external", Severity: scan.Doubtful,
		Why:        "A dataset with an external file list reads another file, which nobody scanned with this one.",
		Mend:       mendInline,
		References: []string{"CVE-2026-1669", "CWE-73"}}
	ruleVirtualOutside = &scan.Rule{ID: "hdf5.virtual.outside", Severity: scan.Harmful,
		Why:        "A virtual dataset reads from other files of the machine that loads this one, wherever they lie.",
		Mend:       mendAuthor,
		References: []string{"CWE-73"}}
	ruleVirtualExternal = &scan.Rule{ID: "hdf5.virtual.external", Severity: scan.Doubtful,
		Why:        "A virtual dataset reads from other files, which nobody scanned with this one.",
		Mend:       mendInline,
		References: []string{"CWE-73"}}
	ruleFilter = &scan.Rule{ID: "hdf5.filter", Severity: scan.Doubtful,
		Why:        "To undo a filter that is not built in, HDF5 loads a shared library that answers to its number.",
		Mend:       "Save the data with gzip or without a filter.",
		References: []string{"CWE-829"}}
	ruleFilterKnown = &scan.Rule{ID: "hdf5.filter.plugin", Severity: scan.Note,
		Why:  "A registered filter needs its plug-in to be installed where the file is read.",
		Mend: "Save the data with gzip or without a filter."}
	ruleCacheImage = &scan.Rule{ID: "hdf5.cache", Severity: scan.Doubtful,
		Why:  "A metadata cache image stands in for parts of the file, so that loaders see other objects than those that were scanned.",
		Mend: "Copy the file with h5repack, which writes no such image."}
	ruleBomb = &scan.Rule{ID: "hdf5.bomb", Severity: scan.Doubtful,
		Why:        "A dataset that claims far more than the file can hold exhausts the memory of whoever reads it.",
		Mend:       "Do not load it; ask its author what the dataset is for.",
		References: []string{"CWE-789"}}
	ruleBounds = &scan.Rule{ID: "hdf5.bounds", Severity: scan.Unreadable,
		Why:  "Data that lies outside of the file, or is shorter than its shape, is not what its author saved.",
		Mend: "Fetch the file again; it may be cut short."}
	ruleBroken = &scan.Rule{ID: "hdf5.broken", Severity: scan.Unreadable,
		Why:  "A part of the file that does not keep to the format may hide objects from one reader that another sees.",
		Mend: "Fetch the file again, or copy it with h5repack and scan the copy."}
	ruleLimit = &scan.Rule{ID: "hdf5.limit", Severity: scan.Unreadable,
		Why:  "A file with more objects or text than models have was not read to its end.",
		Mend: "Save only the model's weights and scan that file."}
	ruleRemote = &scan.Rule{ID: "hdf5.remote", Severity: scan.Unreadable,
		Why:  "The file's objects are spread over more of it than a scan reads over the network.",
		Mend: "Download the file and scan the copy."}
	ruleUserBlock = &scan.Rule{ID: "hdf5.userblock", Severity: scan.Note,
		Why:  "Bytes before the superblock belong to no HDF5 object; MATLAB keeps its header there.",
		Mend: "Look at what they are, unless the file comes from MATLAB."}
	ruleTrailing = &scan.Rule{ID: "hdf5.trailing", Severity: scan.Note,
		Why:  "Bytes behind the end that the superblock names belong to no HDF5 object.",
		Mend: "Copy the file with h5repack, which leaves them out."}
)

func rules() []*scan.Rule {
	return []*scan.Rule{ruleLinkOutside, ruleLinkExternal, ruleLinkUser, ruleDataOutside, ruleDataExternal,
		ruleVirtualOutside, ruleVirtualExternal, ruleFilter, ruleFilterKnown, ruleCacheImage, ruleBomb, ruleBounds,
		ruleBroken, ruleLimit, ruleRemote, ruleUserBlock, ruleTrailing}
}
