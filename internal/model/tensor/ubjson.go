package tensor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/apexlogic/apex/internal/model/scan"
)

const (
	// ubjsonDepth is how deep values are followed: boosters nest some ten
	// levels, and loaders recurse.
	ubjsonDepth = 64
	// ubjsonKey is the longest first key by which a file is told.
	ubjsonKey = 256
	// ubjsonDear is the longest file that is fetched from another machine: its
	// values have no table, so it is read from front to back.
	ubjsonDear = 12 << 20
	// costUBJSON is one value stepped over.
	costUBJSON scan.Cost = 60
)

var (
	ruleUBJSONBounds = &scan.Rule{ID: "ubjson.bounds", Severity: scan.Doubtful,
		Why:        "A length or a count is negative or reaches past the end of the file: loaders that trust it reserve that much, or read past their buffer.",
		Mend:       "Download the file again; if it is the same, do not load it.",
		References: []string{"CWE-125", "CWE-789"}}
	ruleUBJSONDepth = &scan.Rule{ID: "ubjson.depth", Severity: scan.Doubtful,
		Why:        "No model nests values this deep; loaders that recurse for each level overflow their stack.",
		Mend:       "Do not load the file.",
		References: []string{"CWE-674"}}
	ruleUBJSONBroken = &scan.Rule{ID: "ubjson.broken", Severity: scan.Unreadable,
		Why: "Behind what cannot be parsed may stand anything.", Mend: "Have the author save the model again."}
	ruleUBJSONTrailing = &scan.Rule{ID: "ubjson.trailing", Severity: scan.Doubtful,
		Why:  "Bytes behind the last value belong to none: the file can be another one at the same time.",
		Mend: "Have the author save the model again."}
)

// UBJSON is Universal Binary JSON (Draft 12), as XGBoost saves boosters: names
// and numbers, in which nothing runs (xgboost/src/common/json.cc, UBJReader).
func UBJSON() scan.Format {
	return scan.Format{Name: "ubjson", Claim: claimUBJSON, Scan: scanUBJSON,
		Rules: []*scan.Rule{ruleUBJSONBounds, ruleUBJSONDepth, ruleUBJSONBroken, ruleUBJSONTrailing}}
}

// claimUBJSON wants an object with a first key, and a value behind it.
func claimUBJSON(f *scan.File) bool {
	head, err := f.Head()
	if err != nil || len(head) < 4 || head[0] != '{' {
		return false
	}
	size := ubjsonSizes[head[1]]
	if !isUBJSONLength(head[1]) || len(head) < 2+size {
		return false
	}
	n := signed(head[2:2+size], head[1])
	if n < 1 || n > ubjsonKey || 2+size+int(n) >= len(head) {
		return false
	}
	key, next := head[2+size:2+size+int(n)], head[2+size+int(n)]
	return utf8.Valid(key) && isText(key) && (next == '{' || next == '[' || next == 'S' || next == 'H' || ubjsonSizes[next] > 0 || strings.IndexByte("ZTFN", next) >= 0)
}

// ubjsonSizes are the bytes of the values of fixed size.
var ubjsonSizes = [256]int{'i': 1, 'U': 1, 'C': 1, 'I': 2, 'l': 4, 'd': 4, 'L': 8, 'D': 8}

func isUBJSONLength(marker byte) bool { return strings.IndexByte("iUIlL", marker) >= 0 }

// signed reads a whole number of the marker's type.
func signed(b []byte, marker byte) int64 {
	switch marker {
	case 'i':
		return int64(int8(b[0]))
	case 'U':
		return int64(b[0])
	case 'I':
		return int64(int16(binary.BigEndian.Uint16(b)))
	case 'l':
		return int64(int32(binary.BigEndian.Uint32(b)))
	}
	return int64(binary.BigEndian.Uint64(b))
}

// ubjson is one scan.
type ubjson struct {
	*reporter
	*cursor
	keys map[string]bool // of the outermost object, as far as they are known ones
}

func scanUBJSON(p *scan.Place, f *scan.File) error {
	if f.IsDear() && f.Size() > ubjsonDear {
		return fmt.Errorf("%w: UBJSON of %d bytes is not fetched from another machine", scan.ErrBudget, f.Size())
	}
	u := &ubjson{reporter: report(p), cursor: newCursor(p, f), keys: map[string]bool{}}
	marker, err := u.marker()
	if err == nil {
		err = u.value(marker, 0)
	}
	if err != nil && u.mayBeText() {
		return scan.ErrOther
	}
	if u.keys["learner"] && u.keys["version"] {
		p.As("ubjson-xgboost")
		p.Property("framework", "xgboost")
	}
	switch {
	case errors.Is(err, errTold):
		return nil
	case errors.Is(err, errShort):
		u.say(ruleUBJSONBroken, scan.At(u.pos), "the file ends within a value")
		return nil
	case err != nil:
		return err
	}
	if u.left() > 0 {
		u.say(ruleUBJSONTrailing, scan.At(u.pos), "%d bytes follow the last value", u.left())
		u.Inside("", u.pos, f.Section(u.pos, u.left()))
	}
	return nil
}

// mayBeText says whether the file begins as a text could: with a brace, a
// letter and more letters.
func (u *ubjson) mayBeText() bool {
	head, err := u.file.Head()
	return err == nil && isText(head[:min(len(head), 64)])
}

func (u *ubjson) stop(rule *scan.Rule, detail string, args ...any) error {
	u.say(rule, scan.At(u.pos), detail, args...)
	return errTold
}

// marker reads the type of the next value.
func (u *ubjson) marker() (byte, error) {
	for {
		b, err := u.take(1)
		if err != nil {
			return 0, err
		}
		if b[0] != 'N' { // no-op
			return b[0], nil
		}
		if err := u.Spend(costUBJSON); err != nil {
			return 0, err
		}
	}
}

// length reads a whole number that counts what follows: bytes, or values of
// which each takes least bytes.
func (u *ubjson) length(least int64) (int64, error) {
	marker, err := u.marker()
	if err != nil {
		return 0, err
	}
	if !isUBJSONLength(marker) {
		return 0, u.stop(ruleUBJSONBroken, "a length is of the type %q", marker)
	}
	b, err := u.take(int64(ubjsonSizes[marker]))
	if err != nil {
		return 0, err
	}
	n := signed(b, marker)
	if n < 0 || least > 0 && n > u.left()/least {
		return 0, u.stop(ruleUBJSONBounds, "%d are to follow, of at least %d bytes each, in the %d bytes that do", n, least, u.left())
	}
	return n, nil
}

// value steps over one value whose type was read.
func (u *ubjson) value(marker byte, depth int) error {
	if err := u.Spend(costUBJSON); err != nil {
		return err
	}
	switch size := ubjsonSizes[marker]; {
	case size > 0:
		return u.skip(int64(size))
	case marker == 'Z' || marker == 'T' || marker == 'F':
		return nil
	case marker == 'S' || marker == 'H':
		n, err := u.length(1)
		if err != nil {
			return err
		}
		return u.skip(n)
	case marker != '[' && marker != '{':
		return u.stop(ruleUBJSONBroken, "no value is of the type %q", marker)
	case depth >= ubjsonDepth:
		return u.stop(ruleUBJSONDepth, "values are nested deeper than %d levels", ubjsonDepth)
	}
	return u.container(marker == '{', depth)
}

// container steps over an array or an object: up to its end, or as many values
// as it counts, of one type where it says so.
func (u *ubjson) container(object bool, depth int) error {
	var kind byte
	marker, err := u.marker()
	if err == nil && marker == '$' {
		if kind, err = u.marker(); err == nil {
			marker, err = u.marker()
		}
		if err == nil && marker != '#' {
			return u.stop(ruleUBJSONBroken, "a type for all values stands without their number")
		}
	}
	switch {
	case err != nil:
		return err
	case marker == '#':
		return u.counted(object, kind, depth)
	}
	end := byte(']')
	if object {
		end = '}'
	}
	for marker != end {
		if err := u.member(object, marker, 0, depth); err != nil {
			return err
		}
		if marker, err = u.marker(); err != nil {
			return err
		}
	}
	return nil
}

// counted steps over the values of a container that says how many it has, all
// of one type where kind is not 0.
func (u *ubjson) counted(object bool, kind byte, depth int) error {
	size := int64(ubjsonSizes[kind])
	least := max(size, 1)
	switch {
	case object:
		least += 2 // the length of a key, and a key
	case kind == 'Z' || kind == 'T' || kind == 'F':
		least = 0
	}
	count, err := u.length(least)
	if err != nil {
		return err
	}
	if !object && (size > 0 || least == 0) {
		return u.skip(count * size)
	}
	for range count {
		marker := kind
		if object || kind == 0 {
			if marker, err = u.marker(); err != nil {
				return err
			}
		}
		if err := u.member(object, marker, kind, depth); err != nil {
			return err
		}
	}
	return nil
}

// member steps over a value, and over the key before it in an object. marker
// was read last, kind is the type of all values or 0.
func (u *ubjson) member(object bool, marker, kind byte, depth int) error {
	if object {
		err := u.key(marker, depth)
		if marker = kind; err == nil && kind == 0 {
			marker, err = u.marker()
		}
		if err != nil {
			return err
		}
	}
	return u.value(marker, depth+1)
}

// key steps over the key of an object, the type of whose length was read.
func (u *ubjson) key(marker byte, depth int) error {
	if !isUBJSONLength(marker) {
		return u.stop(ruleUBJSONBroken, "the length of a key is of the type %q", marker)
	}
	b, err := u.take(int64(ubjsonSizes[marker]))
	if err != nil {
		return err
	}
	n := signed(b, marker)
	if n < 0 || n > u.left() {
		return u.stop(ruleUBJSONBounds, "a key is said to be %d bytes long, %d follow", n, u.left())
	}
	if depth > 0 || n > ubjsonKey {
		return u.skip(n)
	}
	key, err := u.take(n)
	if err == nil && (string(key) == "learner" || string(key) == "version") {
		u.keys[string(key)] = true
	}
	return err
}
