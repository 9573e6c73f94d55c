package waf

import (
	"fmt"
	"io/fs"
	"strings"
)

// excludable holds exclusions against the rules that there are: one of a rule
// that the set does not have, or that the profile's paranoia level leaves out,
// would take nothing back, and somebody would believe that it does.
func (p *Profile) excludable(files fs.FS) error {
	if len(p.Exclusions) == 0 {
		return nil
	}
	levels, err := levelsOf(files)
	if err != nil {
		return err
	}
	for i := range p.Exclusions {
		id := p.Exclusions[i].Rule
		switch level, there := levels[id]; {
		case !there:
			return fmt.Errorf("exclusion %d (rule %d): %s has no such rule; correct its number, or take the exclusion out", i+1, id, Version())
		case level > p.Paranoia:
			return fmt.Errorf("exclusion %d (rule %d): the rule is one of paranoia level %d, and only those up to %d are in force; take the exclusion out, or raise paranoia", i+1, id, level, p.Paranoia)
		}
	}
	return nil
}

// levelsOf returns the paranoia level of each rule about requests and answers; 0
// is of rules that are in force at any.
func levelsOf(files fs.FS) (map[int]int, error) {
	levels := map[int]int{}
	for _, pattern := range [...]string{"@owasp_crs/REQUEST-9*.conf", "@owasp_crs/RESPONSE-95*.conf"} {
		names, err := fs.Glob(files, pattern)
		if err != nil {
			return nil, fmt.Errorf("list the rules: %w", err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			if err != nil {
				return nil, fmt.Errorf("read the rules %s: %w", name, err)
			}
			eachRule(string(text), func(r rule) {
				// One about the level says which rules are skipped, and matches nothing.
				if r.id != 0 && !strings.HasPrefix(r.variables, "TX:DETECTION_PARANOIA_LEVEL") {
					levels[r.id] = r.paranoia
				}
			})
		}
	}
	return levels, nil
}
