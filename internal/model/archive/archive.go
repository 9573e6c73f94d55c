// Package archive reads what models are packed in: zip and tar archives, 7z,
// single compressed streams; and it tells executables that pose as models.
// Start from [Formats], which lists every format of the package; each is also
// a function of its own ([Zip], [Tar], [SevenZip], [Executable], …).
//
// Two readers of one archive often see two archives: the one trusts the
// central directory, the other the local headers; the one takes the first
// member of a name, the other the last. Where they would differ, that is
// reported, and what either of them would see is handed to all formats
// ([scan.Place.Inside]). What no reader would see (gaps, prefixes, trailers)
// is looked at as well.
//
// Sources: PKWARE APPNOTE 6.3.10 (zip), POSIX.1-2017 pax and the GNU tar
// manual, RFC 1950, 1951, 1952 and 8878, the LZ4 frame format 1.6.4, the xz
// file format 1.2.1, 7zFormat.txt of the LZMA SDK.
package archive

import (
	"errors"

	"github.com/apexlogic/apex/internal/model/scan"
)

// Formats are the formats of the package, in the order in which reports name
// them.
func Formats() []scan.Format {
	formats := []scan.Format{Zip(), Tar(), SevenZip()}
	formats = append(formats, Streams()...)
	return append(formats, Foreign(), Executable())
}

// over says whether nothing more can be read after the error: the budget is
// spent, or the stream was a bomb, which has been reported.
func over(err error) bool { return errors.Is(err, scan.ErrBudget) || errors.Is(err, scan.ErrBomb) }

// ended turns the error of an unpacked stream into that of a scan.
func ended(p *scan.Place, err error) error {
	switch {
	case errors.Is(err, scan.ErrBomb):
		return nil // has been reported
	case errors.Is(err, scan.ErrBudget), p.Context().Err() != nil:
		return err
	}
	return nil
}

// mostReports is how often one rule is reported for one archive. A thousand
// members with the same fault are one fault.
const mostReports = 20

// limited is a place that does not repeat itself.
type limited struct {
	*scan.Place
	said map[*scan.Rule]int
}

func limit(p *scan.Place) *limited { return &limited{p, map[*scan.Rule]int{}} }

// Report is [scan.Place.Report], the first times.
func (l *limited) Report(rule *scan.Rule, where scan.Where, detail string, references ...string) {
	if l.said[rule]++; l.said[rule] <= mostReports {
		l.Place.Report(rule, where, detail, references...)
	}
}
