//lint:file-ignore SA1019 old fields are what repositories hold: they are read, and written as new ones

package render

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/api/types"

	"github.com/apexlogic/apex/verdict"
)

// features refuses what is not a matter of files in the repository alone.
func (c *kustomization) features() error {
	for _, f := range []struct {
		field string
		used  bool
		why   string
	}{
		{"helmCharts", len(c.HelmCharts) > 0, "runs helm: commit the output of helm template and list it under resources"},
		{"helmChartInflationGenerator", len(c.HelmChartInflationGenerator) > 0, "runs helm: commit the output of helm template and list it under resources"},
		{"helmGlobals", c.HelmGlobals != nil, "is for charts, which are not rendered here: commit the output of helm template"},
		{"generators", len(c.Generators) > 0, "may run programs: use configMapGenerator and secretGenerator, or commit what they generate"},
		{"transformers", len(c.Transformers) > 0, "may run programs: use patches, labels, replacements and the other fields, or commit the output of kustomize build"},
		{"validators", len(c.Validators) > 0, "may run programs: validate before the commit"},
		{"openapi", len(c.OpenAPI) > 0, "changes how every other kustomization is built: use JSON 6902 patches where lists of custom resources are merged"},
		{"buildMetadata", len(c.BuildMetadata) > 0, "writes how the objects were built into them: remove it"},
	} {
		if f.used {
			return refuse(verdict.RenderFeature, c.doc.Where("/"+f.field), "%s %s", f.field, f.why)
		}
	}
	return nil
}

// deprecated warns of old fields, which a later version of kustomize drops.
func (c *kustomization) deprecated(warn func(Warning)) {
	if warn == nil {
		return
	}
	for _, f := range []struct {
		field, use string
		used       bool
	}{
		{"bases", "resources", len(c.Bases) > 0},
		{"commonLabels", "labels with includeSelectors: true", len(c.CommonLabels) > 0},
		{"imageTags", "images", len(c.ImageTags) > 0},
		{"patchesStrategicMerge", "patches", len(c.PatchesStrategicMerge) > 0},
		{"patchesJson6902", "patches", len(c.PatchesJson6902) > 0},
		{"vars", "replacements", len(c.Vars) > 0},
	} {
		if f.used {
			warn(Warning{verdict.RenderDeprecated, c.doc.Where("/" + f.field), fmt.Sprintf("%s is deprecated by kustomize: use %s, as kustomize edit fix writes it", f.field, f.use)})
		}
	}
}

// patchesInOne writes old fields of patches as patches, where they mean the same:
// kustomize applies strategic merge patches just before the others, and JSON
// patches after names, namespaces, labels and annotations were set.
func (c *kustomization) patchesInOne() {
	var patches []types.Patch
	for _, p := range c.PatchesStrategicMerge {
		if isInline(p) {
			patches = append(patches, types.Patch{Patch: string(p)})
		} else {
			patches = append(patches, types.Patch{Path: string(p)})
		}
	}
	c.Patches = append(patches, c.Patches...)
	c.PatchesStrategicMerge = nil
	if c.Namespace+c.NamePrefix+c.NameSuffix == "" && len(c.Labels)+len(c.CommonLabels)+len(c.CommonAnnotations) == 0 {
		c.Patches = append(c.Patches, c.PatchesJson6902...)
		c.PatchesJson6902 = nil
	}
}

// isInline says whether an entry is a patch itself: no path has several lines.
func isInline(p types.PatchStrategicMerge) bool {
	return strings.Contains(strings.TrimSpace(string(p)), "\n")
}

// modernise writes old fields as kustomize itself does, which would otherwise
// complain about each on the process's standard error.
func (c *kustomization) modernise() {
	c.Resources = append(c.Resources, c.Bases...)
	c.Bases = nil
	c.Images = append(c.Images, c.ImageTags...)
	c.ImageTags = nil
	if len(c.CommonLabels) == 0 {
		return
	}
	for _, l := range c.Labels {
		for key := range l.Pairs {
			if _, both := c.CommonLabels[key]; both {
				return
			}
		}
	}
	c.Labels = append(c.Labels, types.Label{Pairs: c.CommonLabels, IncludeSelectors: true})
	c.CommonLabels = nil
}
