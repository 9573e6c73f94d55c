package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/verdict"
)

// eachBasePattern calls f for every entry of allowedBaseImages.
func eachBasePattern(s *Set, f func(p Object[v1alpha1.ImageSecurityPolicy], text, path string)) {
	eachRule(s, func(p Object[v1alpha1.ImageSecurityPolicy], rule *v1alpha1.ImageRule, parameters string) {
		for i, text := range rule.Parameters.AllowedBaseImages {
			f(p, text, element(parameters+".allowedBaseImages", i))
		}
	})
}

// basePatterns refuses patterns that cannot be read.
func basePatterns(s *Set, _ time.Time, report func(Problem)) {
	eachBasePattern(s, func(p Object[v1alpha1.ImageSecurityPolicy], text, path string) {
		if _, err := ParseBasePattern(text); err != nil {
			suggestion := ""
			if lower := strings.ToLower(text); lower != text {
				if _, err := ParseBasePattern(lower); err == nil {
					suggestion = lower
				}
			}
			report(p.doc.problem(Error, verdict.PolicyInvalid, path, quote(text)+" is not a base image pattern: "+err.Error(), suggestion))
		}
	})
}

// wideBasePatterns warns about patterns that approve every tag.
func wideBasePatterns(s *Set, _ time.Time, report func(Problem)) {
	eachBasePattern(s, func(p Object[v1alpha1.ImageSecurityPolicy], text, path string) {
		if pattern, err := ParseBasePattern(text); err == nil && pattern.anyTag() {
			report(p.doc.problem(Warning, verdict.BasePattern, path, quote(text)+" approves every tag of the repository, old and future ones", ""))
		}
	})
}

// lockedBases warns about patterns that no locked base image matches: nothing
// can be proved to be built on them. It offers a pattern that would match.
func lockedBases(s *Set, _ time.Time, report func(Problem)) {
	locked := map[string][]string{} // tags by canonical repository
	for _, lock := range s.BaseImageLocks {
		for _, image := range lock.Value.Spec.Images {
			colon := strings.LastIndexByte(image.Image, ':')
			if colon <= strings.LastIndexByte(image.Image, '/') {
				continue
			}
			if repository, err := canonicalRepository(image.Image[:colon]); err == nil {
				locked[repository] = append(locked[repository], image.Image[colon+1:])
			}
		}
	}
	eachBasePattern(s, func(p Object[v1alpha1.ImageSecurityPolicy], text, path string) {
		pattern, err := ParseBasePattern(text)
		if err != nil {
			return
		}
		tags := locked[pattern.Repository()]
		for _, tag := range tags {
			if matchTag(pattern.tag, tag) {
				return
			}
		}
		suggestion, found := "", ""
		if len(tags) > 0 {
			suggestion, found = pattern.Offer(tags[0]), "; locked of this repository is "+quote(tags[0])
		}
		report(p.doc.problem(Warning, verdict.BaseNotLocked, path,
			fmt.Sprintf("no locked base image matches %s, so no image can be proved to be built on it%s; run apex base update and commit the lock file", quote(text), found), suggestion))
	})
}
