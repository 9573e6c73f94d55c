package release

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gitops"
)

// NameIn is what a source is called in a stage: "source.stage", so that two
// stages of one target do not take each other's objects; a source without stages
// keeps its name.
func NameIn(source, stage string) (string, error) {
	if err := gitops.CheckSource(source); err != nil {
		return "", err
	}
	if stage == "" {
		return source, nil
	}
	name := source + "." + stage
	if err := gitops.CheckSource(name); err != nil {
		return "", fmt.Errorf("stage %.40q of source %s: %w", stage, source, err)
	}
	return name, nil
}

// recordName is where the store keeps the record: beside that of the apply room,
// under a name that no source has by accident.
func recordName(name string) string {
	sum := sha256.Sum256([]byte("release of " + name))
	return "release-" + hex.EncodeToString(sum[:20])
}

// Stages returns the stages of a source in the order that a commit goes through
// them, each with its path and target filled in. A source without stages has none.
// What no order can satisfy is an error.
func Stages(source string, spec *v1alpha1.GitSourceSpec) ([]v1alpha1.GitStage, error) {
	var out []v1alpha1.GitStage
	names := map[string]bool{}
	for _, s := range spec.Stages {
		if names[s.Name] {
			return nil, fmt.Errorf("spec.stages: %.40q is there twice", s.Name)
		}
		names[s.Name] = true
	}
	seen := map[string]bool{}
	for len(out) < len(spec.Stages) {
		before := len(out)
		for _, s := range spec.Stages {
			if seen[s.Name] || s.After != "" && !seen[s.After] {
				continue
			}
			if s.After == "" && len(out) > 0 {
				return nil, fmt.Errorf("spec.stages: %s and %s both have no after: one stage is the first", out[0].Name, s.Name)
			}
			if _, err := NameIn(source, s.Name); err != nil {
				return nil, fmt.Errorf("spec.stages: %w", err)
			}
			if s.After == "" && s.Gate != nil {
				return nil, fmt.Errorf("spec.stages: %s is the first stage and has a gate: nothing is promoted into it", s.Name)
			}
			seen[s.Name] = true
			if s.Path == "" {
				s.Path = spec.Path
			}
			if s.Target == nil {
				s.Target = &spec.Target
			}
			out = append(out, s)
		}
		if len(out) == before {
			i := slices.IndexFunc(spec.Stages, func(s v1alpha1.GitStage) bool { return !seen[s.Name] })
			return nil, fmt.Errorf("spec.stages: %s comes after %s, which never comes: name an earlier stage", spec.Stages[i].Name, spec.Stages[i].After)
		}
	}
	return out, nil
}
