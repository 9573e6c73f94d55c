package archive

import (
	"bytes"

	"github.com/apexlogic/apex/internal/model/scan"
)

var ruleForeign = &scan.Rule{ID: "archive.foreign", Severity: scan.Unreadable,
	Why:  "No loader of models reads this kind of archive, and neither does this scanner: what is in it is not known.",
	Mend: "Unpack it and scan what it holds."}

// Foreign recognises archives and images of disks that no loader of models
// reads.
func Foreign() scan.Format {
	return scan.Format{Name: "foreign-archive", Rules: []*scan.Rule{ruleForeign},
		Claim: func(f *scan.File) bool { return foreign(f) != "" },
		Scan: func(p *scan.Place, f *scan.File) error {
			name := foreign(f)
			if name == "" {
				return scan.ErrOther
			}
			p.As(name)
			p.Report(ruleForeign, scan.At(0), "it is an archive of the kind "+name)
			return nil
		}}
}

func foreign(f *scan.File) string {
	head, err := f.Head()
	if err != nil {
		return ""
	}
	for _, kind := range [...]struct{ name, magic string }{
		{"rar", "Rar!\x1a\x07\x00"}, {"rar", "Rar!\x1a\x07\x01\x00"},
		{"cab", "MSCF\x00\x00\x00\x00"}, {"ar", "!<arch>\n"}, {"ar", "!<thin>\n"},
		{"squashfs", "hsqs"}, {"cpio", "070701"}, {"cpio", "070702"}, {"cpio", "070707"},
		{"xar", "xar!\x00\x1c"}, {"lzip", "LZIP\x01"}, {"lzop", "\x89LZO\x00\r\n\x1a\n"},
		{"wim", "MSWIM\x00\x00\x00"}, {"ole", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"},
	} {
		if bytes.HasPrefix(head, []byte(kind.magic)) {
			return kind.name
		}
	}
	// LHA: "-lh5-" or the like behind a two-byte size and checksum
	if len(head) > 21 && head[2] == '-' && head[3] == 'l' && (head[4] == 'h' || head[4] == 'z') && head[6] == '-' && head[0] >= 20 {
		return "lha"
	}
	const volume = 16 * 2048 // the first volume descriptor, ECMA-119 §6.2.1
	if f.Size() > volume+2048 && len(head) > 0 && head[0] == 0 && !f.IsDear() {
		if id, err := f.Read(volume+1, 5); err == nil && string(id) == "CD001" {
			return "iso"
		}
	}
	return ""
}
