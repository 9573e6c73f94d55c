package config

import "strings"

const (
	// maxDistance is how many edits a suggestion may be away: a slip of the
	// fingers, not another word.
	maxDistance = 3
	// maxSuggest bounds the words that are compared; no name of ours is longer.
	maxSuggest = 64
)

// closest returns the candidate that was most probably meant by word, or "".
// A difference in case alone counts as the smallest one. Of equally close
// candidates the first one wins.
func closest(word string, candidates []string) string {
	if word == "" || len(word) > maxSuggest {
		return ""
	}
	best, bestDistance := "", maxDistance+1
	lower := strings.ToLower(word)
	for _, c := range candidates {
		if len(c) > maxSuggest || c == word {
			continue
		}
		d := distance(lower, strings.ToLower(c))
		// Of a short word most letters have to stay, or anything is close to it.
		if d > 0 && 2*d >= max(len(word), len(c)) {
			continue
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the Levenshtein distance between a and b in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
