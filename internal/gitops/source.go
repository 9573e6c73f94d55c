package gitops

import "fmt"

// MaxSource bounds a source's name: it is a label's value.
const MaxSource = 63

// CheckSource reports an error unless name can name a source: 1 to 63 lower-case
// letters, digits, '-' and '.', with a letter or digit at both ends. So it can
// also name a file, a ConfigMap and a label's value.
func CheckSource(name string) error {
	ok := len(name) > 0 && len(name) <= MaxSource
	for i := range len(name) {
		c := name[i]
		inner := i > 0 && i < len(name)-1 && (c == '-' || c == '.' && name[i-1] != '.')
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || inner)
	}
	if !ok {
		return fmt.Errorf("%.80q cannot name a source: use 1 to %d lower-case letters, digits, '-' and '.'", name, MaxSource)
	}
	return nil
}
