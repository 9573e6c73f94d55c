package tensor

import (
	"errors"

	"github.com/apexlogic/apex/internal/model/scan"
)

var (
	ruleRPromise = &scan.Rule{ID: "rds.promise", Severity: scan.Harmful,
		Why:        "A promise that is not yet evaluated is code that R runs as soon as the value is looked at.",
		Mend:       "Do not load the file. Have the author save data only, and use R 4.4.0 or newer.",
		References: []string{"CVE-2024-27322"}}
	ruleRKept = &scan.Rule{ID: "rds.promise.evaluated", Severity: scan.Doubtful,
		Why:        "A promise carries code beside its value; R since 4.4.0 refuses some of them.",
		Mend:       "Have the author save data only.",
		References: []string{"CVE-2024-27322"}}
	ruleRHook = &scan.Rule{ID: "rds.hook", Severity: scan.Harmful,
		Why:  "R calls a function of this name by itself when a session or a package begins or ends.",
		Mend: "Do not load the file."}
	ruleRCode = &scan.Rule{ID: "rds.function", Severity: scan.Doubtful,
		Why:  "A function in the file runs when whoever loads it calls what looks like data, or a method of it.",
		Mend: "Have the author save data only, or review its functions and accept them by an exception."}
	ruleRCall = &scan.Rule{ID: "rds.call", Severity: scan.Doubtful,
		Why:  "The file holds a call of something that runs commands or fetches code; it runs when it is evaluated.",
		Mend: "Have the author save data only."}
	ruleRClass = &scan.Rule{ID: "rds.altrep", Severity: scan.Doubtful,
		Why:  "An object of this class is restored by code of its package, or from a file that it names.",
		Mend: "Have the author save plain vectors."}
	ruleRPersistent = &scan.Rule{ID: "rds.persistent", Severity: scan.Unreadable,
		Why:  "What a persistent name stands for is not in the file.",
		Mend: "Have the author save the objects themselves."}
	ruleRBroken = &scan.Rule{ID: "rds.broken", Severity: scan.Unreadable,
		Why:  "The file ends too early or is not made as R makes it: what follows was not read.",
		Mend: "Download the file again, or have the author save it again."}
	ruleRTrailing = &scan.Rule{ID: "rds.trailing", Severity: scan.Doubtful,
		Why:  "Bytes behind the last object belong to none: the file can be another one at the same time.",
		Mend: "Have the author save the file again."}
)

// R reads what saveRDS, save and serialize of R write, once it is unpacked.
func R() scan.Format {
	return scan.Format{Name: "rds", Claim: claimR, Scan: scanR, Rules: []*scan.Rule{ruleRPromise, ruleRKept, ruleRHook,
		ruleRCode, ruleRCall, ruleRClass, ruleRPersistent, ruleRBroken, ruleRTrailing}}
}

// rMarks are the first line of what save writes. Version 1, which R still
// reads, is older than 2001 and not followed by an encoding's mark.
var rMarks = [...]string{"RDX2\n", "RDX3\n", "RDA2\n", "RDA3\n", "RDB2\n", "RDB3\n", "RDX1\n", "RDA1\n", "RDB1\n"}

func workspace(f *scan.File) bool {
	for _, mark := range rMarks {
		if f.HasPrefix(mark) {
			return true
		}
	}
	return false
}

func claimR(f *scan.File) bool {
	return workspace(f) || f.HasPrefix("X\n\x00\x00\x00") || f.HasPrefix("A\n2\n") || f.HasPrefix("A\n3\n") ||
		f.HasPrefix("B\n\x02\x00\x00\x00") || f.HasPrefix("B\n\x03\x00\x00\x00")
}

func scanR(p *scan.Place, f *scan.File) error {
	c := newCursor(p, f)
	saved := workspace(f)
	if saved {
		c.pos = 5
	}
	s, typical, ok, err := openR(c)
	if err != nil && !errors.Is(err, errShort) {
		return err
	}
	r := &rReader{reporter: report(p), rSource: s}
	if !ok || err != nil {
		if !saved {
			return scan.ErrOther
		}
		r.say(ruleRBroken, scan.At(c.pos), "what R writes does not begin so")
		return nil
	}
	if saved {
		r.push(rTask{kind: taskItem, role: roleWorkspace})
	} else {
		r.push(rTask{kind: taskItem})
	}
	err = r.run()
	switch {
	case (errors.Is(err, errShort) || errors.Is(err, errTold)) && r.text && !typical && !saved && r.harmless():
		return scan.ErrOther // lines of numbers
	case errors.Is(err, errTold):
		return nil
	case errors.Is(err, errShort):
		r.say(ruleRBroken, scan.At(c.pos), "a length or a number is wrong, or the file ends too early")
		return nil
	case err != nil:
		return err
	}
	return r.end()
}

// harmless says that nothing was found but that the file is broken.
func (r *rReader) harmless() bool {
	return len(r.reported) == 0 || len(r.reported) == 1 && r.reported[ruleRBroken] > 0
}

// end reports what follows the object. Text ends with a line.
func (r *rReader) end() error {
	if r.text {
		for r.left() > 0 && r.left() <= 2 {
			if b, err := r.take(1); err != nil {
				return err
			} else if !isSpace(b[0]) {
				r.pos--
				break
			}
		}
	}
	if n := r.left(); n > 0 {
		r.say(ruleRTrailing, scan.At(r.pos), "%d bytes follow the last object", n)
		r.Inside("", r.pos, r.file.Section(r.pos, n))
	}
	return nil
}
