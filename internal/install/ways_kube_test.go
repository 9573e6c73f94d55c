package install

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/apexlogic/apex/internal/app/controller"
	"github.com/apexlogic/apex/internal/kube"
	"github.com/apexlogic/apex/internal/kube/kubetest"
)

// foreign are the kinds of others that lead requests to Services, as their
// projects define them: group, version, kind and plural.
const foreign = `
networking.internal.knative.dev v1alpha1 ServerlessService serverlessservices
networking.internal.knative.dev v1alpha1 Ingress ingresses
serving.knative.dev v1 Service services
serving.knative.dev v1 Configuration configurations
serving.knative.dev v1 Revision revisions
serving.knative.dev v1 Route routes
serving.knative.dev v1beta1 DomainMapping domainmappings
serving.kserve.io v1beta1 InferenceService inferenceservices
gateway.networking.k8s.io v1 HTTPRoute httproutes
gateway.networking.k8s.io v1 GRPCRoute grpcroutes
gateway.networking.k8s.io v1alpha2 TCPRoute tcproutes
gateway.networking.k8s.io v1alpha2 TLSRoute tlsroutes
gateway.networking.k8s.io v1alpha2 UDPRoute udproutes
networking.istio.io v1 VirtualService virtualservices
networking.istio.io v1 ServiceEntry serviceentries
projectcontour.io v1 HTTPProxy httpproxies
traefik.io v1alpha1 IngressRoute ingressroutes
traefik.io v1alpha1 IngressRouteTCP ingressroutetcps
traefik.io v1alpha1 IngressRouteUDP ingressrouteudps
traefik.containo.us v1alpha1 IngressRoute ingressroutes
traefik.containo.us v1alpha1 IngressRouteTCP ingressroutetcps
traefik.containo.us v1alpha1 IngressRouteUDP ingressrouteudps
route.openshift.io v1 Route routes
getambassador.io v2 Mapping mappings
getambassador.io v2 TCPMapping tcpmappings
configuration.konghq.com v1beta1 TCPIngress tcpingresses
configuration.konghq.com v1beta1 UDPIngress udpingresses
apisix.apache.org v2 ApisixRoute apisixroutes
`

func TestWaysAroundTheGatewayAreSeenWithTheRightsOfTheChart(t *testing.T) {
	c := newCluster(t, kubetest.Controllers()) // they write the rules of aggregated roles
	c.install(Options{Image: image}, false)
	var definitions [][]byte
	for line := range strings.Lines(strings.TrimSpace(foreign)) {
		f := strings.Fields(line)
		definitions = append(definitions, fmt.Appendf(nil, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[4]s.%[1]s, annotations: {api-approved.kubernetes.io: unapproved}}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: %[3]s, plural: %[4]s, singular: %[5]s}
  versions: [{name: %[2]s, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`, f[0], f[1], f[2], f[3], strings.ToLower(f[2])))
	}
	c.server.InstallCRDs(t, definitions...)
	meta := func(name string) Object { return Object{"name": name, "namespace": "vision"} }
	for _, body := range []Object{
		{"apiVersion": "v1", "kind": "Namespace", "metadata": Object{"name": "vision"}},
		{"apiVersion": "security.apexlogic.com/v1alpha1", "kind": "GitSource", "metadata": Object{"name": "vision"}, "spec": Object{
			"url": "/nowhere", "trust": Object{"firstCommit": strings.Repeat("0", 40), "signers": texts("nobody")},
			"target":       Object{"cluster": Object{"serviceAccount": "vision/deployer", "namespaces": texts("vision")}},
			"segmentation": Object{"gateway": Object{"namespace": Namespace, "labels": Object{"app": "gateway"}}},
		}},
		{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta("closed"), "spec": Object{"podSelector": Object{}, "policyTypes": texts("Ingress")}},
		{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("captioner"), "spec": Object{
			"replicas": int64(0), "selector": Object{"matchLabels": Object{"app": "x"}},
			"template": Object{"metadata": Object{"labels": Object{"app": "x"}}, "spec": Object{"containers": []any{Object{"name": "c", "image": "r.example/x"}}}},
		}},
		{"apiVersion": "v1", "kind": "Service", "metadata": meta("captioner"), "spec": Object{"selector": Object{"app": "x"}, "ports": []any{Object{"port": int64(80)}}}},
	} {
		if _, err := c.client.Apply(t.Context(), body, kube.ApplyOptions{Manager: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	client := open(t, c.controllerAs())
	c.until("the aggregated role has its rules", func() error {
		ok, _, err := client.Can(t.Context(), "list", kube.ID{Kind: kube.Kind{Group: "apps", Version: "v1", Kind: "Deployment"}})
		if err == nil && !ok {
			err = errors.New("not allowed")
		}
		return err
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- controller.Run(ctx, controller.Options{
			State: t.TempDir(), Version: "test", Identity: "one", Kube: kube.Config{Kubeconfig: c.controllerAs()},
			WebhookAddress: "127.0.0.1:0", HealthAddress: "127.0.0.1:0", Ready: func(_, _ net.Addr) {},
		})
	}()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the controller ended: %v", err)
		}
	}()
	says := func(want ...string) {
		t.Helper()
		c.until(strings.Join(want, " "), func() error {
			o, err := c.client.Get(t.Context(), kube.ID{Kind: kube.Kind{Group: "security.apexlogic.com", Version: "v1alpha1", Kind: "GitSource"}, Name: "vision"})
			if err != nil {
				return err
			}
			said := fmt.Sprint(o.Object["status"])
			for _, w := range want {
				if !strings.Contains(said, w) {
					return errors.New(said)
				}
			}
			return nil
		})
	}
	// It says so only after every kind was read.
	says("NoWayAround")
	began := time.Now()
	if _, err := c.client.Apply(t.Context(), Object{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": Object{"name": "side", "namespace": "default"}, "spec": Object{
		"rules": []any{Object{"backendRefs": []any{Object{"name": "captioner", "namespace": "vision"}}}},
	}}, kube.ApplyOptions{Manager: "test"}); err != nil {
		t.Fatal(err)
	}
	says("WayAroundGateway", "HTTPRoute.gateway.networking.k8s.io default/side")
	t.Logf("a route of another namespace is found: %v", time.Since(began).Round(time.Millisecond))
	if err := c.client.Delete(t.Context(), kube.ID{Kind: kube.Kind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}, Namespace: "default", Name: "side"}, kube.Precondition{}); err != nil {
		t.Fatal(err)
	}
	says("NoWayAround")
}
