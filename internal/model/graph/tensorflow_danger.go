package graph

import (
	"strings"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleTFFile = &scan.Rule{ID: "tensorflow.op.file", Severity: scan.Harmful,
		Why:        "The operator reads, writes or lists files of the machine that the model runs on; inference needs none.",
		Mend:       "Do not load the model; have it exported without its input pipeline.",
		References: []string{"CWE-73"}}
	ruleTFPython = &scan.Rule{ID: "tensorflow.op.python", Severity: scan.Harmful,
		Why: "The operator calls a Python function.", Mend: "Do not load the model; have the function exported as operators."}
	ruleTFDebug = &scan.Rule{ID: "tensorflow.op.debug", Severity: scan.Harmful,
		Why:  "The debugger's operator sends every tensor that passes to the file or host that the model names.",
		Mend: "Do not load the model; have it exported without debugging."}
	ruleTFPrint = &scan.Rule{ID: "tensorflow.op.print", Severity: scan.Harmful,
		Why:  "The operator appends text of the model's choice to a file of the model's choice.",
		Mend: "Do not load the model; PrintV2 is harmless only to the log and the standard streams."}
	ruleTFMemory = &scan.Rule{ID: "tensorflow.op.memory", Severity: scan.Harmful,
		Why:  "ImmutableConst maps the named file into memory and gives it to the graph as a tensor.",
		Mend: "Do not load the model: only regions of its own package (memmapped_package://) belong there."}
	ruleTFInput = &scan.Rule{ID: "tensorflow.op.input", Severity: scan.Doubtful,
		Why:  "The operator brings in files, data bases, network services or whole graphs while the model runs.",
		Mend: "Have the model exported for inference, without its input pipeline."}
	ruleTFWrite = &scan.Rule{ID: "tensorflow.path.write", Severity: scan.Harmful,
		Why:        "The graph writes a file at a place that is fixed in the model, outside of its folder.",
		Mend:       "Do not load the model: a saver takes its file's name from whoever runs it.",
		References: []string{"CWE-73"}}
	ruleTFRead = &scan.Rule{ID: "tensorflow.path.read", Severity: scan.Doubtful,
		Why:        "The graph reads a file at a place that is fixed in the model, outside of its folder.",
		Mend:       "Have the model exported for inference, without its input pipeline.",
		References: []string{"CWE-73"}}
	ruleTFHidden = &scan.Rule{ID: "tensorflow.path.hidden", Severity: scan.Doubtful,
		Why:  "The graph computes the name of a file from constants: nothing normal needs to hide a name.",
		Mend: "Ask the author what the file is, or have the model exported for inference."}
	ruleTFCustom = &scan.Rule{ID: "tensorflow.op.custom", Severity: scan.Doubtful,
		Why:  "TensorFlow has no such operator: the model runs only with a shared library that brings it, and libraries run what they like.",
		Mend: "Have the operator exported as TensorFlow's own ones, or review the library and make an exception."}
	ruleTFExtension = &scan.Rule{ID: "tensorflow.op.extension", Severity: scan.Note,
		Why: "The model needs a published extension of TensorFlow.", Mend: "Install the extension from its maker only."}
)

// dangerous judges an operator by its name alone; nil: the name alone says
// nothing against it.
func dangerous(op string) (rule *scan.Rule, what string) {
	base := withoutVersion(strings.TrimPrefix(op, "Experimental"))
	switch base {
	case "ReadFile":
		return ruleTFFile, "reads any file"
	case "WriteFile":
		return ruleTFFile, "writes any file"
	case "MatchingFiles", "MatchingFilesDataset":
		return ruleTFFile, "lists files"
	case "DatasetToTFRecord", "SaveDataset":
		return ruleTFFile, "writes a data set to any file"
	case "PyFunc", "PyFuncStateless", "EagerPyFunc", "_ScopedAllocatorPyFunc":
		return ruleTFPython, "calls Python"
	case "SqlDataset", "LMDBDataset":
		return ruleTFInput, "opens a data base"
	case "DataServiceDataset", "Rpc", "TryRpc", "BigQueryReader", "GenerateBigQueryReaderPartitions", "IgniteDataset", "KafkaDataset",
		"RegisterDataset":
		return ruleTFInput, "connects to a service"
	case "DatasetFromGraph", "RemoteFusedGraphExecute":
		return ruleTFInput, "runs a graph that is given as data"
	case "WholeFileReader", "TextLineReader", "FixedLengthRecordReader", "TFRecordReader", "LMDBReader":
		return ruleTFInput, "reads the files that a queue names"
	case "LoadDataset":
		return ruleTFInput, "reads a data set from any folder"
	case "FileSystemSetConfiguration":
		return ruleTFInput, "configures a file system"
	}
	return nil, ""
}

// pathUse says which inputs of an operator name files. Of a node with fewer
// inputs every one may.
type pathUse struct {
	inputs [2]int // -1: none
	writes bool
}

// pathOperator says where an operator takes a path from, where the path
// decides whether it is normal. Restore is not among them: graphs of TensorFlow
// 1 hold the absolute name of the checkpoint that training began with. Nor are
// tables that are initialised from text: the loader puts an asset in place of
// the name.
func pathOperator(op string) (use pathUse, ok bool) {
	switch withoutVersion(strings.TrimPrefix(op, "Experimental")) {
	case "Save", "SaveSlices":
		return pathUse{[2]int{0, -1}, true}, true
	case "DistributedSave", "SerializeTRTResource", "MergeV2Checkpoints", "CacheDataset", "SnapshotDataset", "CreateSummaryFileWriter", "CreateSummaryDbWriter":
		return pathUse{[2]int{1, -1}, true}, true
	case "TFRecordDataset", "TextLineDataset", "FixedLengthRecordDataset", "CSVDataset", "ListSnapshotChunksDataset",
		"SnapshotChunkDataset", "SnapshotDatasetReader", "SnapshotNestedDatasetReader":
		return pathUse{[2]int{0, -1}, false}, true
	case "InitializeTRTResource":
		return pathUse{[2]int{1, -1}, false}, true
	case "GenerateVocabRemapping":
		return pathUse{[2]int{0, 1}, false}, true
	}
	return pathUse{}, false
}

// paths picks the nodes that the paths come from out of a node's inputs.
func (use pathUse) paths(inputs []string) (from []string) {
	for _, input := range use.inputs {
		if input >= len(inputs) {
			return inputs
		}
		if input >= 0 {
			from = append(from, inputs[input])
		}
	}
	return from
}
