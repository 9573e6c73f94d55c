package dir

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
)

const (
	clusterDir = "_cluster" // no namespace begins with '_'
	suffix     = ".yaml"
	// maxName bounds a file's name: file systems take 255 bytes.
	maxName = 255
	hexName = "0123456789ABCDEF"
)

// place is where an object's file is: two directories and a name.
type place struct{ namespace, kind, file string }

func (p place) String() string { return p.namespace + "/" + p.kind + "/" + p.file }

// placeOf returns the object's place. Every ID has one, and no two share one,
// not on file systems that fold case either as far as Kubernetes' names go.
func placeOf(id gitops.ID) (place, error) {
	if id.Kind == "" || id.Name == "" {
		return place{}, fmt.Errorf("%s: an object needs a kind and a name", id)
	}
	p := place{clusterDir, id.Kind, id.Name}
	if id.Namespace != "" {
		p.namespace = shorten(escape(id.Namespace), maxName)
	}
	if id.Group != "" {
		p.kind += "." + id.Group
	}
	p.kind = shorten(escape(p.kind), maxName)
	p.file = shorten(escape(id.Name), maxName-len(suffix)) + suffix
	return p, nil
}

// escape writes everything but letters, digits, '-', '.', '_' and ':' as %XX, and
// a leading '.' or '_' as well.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == ':' ||
			i > 0 && (c == '.' || c == '_')
		if plain {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexName[c>>4])
		b.WriteByte(hexName[c&15])
	}
	return b.String()
}

// shorten cuts what is too long for a file's name and tells it apart by a hash.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return s[:limit-33] + "~" + hex.EncodeToString(sum[:16])
}

// idAt is the reverse of placeOf. It fails for what placeOf does not make, and
// for names that were shortened: those say only in the file whose they are.
func idAt(p place) (id gitops.ID, ok bool) {
	name, isYAML := strings.CutSuffix(p.file, suffix)
	kind, okKind := unescape(p.kind)
	if id.Name, ok = unescape(name); !ok || !okKind || !isYAML {
		return id, false
	}
	id.Kind, id.Group, _ = strings.Cut(kind, ".")
	if p.namespace != clusterDir {
		if id.Namespace, ok = unescape(p.namespace); !ok {
			return id, false
		}
	}
	again, err := placeOf(id)
	return id, err == nil && again == p
}

func unescape(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := strings.IndexByte(hexName, s[i+1]), strings.IndexByte(hexName, s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), true
}
