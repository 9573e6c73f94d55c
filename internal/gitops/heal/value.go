package heal

import (
	"encoding/binary"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// sum names a difference. It is keyed anew in each process, so that nobody can
// prepare one that looks like another.
type sum uint64

type hasher struct{ seed maphash.Seed }

func newHasher() hasher { return hasher{maphash.MakeSeed()} }

func (h hasher) bytes(data []byte) sum { return sum(maphash.Bytes(h.seed, data)) }

// finding returns the two names of a difference.
func (h hasher) finding(me self, f *finding) (id, general sum) {
	var exact, loose maphash.Hash
	exact.SetSeed(h.seed)
	loose.SetSeed(h.seed)
	for _, s := range f.way {
		word(&exact, me.steady(s.name))
		if s.wild {
			word(&loose, "*")
		} else {
			word(&loose, s.name)
		}
	}
	exact.WriteByte(byte(f.what))
	loose.WriteByte(byte(f.what))
	write(&exact, me, f.want)
	write(&exact, me, f.have)
	if id = sum(exact.Sum64()); f.what != Added || !fieldDefault(f) {
		return id, 0
	}
	write(&loose, me, f.have)
	return id, sum(loose.Sum64())
}

// fieldDefault says whether the addition is a field that a server may fill in
// the same way in every object: no element of a list, and no entry of a map
// whose keys people choose.
func fieldDefault(f *finding) bool {
	last := len(f.way) - 1
	if f.way[last].index >= 0 {
		return false
	}
	if last == 0 {
		return true
	}
	switch f.way[last-1].name {
	case "labels", "annotations", "data", "binaryData", "stringData", "matchLabels", "nodeSelector", "selector",
		"limits", "requests", "hard", "parameters", "finalizers", "ownerReferences":
		return false
	}
	return true
}

func word(h *maphash.Hash, s string) {
	var size [8]byte
	binary.LittleEndian.PutUint64(size[:], uint64(len(s)))
	h.Write(size[:])
	h.WriteString(s)
}

// write hashes a value so that no two different ones read alike.
func write(h *maphash.Hash, me self, v any) {
	switch v := v.(type) {
	case nil:
		h.WriteByte('n')
	case string:
		h.WriteByte('s')
		word(h, me.steady(v))
	case bool:
		h.WriteByte('b')
		h.WriteString(strconv.FormatBool(v))
	case map[string]any:
		h.WriteByte('{')
		for _, k := range slices.Sorted(maps.Keys(v)) {
			word(h, k)
			write(h, me, v[k])
		}
		h.WriteByte('}')
	case []any:
		h.WriteByte('[')
		for _, e := range v {
			write(h, me, e)
		}
		h.WriteByte(']')
	default:
		h.WriteByte('0')
		word(h, text(v))
	}
}

// self is what a server may write of an object into the object: another object
// of the same body would hold its own.
type self struct{ kind, uid, name string }

// steady takes that out of a value.
func (s self) steady(v string) string {
	const volume = "kube-api-access-" // with the token of its ServiceAccount
	switch {
	case v == s.uid && v != "":
		return "\x00uid"
	case v == s.name:
		return "\x00name"
	case s.kind == "Pod" && strings.HasPrefix(v, volume) && len(v) == len(volume)+5:
		return volume
	}
	return v
}

// text writes a scalar; 1 and 1.0 are the same number.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return ""
}

func isScalar(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

// same compares two values where the comparison stands: quantities by amount,
// ports and shares also across number and text.
func (c *comparison) same(want, have any) bool {
	if !isScalar(want) || !isScalar(have) {
		return equal(want, have)
	}
	if want == have {
		return true
	}
	_, textWanted := want.(string)
	_, textHad := have.(string)
	if textWanted == textHad && !textWanted {
		_, b1 := want.(bool)
		_, b2 := have.(bool)
		return b1 == b2 && want != nil && have != nil && text(want) == text(have)
	}
	if c.atQuantity() {
		return sameAmount(text(want), text(have))
	}
	if textWanted != textHad && want != nil && have != nil && intOrString(c.way[len(c.way)-1].name) {
		return text(want) == text(have)
	}
	return false
}

func equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equal)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, equal)
	case nil:
		return b == nil
	case string:
		b, ok := b.(string)
		return ok && a == b
	case bool:
		b, ok := b.(bool)
		return ok && a == b
	}
	switch b.(type) {
	case int64, int, float64:
		return text(a) == text(b)
	}
	return false
}

// atQuantity says whether the field is an amount of something (resource.Quantity).
func (c *comparison) atQuantity() bool {
	n := len(c.way)
	switch c.way[n-1].name {
	case "sizeLimit", "divisor", "averageValue", "storage", "podFixed":
		return true
	}
	if n < 2 {
		return false
	}
	switch c.way[n-2].name {
	case "limits", "requests", "capacity", "hard", "max", "min", "default", "defaultRequest", "maxLimitRequestRatio",
		"overhead", "minAllowed", "maxAllowed", "target":
		return true
	}
	return false
}

func sameAmount(a, b string) bool {
	const longest = 64 // no amount is longer; parsing is not free
	if len(a) > longest || len(b) > longest {
		return a == b
	}
	x, err := resource.ParseQuantity(a)
	if err != nil {
		return false
	}
	y, err := resource.ParseQuantity(b)
	return err == nil && x.Cmp(y) == 0
}

// intOrString says whether the field takes 80 and "80" (intstr.IntOrString).
func intOrString(name string) bool {
	switch name {
	case "port", "targetPort", "maxSurge", "maxUnavailable", "minAvailable":
		return true
	}
	return false
}

// isZero says whether the value says nothing that its absence would not, to most
// servers: they leave it out of what they store.
func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return text(v) == "0"
}
