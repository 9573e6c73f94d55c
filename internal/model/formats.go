package model

import (
	"slices"

	"github.com/apexlogic/apex/internal/model/archive"
	"github.com/apexlogic/apex/internal/model/graph"
	"github.com/apexlogic/apex/internal/model/hdf5"
	"github.com/apexlogic/apex/internal/model/keras"
	"github.com/apexlogic/apex/internal/model/pickle"
	"github.com/apexlogic/apex/internal/model/scan"
	"github.com/apexlogic/apex/internal/model/tensor"
	"github.com/apexlogic/apex/internal/model/text"
)

// Formats returns every format that files are examined for, in the order in
// which reports name them. Adding a format is one file in the package of its
// family and one line in that package's table.
func Formats(limits scan.Limits) *scan.Formats {
	return scan.NewFormats(limits, slices.Concat(
		pickle.Formats(),
		archive.Formats(),
		tensor.Formats(),
		hdf5.Formats(),
		keras.Formats(),
		graph.Formats(),
		text.Formats(),
	)...)
}

// ListVersion is the version of the lists of names that scans judge by.
func ListVersion() string { return pickle.ListVersion() }

// remoteCode are the rules about files that ask their loader to run code which
// comes with the model or from elsewhere.
var remoteCode = []string{"config.remote-code", "config.remote-repository"}

func isRemoteCode(rule string) bool { return slices.Contains(remoteCode, rule) }
