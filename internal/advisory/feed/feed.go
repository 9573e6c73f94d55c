// Package feed fetches advisories: OSV's archives of ecosystems, CISA's catalogue
// of exploited vulnerabilities (KEV), FIRST's predictions (EPSS).
//
// Start with [Defaults] for where they are published, and [Sync], which fetches
// what has changed and makes it the current snapshot of a directory. A feed may
// be a file as well, for machines without a network.
//
// A feed is foreign: its size is bounded, it is read only over TLS (or from this
// machine), and one that cannot be read to its end replaces nothing.
//
// Sources: https://google.github.io/osv.dev/data/, https://www.cisa.gov/kev,
// https://www.first.org/epss/.
package feed

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Kind is what a feed holds.
type Kind string

// The kinds.
const (
	OSV  Kind = "osv"
	KEV  Kind = "kev"
	EPSS Kind = "epss"
)

// Feed is one source of advisories.
type Feed struct {
	Name string // unique: "PyPI", "KEV"
	Kind Kind
	// URL is where it is fetched from; Path is a file that is read instead.
	URL, Path string
}

// Ecosystems are those that are synced by default: what model-serving images hold.
var Ecosystems = []string{"PyPI", "npm", "Go", "Debian", "Ubuntu", "Alpine"}

// Where the feeds are published.
const (
	osvBase = "https://osv-vulnerabilities.storage.googleapis.com/"
	kevURL  = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
	epssURL = "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz"
)

// Defaults are the feeds of the ecosystems, as OSV spells them, with KEV and EPSS.
func Defaults(ecosystems []string) []Feed {
	var out []Feed
	for _, e := range ecosystems {
		out = append(out, Feed{Name: e, Kind: OSV, URL: osvBase + url.PathEscape(e) + "/all.zip"})
	}
	return append(out, Feed{Name: "KEV", Kind: KEV, URL: kevURL}, Feed{Name: "EPSS", Kind: EPSS, URL: epssURL})
}

// Parse reads "NAME=URL-or-path", or a bare URL or path whose file's name tells
// what it is: a name that holds "kev" or "epss" is that, anything else is OSV's
// form, called by the file's name up to the first dot.
func Parse(text string) (Feed, error) {
	name, at, named := strings.Cut(text, "=")
	if !named || strings.ContainsAny(name, "/:.") {
		name, at = "", text
	}
	if at == "" {
		return Feed{}, fmt.Errorf("feed %q: a URL or a file is needed", text)
	}
	f := Feed{Name: name}
	if strings.Contains(at, "://") {
		u, err := url.Parse(at)
		if err != nil || u.Host == "" {
			return Feed{}, fmt.Errorf("feed %q is not a URL", text)
		}
		f.URL, at = at, u.Path
	} else {
		f.Path = at
	}
	base := at[strings.LastIndexByte(at, '/')+1:]
	switch lower := strings.ToLower(base); {
	case slices.Contains([]string{"KEV", "kev"}, name), name == "" && (strings.Contains(lower, "kev-epss") || strings.Contains(lower, "kev_epss")):
		f.Kind = KEV
		if name == "" {
			f.Kind = EPSS // a table of both is read for its scores
		}
	case strings.EqualFold(name, "EPSS"), name == "" && strings.Contains(lower, "epss"):
		f.Kind = EPSS
	case name == "" && (strings.Contains(lower, "kev") || strings.Contains(lower, "known_exploited")):
		f.Kind = KEV
	default:
		f.Kind = OSV
	}
	if f.Name == "" {
		switch f.Kind {
		case KEV, EPSS:
			f.Name = strings.ToUpper(string(f.Kind))
		default:
			f.Name, _, _ = strings.Cut(base, ".")
			if f.Name == "all" || f.Name == "" { // …/PyPI/all.zip
				parts := strings.Split(strings.Trim(at, "/"), "/")
				if len(parts) > 1 {
					f.Name = parts[len(parts)-2]
				}
			}
		}
	}
	return f, nil
}
