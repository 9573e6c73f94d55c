package segment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/apexlogic/apex/internal/gitops"
	"github.com/apexlogic/apex/verdict"
)

// kinds of objects that bring requests from outside to a Service, by their group.
var routes = map[string][]string{
	"networking.k8s.io":         {"Ingress"},
	"extensions":                {"Ingress"},
	"gateway.networking.k8s.io": {"HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"},
	"networking.istio.io":       {"VirtualService", "ServiceEntry"},
	"projectcontour.io":         {"HTTPProxy"},
	"traefik.io":                {"IngressRoute", "IngressRouteTCP", "IngressRouteUDP"},
	"traefik.containo.us":       {"IngressRoute", "IngressRouteTCP", "IngressRouteUDP"},
	"route.openshift.io":        {"Route"},
	"serving.knative.dev":       {"DomainMapping"},
	"getambassador.io":          {"Mapping", "TCPMapping"},
	"configuration.konghq.com":  {"TCPIngress", "UDPIngress"},
	"apisix.apache.org":         {"ApisixRoute"},
}

// RouteKinds are the kinds that can bring requests to a workload past its
// Services' own reach, sorted. Their versions are left open: they differ between
// clusters.
func RouteKinds() []gitops.Kind {
	all := []gitops.Kind{{Group: "serving.knative.dev", Kind: "Route"}} // which leads to a Configuration, see [analysis.knative]
	for group, kinds := range routes {
		for _, kind := range kinds {
			all = append(all, gitops.Kind{Group: group, Kind: kind})
		}
	}
	slices.SortFunc(all, func(a, b gitops.Kind) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Kind, b.Kind))
	})
	return all
}

func isRoute(o *gitops.Object) bool { return slices.Contains(routes[o.Group], o.Kind) }

// destination is a Service, which need not be among the objects.
type destination struct{ namespace, name string }

// routes reports the routes to a Service, under its own name and under those that
// Services of type ExternalName give it.
func (a *analysis) routes(w Workload, to destination, what string) {
	names := []destination{to}
	for i := 0; i < len(names); i++ { // an alias may have an alias
		for j := range a.objects {
			o := &a.objects[j]
			if o.Group != "" || o.Kind != "Service" {
				continue
			}
			external, _ := at(o.Body, "spec")["externalName"].(string)
			d := destination{o.Namespace, o.Name}
			if external != "" && names[i].mentioned(external) && !slices.Contains(names, d) {
				names = append(names, d)
			}
		}
	}
	for i := range a.objects {
		r := &a.objects[i]
		if !isRoute(r) || !slices.ContainsFunc(names, func(d destination) bool { return leadsTo(r, d) }) {
			continue
		}
		a.report(verdict.NetworkRoute, w, r.ID, r.Where, "a "+r.Kind+" leads to "+what+" past the gateway", "let the route lead to the gateway")
	}
}

// knative reports a Route of Knative's that leads to a Configuration: who writes
// both needs no Service.
func (a *analysis) knative(w Workload, o *gitops.Object) {
	if w.Group != "serving.knative.dev" || o.Group != w.Group || o.Kind != "Route" || o.Namespace != w.Namespace {
		return
	}
	if texts(at(o.Body, "metadata", "labels"))[knativeVisibility] == clusterLocal {
		return
	}
	for _, t := range items(at(o.Body, "spec")["traffic"]) {
		configuration, _ := t["configurationName"].(string)
		revision, _ := t["revisionName"].(string)
		if configuration == w.Name || strings.HasPrefix(revision, w.Name+"-") {
			a.report(verdict.NetworkRoute, w, o.ID, o.Where, "a Route leads to it for the world",
				fmt.Sprintf("give it the label %s: %s, and let the gateway call it", knativeVisibility, clusterLocal))
			return
		}
	}
}

// backendKeys hold the name of a Service as a text, which may end in a port.
var backendKeys = []string{"host", "service", "serviceName", "externalName"}

// matched hold host names that requests are for, and not where they are led: the
// route that takes those of a Service to the gateway has its name there.
var matched = []string{"hosts", "hostnames", "match", "fqdn", "exportTo"}

// leadsTo reports whether the route names the Service anywhere: as the name of a
// backend in its own namespace or in the one that stands beside it, or as a host
// name of the cluster, annotations included. Kinds differ in where; whoever names
// it means it.
func leadsTo(r *gitops.Object, d destination) bool {
	var named func(v any, key string) bool
	named = func(v any, key string) bool {
		switch v := v.(type) {
		case map[string]any:
			name, _ := v["name"].(string)
			if name == "" {
				name, _ = v["serviceName"].(string)
			}
			namespace, given := v["namespace"].(string)
			if d.is(name) && (!given && r.Namespace == d.namespace || namespace == d.namespace) && key != "parentRefs" {
				return true
			}
			for k, child := range v {
				if named(child, k) {
					return true
				}
			}
		case []any:
			for _, child := range v {
				if named(child, key) {
					return true
				}
			}
		case string:
			plain, _, _ := strings.Cut(v, ":")
			return slices.Contains(backendKeys, key) && d.is(plain) && r.Namespace == d.namespace ||
				!slices.Contains(matched, key) && d.mentioned(v)
		}
		return false
	}
	return named(r.Body["spec"], "spec") || named(map[string]any(at(r.Body, "metadata", "annotations")), "annotations")
}

// is reports whether a name is the Service's. One that ends in a dash stands for
// those that a platform counts: captioner-00001.
func (d destination) is(name string) bool {
	return name == d.name || strings.HasSuffix(d.name, "-") && len(name) > len(d.name) && strings.HasPrefix(name, d.name) && name[len(d.name)] <= '9'
}

// mentioned reports whether a text has a host name of the Service in it, with
// whatever cluster domain, and not a longer one that only looks like it.
func (d destination) mentioned(text string) bool {
	for host := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	}) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(host, "."), ".")
		if d.is(name) && (rest == d.namespace || rest == d.namespace+".svc" || strings.HasPrefix(rest, d.namespace+".svc.")) {
			return true
		}
	}
	return false
}
