package tools

import (
	"errors"
	"slices"

	"github.com/apexlogic/apex/internal/scanhub/sarif"
)

// hadolint looks at Dockerfiles (github.com/hadolint/hadolint).
func hadolint() Tool {
	return Tool{
		Name: "hadolint", Programs: []string{"hadolint"}, Version: []string{"--version"}, Targets: Dir,
		Applies: func(t *Tree) bool {
			return t.hasLike("Dockerfile") || t.hasLike("Containerfile") || t.has(".Dockerfile")
		},
		Args: func(r Request) ([]string, error) {
			files := Walk(r.Target.Dir).dockerfiles()
			if len(files) == 0 {
				return nil, errors.New("no Dockerfile could be listed")
			}
			return append([]string{"--no-fail", "--no-color", "--disable-ignore-pragma", "--format", "sarif", "--config", r.Work + "/hadolint.yaml", "--"}, files...), nil
		},
		Files:   map[string]string{"hadolint.yaml": "{}\n"},
		Exit:    map[int]Exit{0: Done},
		Network: offline,
		Classes: map[string]sarif.Class{
			"DL3002": sarif.ExcessPrivilege, "DL3004": sarif.ExcessPrivilege, "DL3006": sarif.UnpinnedDependency, "DL3007": sarif.UnpinnedDependency,
			"DL3008": sarif.UnpinnedDependency, "DL3013": sarif.UnpinnedDependency, "DL3016": sarif.UnpinnedDependency,
			"DL3018": sarif.UnpinnedDependency, "DL3028": sarif.UnpinnedDependency,
		},
	}
}

// maxDockerfiles bounds the list of arguments.
const maxDockerfiles = 2000

func (t *Tree) dockerfiles() []string {
	list := slices.Sorted(slices.Values(t.docker))
	return list[:min(len(list), maxDockerfiles)]
}
