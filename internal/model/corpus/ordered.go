package corpus

import "iter"

// ordered walks names and values that are given in turn, as a map would be but
// always in the same order.
func ordered[V any](firstName string, firstValue V, rest ...any) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		if !yield(firstName, firstValue) {
			return
		}
		for i := 0; i < len(rest); i += 2 {
			if !yield(rest[i].(string), rest[i+1].(V)) {
				return
			}
		}
	}
}
