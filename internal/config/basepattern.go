package config

import (
	"errors"
	"fmt"
	"strings"
)

// maxTag is the longest tag (OCI distribution specification, section 3).
const maxTag = 128

// BasePattern is an entry of allowedBaseImages: a repository, exactly, and a
// pattern of tags. In the tag, a component x stands for one or more numeric
// components and * stands for anything; components are what '.', '-' and '_'
// separate. The pattern matches whole tags only. The zero value matches nothing.
type BasePattern struct {
	text       string
	repository string // canonical
	tag        string
}

// ParseBasePattern reads a pattern such as "gcr.io/tensorflow/tensorflow:2.x-gpu".
func ParseBasePattern(text string) (BasePattern, error) {
	if strings.Contains(text, "@") {
		return BasePattern{}, errors.New("a pattern takes a tag, not a digest; digests are kept in the BaseImageLock")
	}
	colon := strings.LastIndexByte(text, ':')
	if colon <= strings.LastIndexByte(text, '/') {
		return BasePattern{}, errors.New("the tag is missing; write repository:tag, for example " + text + ":1.x")
	}
	name, tag := text[:colon], text[colon+1:]
	repository, err := canonicalRepository(name)
	if err != nil {
		return BasePattern{}, err
	}
	if tag == "" || len(tag) > maxTag {
		return BasePattern{}, errors.New("the tag has to have 1 to 128 characters")
	}
	for _, c := range []byte(tag) {
		if !isWord(c) && !strings.ContainsRune("._-*", rune(c)) {
			return BasePattern{}, fmt.Errorf("the tag holds %q; letters, digits, '.', '_', '-' and '*' are allowed", c)
		}
	}
	if tag[0] == '.' || tag[0] == '-' {
		return BasePattern{}, errors.New("a tag begins with a letter, a digit or '_'")
	}
	return BasePattern{text: text, repository: repository, tag: tag}, nil
}

// String returns the pattern as it was written.
func (p BasePattern) String() string { return p.text }

// Repository returns the repository in its canonical spelling, with its host:
// "docker.io/library/python".
func (p BasePattern) Repository() string { return p.repository }

// Names reports whether repository, in any spelling, is the pattern's.
func (p BasePattern) Names(repository string) bool {
	if p.repository == "" {
		return false
	}
	canonical, err := canonicalRepository(repository)
	return err == nil && canonical == p.repository
}

// Match reports whether the image's repository, in any spelling, and tag match.
// An image without a tag matches nothing.
func (p BasePattern) Match(repository, tag string) bool {
	return tag != "" && len(tag) <= maxTag && p.Names(repository) && matchTag(p.tag, tag)
}

// Offer returns the pattern that would match tag: this one when it does, else
// this one with "*" at its end when that does, else one with x for the tag's
// numbers.
func (p BasePattern) Offer(tag string) string {
	name := p.text[:max(0, len(p.text)-len(p.tag))]
	if matchTag(p.tag, tag) {
		return p.text
	}
	for _, offer := range []string{p.tag + "*", generalise(tag), tag} {
		if len(offer) <= maxTag && matchTag(offer, tag) {
			return name + offer
		}
	}
	// An x of the tag that a pattern would take for a number.
	return name + strings.ReplaceAll(tag, "x", "*")
}

// anyTag reports whether the pattern lets every tag pass.
func (p BasePattern) anyTag() bool { return strings.Trim(p.tag, "*") == "" }

// matchTag matches a whole tag. It runs in the product of the two lengths,
// which are bounded: there is no pattern that makes it slow.
func matchTag(pattern, tag string) bool {
	// reachable[i]: what has been read of the pattern matches tag[:i].
	reachable := make([]bool, len(tag)+1)
	reachable[0] = true
	for i := 0; i < len(pattern); i++ {
		next := make([]bool, len(tag)+1)
		switch {
		case pattern[i] == '*':
			open := false
			for j := range reachable {
				open = open || reachable[j]
				next[j] = open
			}
		case pattern[i] == 'x' && component(pattern, i):
			for j, ok := range reachable {
				if ok {
					numeric(tag, j, next)
				}
			}
		default:
			for j, ok := range reachable {
				if ok && j < len(tag) && tag[j] == pattern[i] {
					next[j+1] = true
				}
			}
		}
		reachable = next
	}
	return reachable[len(tag)]
}

// component reports whether the character at i stands alone between separators.
func component(pattern string, i int) bool {
	return (i == 0 || separator(pattern[i-1])) && (i+1 == len(pattern) || separator(pattern[i+1]) || pattern[i+1] == '*')
}

func separator(c byte) bool { return c == '.' || c == '-' || c == '_' }

// numeric marks every end of one or more numeric components that begin at from:
// digits, and further digits after a dot.
func numeric(tag string, from int, ends []bool) {
	digits := false
	for j := from; j < len(tag); j++ {
		switch {
		case '0' <= tag[j] && tag[j] <= '9':
			digits = true
			// A component ends where its digits end.
			if j+1 == len(tag) || tag[j+1] < '0' || tag[j+1] > '9' {
				ends[j+1] = true
			}
		case tag[j] == '.' && digits:
			digits = false
		default:
			return
		}
	}
}

// generalise writes x for the numbers of a tag after the first one.
func generalise(tag string) string {
	major, rest, found := strings.Cut(tag, ".")
	if !found {
		return tag
	}
	end := 0
	for end < len(rest) && (rest[end] >= '0' && rest[end] <= '9' || rest[end] == '.') {
		end++
	}
	if end == 0 || end < len(rest) && !separator(rest[end]) {
		return tag
	}
	return major + ".x" + rest[end:]
}

// canonicalRepository writes a repository with its host, and Docker Hub's three
// names as one.
func canonicalRepository(name string) (string, error) {
	host, path, found := strings.Cut(name, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host, path = "docker.io", name
	}
	switch host = strings.TrimSuffix(host, ":443"); host { // the default port
	case "index.docker.io", "registry-1.docker.io":
		host = "docker.io"
	}
	if host == "docker.io" && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	for _, c := range []byte(host) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || strings.IndexByte(".-:[]", c) >= 0) {
			return "", fmt.Errorf("the host holds %q; hosts are exact and in lower case", c)
		}
	}
	for _, part := range strings.Split(path, "/") {
		if part == "" {
			return "", errors.New("the repository has an empty part")
		}
		for _, c := range []byte(part) {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || separator(c)) {
				return "", fmt.Errorf("the repository holds %q; repositories are exact and in lower case, and only the tag takes x and *", c)
			}
		}
	}
	return host + "/" + path, nil
}
