package manifest

import (
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/oci/reference"
	"github.com/apexlogic/apex/verdict"
)

// deployers are the kinds by which another controller fetches manifests, charts
// or packages and applies them. Each is a reference that nobody can verify
// here: what it will apply is not in the revision.
func isDeployer(group, kind string) bool {
	switch group {
	case "argoproj.io":
		return kind == "Application" || kind == "ApplicationSet"
	case "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io", "helm.fluxcd.io", "helm.cattle.io", "fleet.cattle.io", "catalog.cattle.io",
		"kappctrl.k14s.io", "packaging.carvel.dev", "addons.cluster.x-k8s.io", "helm.crossplane.io", "helm.m.crossplane.io", "infra.contrib.fluxcd.io", "kubeapps.com",
		"flux.weave.works", "fluxcd.controlplane.io", "app.terraform.io", "tf.upbound.io", "tf.m.upbound.io", "pulumi.com", "auto.pulumi.com":
		return true
	case "source.toolkit.fluxcd.io":
		return kind != "OCIRepository"
	case "operators.coreos.com":
		return kind == "Subscription"
	case "apps.open-cluster-management.io":
		return kind == "Subscription" || kind == "Channel"
	case "config.projectsveltos.io":
		return kind == "ClusterProfile" || kind == "Profile"
	case "app.k8s.io", "core.oam.dev":
		return false
	}
	return false
}

const whyElsewhere = "another controller would fetch from there what it applies, and nobody has verified that: commit the rendered manifests, or name a signed OCI artifact by its digest"

// elsewhere reports an object that makes another controller fetch manifests.
func (x *extractor) elsewhere(n *node, group, kind string, s scope) error {
	switch {
	case group == "source.toolkit.fluxcd.io" && kind == "OCIRepository":
		return x.ociRepository(n, s)
	case !isDeployer(group, kind):
		return nil
	}
	x.pushField("spec")
	defer x.pop()
	at := n.get("spec")
	if at == nil {
		at = n
	}
	return x.unresolved(at, addressIn(at), verdict.ReferenceRemote, whyElsewhere, s)
}

// ociRepository reads Flux's artifact: by its digest it can be judged like an image.
func (x *extractor) ociRepository(n *node, s scope) error {
	spec := n.get("spec")
	address, digest := spec.str("url"), spec.get("ref").str("digest")
	x.pushField("spec")
	defer x.pop()
	at := spec
	if at == nil {
		at = n
	}
	name, ok := strings.CutPrefix(address, "oci://")
	if ref, err := reference.Parse(name + "@" + digest); ok && digest != "" && err == nil {
		return x.found(at, Ref{Text: name + "@" + digest, Reference: ref}, s)
	}
	return x.unresolved(at, address, verdict.ReferenceRemote, whyElsewhere, s)
}

// addressIn returns the first address below a value, to be shown.
func addressIn(n *node) string {
	if n.isString() && isRemote(n.text) {
		return n.text
	}
	for i := range n.items {
		if text := addressIn(n.items[i].val); text != "" {
			return text
		}
	}
	return ""
}

// pulls recognises a source of manifests by its shape, in kinds that nobody
// knows: the field names of Argo CD, Flux and Helm, and a Git address beside a
// path or a revision.
func (x *extractor) pulls(n *node, key string, s scope) error {
	if !s.obj.typed || s.obj.settings {
		return nil
	}
	report := func(at *node, address string) error {
		return x.unresolved(at, address, verdict.ReferenceRemote, whyElsewhere, s)
	}
	for i := range n.items {
		it := &n.items[i]
		v := it.val
		text := ""
		if v.isString() {
			text = v.text
		}
		switch {
		case len(text) < 6 && v.kind != mapping:
		case it.key == "repoURL" && isRemote(text), it.key == "chartUrl" && isRemote(text), it.key == "chartURL" && isRemote(text):
			return report(v, text)
		case it.key == "sourceRef" || it.key == "chartRef":
			switch v.str("kind") {
			case "GitRepository", "OCIRepository", "HelmRepository", "Bucket", "HelmChart", "ExternalArtifact":
				return report(v, v.str("kind")+"/"+v.str("name"))
			}
		case v.kind == mapping:
		case (it.key == "url" || it.key == "repo" || it.key == "repository" || it.key == "repoUrl" || it.key == "git" || it.key == "source") && isRemote(text):
			if n.get("chart") != nil || n.get("chartName") != nil || isGit(text) && (key == "git" || besideGit(n)) {
				return report(v, text)
			}
		case isRemote(text) && isManifestAddress(it.key, text):
			return report(v, text)
		}
	}
	return nil
}

func isGit(text string) bool {
	return strings.HasSuffix(text, ".git") || strings.HasPrefix(text, "git@") || strings.HasPrefix(text, "git:") || strings.HasPrefix(text, "ssh:") ||
		strings.HasPrefix(text, "https://github.com/") || strings.HasPrefix(text, "https://gitlab.com/")
}

func besideGit(n *node) bool {
	return slices.ContainsFunc([]string{"path", "ref", "branch", "revision", "targetRevision", "kustomize", "helm", "interval", "syncPolicy"}, func(name string) bool { return n.get(name) != nil })
}

// isManifestAddress recognises the address of manifests or a chart: by what the
// field is called, and by the file's ending.
func isManifestAddress(key, text string) bool {
	text, _, _ = strings.Cut(text, "?")
	file := false
	for _, end := range [...]string{".yaml", ".yml", ".tgz", ".tar.gz", ".jsonnet"} {
		file = file || strings.HasSuffix(text, end)
	}
	if !file && schemeOf(text) != "oci" {
		return false
	}
	for _, part := range [...]string{"manifest", "chart", "bundle", "kustom", "resources", "install", "template"} {
		if containsFold(key, part) {
			return true
		}
	}
	return false
}
