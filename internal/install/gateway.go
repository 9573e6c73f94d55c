package install

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Gateway says whether a gateway is installed, and the authority that gives it and
// its callers their identities.
type Gateway struct {
	// Enabled installs both.
	Enabled bool
	// TrustDomain of the authority, as claims.example. It has to be given.
	TrustDomain string
	// Replicas of the gateway, at least 1. Default: 2.
	Replicas int
	// ExtAuthz are the SPIFFE IDs of the Envoys that may ask by ext_authz, and
	// AuthZEN those of the enforcement points that may ask by AuthZEN. None:
	// nobody is listened to.
	ExtAuthz, AuthZEN []string
	// Limits is the URL of the Redis by which the replicas count together, as
	// rediss://limits.vision.svc:6380/0. Default: each counts for itself.
	Limits string
	// LimitsCA says that the Redis shows a certificate of authorities that stand as
	// ca.crt in the Secret with its password.
	LimitsCA bool
}

// The names of what is installed for a gateway.
const (
	GatewayAccount  = "apex-gateway"
	IdentityAccount = "apex-identity"
	// TrustConfig is the ConfigMap with the authority's public keys, which it
	// writes; GuestsConfig, which may be missing, holds those of other trust domains.
	TrustConfig, GuestsConfig = "apex-trust", "apex-trust-domains"
	// LimitsSecret, which may be missing, holds the password of the Redis, and the
	// authorities of its certificate.
	LimitsSecret = "apex-limits"
)

// The ports of the gateway and of its authority. Those of doors that nobody asked
// for are closed in the process itself.
const (
	gatewayPort       = int64(8443)
	gatewayHealthPort = int64(8082)
	extauthzPort      = int64(9191)
	authzenPort       = int64(8445)
	exchangePort      = int64(8444)
)

// identitySize is of the authority's volume: keys, and a record of some 300 bytes
// for each identity, that is for more than two million.
const identitySize = "1Gi"

// maxAskers bounds the lists of who may ask: they are arguments of a process.
const maxAskers = 64

// domainName is a trust domain as SPIFFE has it.
const domainName = `^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$`

// complete fills in the defaults and refuses what cannot be installed.
func (g *Gateway) complete() error {
	if !g.Enabled {
		if g.TrustDomain != "" || g.Replicas != 0 || len(g.ExtAuthz)+len(g.AuthZEN) > 0 || g.Limits != "" || g.LimitsCA {
			return errors.New("a trust domain, replicas, askers or limits of a gateway are given, and no gateway is asked for: add --gateway")
		}
		return nil
	}
	if g.Replicas == 0 {
		g.Replicas = 2
	}
	switch {
	case !matches(domainName, g.TrustDomain):
		return fmt.Errorf("the trust domain %q: name that of the gateway and its callers in small letters, as claims.example", g.TrustDomain)
	case g.Replicas < 1 || g.Replicas > maxReplicas:
		return fmt.Errorf("replicas of the gateway is %d: between 1 and %d are possible", g.Replicas, maxReplicas)
	case len(g.ExtAuthz) > maxAskers || len(g.AuthZEN) > maxAskers:
		return fmt.Errorf("more than %d may ask the gateway: that is more than is possible", maxAskers)
	}
	for _, id := range slices.Concat(g.ExtAuthz, g.AuthZEN) {
		if !matches(spiffeID, id) {
			return fmt.Errorf("%q may ask the gateway: write a SPIFFE ID, as spiffe://mesh.example/envoy", id)
		}
	}
	if g.LimitsCA && !strings.HasPrefix(g.Limits, "rediss://") {
		return errors.New("authorities of the Redis are for one with TLS: give rediss://HOST:PORT/DB for the limits, or leave them away")
	}
	if g.Limits != "" {
		u, err := url.Parse(g.Limits)
		if err != nil || !slices.Contains([]string{"redis", "rediss"}, u.Scheme) || u.Host == "" || u.User != nil {
			return fmt.Errorf("the limits of the gateway: write redis://HOST:PORT/DB or rediss://HOST:PORT/DB; the password is in the Secret %s", LimitsSecret)
		}
	}
	return nil
}

const spiffeID = `^spiffe://[a-z0-9._-]{1,255}(/[a-zA-Z0-9._-]+)+$`

// gatewayObjects are the authority and the gateway, in the order in which they are
// applied: who asks for an identity finds somebody who gives it.
func gatewayObjects(o *Options) []Object {
	if !o.Gateway.Enabled {
		return nil
	}
	bind := func(component, account string) []Object {
		subject := []any{Object{"kind": "ServiceAccount", "namespace": o.Namespace, "name": account}}
		to := func(kind string) Object { return Object{"apiGroup": rbac, "kind": kind, "name": account} }
		return []Object{
			made("v1", "ServiceAccount", o.Namespace, account, component, nil),
			made(rbac+"/v1", "ClusterRoleBinding", "", account, component, Object{"roleRef": to("ClusterRole"), "subjects": subject}),
			made(rbac+"/v1", "RoleBinding", o.Namespace, account, component, Object{"roleRef": to("Role"), "subjects": subject}),
		}
	}
	return slices.Concat(
		bind("identity", IdentityAccount),
		bind("gateway", GatewayAccount),
		[]Object{
			// Its data are the authority's: it may write no other ConfigMap, and make none.
			made("v1", "ConfigMap", o.Namespace, TrustConfig, "identity", nil),
			reachable(o, "identity", IdentityAccount, exchangePort),
			reachable(o, "gateway", GatewayAccount, gatewayPort, extauthzPort, authzenPort, gatewayHealthPort),
			inFront(o, "identity", IdentityAccount, Object{"exchange": exchangePort}),
			inFront(o, "gateway", GatewayAccount, Object{"https": gatewayPort, "extauthz": extauthzPort, "authzen": authzenPort}),
			budget(o, "identity", IdentityAccount),
			budget(o, "gateway", GatewayAccount),
			identitySet(o),
			gatewaySet(o),
		},
	)
}

// inFront is the Service of a component; https is at the usual port.
func inFront(o *Options, component, name string, targets Object) Object {
	var ports []any
	for _, port := range slices.Sorted(keysOf(targets)) {
		number := targets[port]
		if port == "https" {
			number = int64(443)
		}
		ports = append(ports, Object{"name": port, "port": number, "targetPort": port, "protocol": "TCP"})
	}
	return made("v1", "Service", o.Namespace, name, component, Object{"spec": Object{"selector": labels(component), "ports": ports}})
}

func keysOf(o Object) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range o {
			if !yield(key) {
				return
			}
		}
	}
}

// identitySet is the authority. There is one: a second one would have other keys,
// join tokens and memories. Identities live ten minutes and are renewed after five,
// so that it may be away for five minutes.
func identitySet(o *Options) Object {
	w := workload{
		component: "identity", account: IdentityAccount, service: IdentityAccount, replicas: 1,
		args: []string{"identity", "serve", "--kube", "--kube-namespace", o.Namespace, "--kubernetes", "--trust-domain", o.Gateway.TrustDomain,
			"--gateway-account", o.Namespace + "/" + GatewayAccount, "--exchange-address", fmt.Sprintf(":%d", exchangePort), "--state", "/var/lib/apex"},
		ports: []any{Object{"name": "exchange", "containerPort": exchangePort, "protocol": "TCP"}},
		// Its public keys are for everybody, and come from what it stands on.
		alive: Object{"path": "/v1/bundle", "port": "exchange", "scheme": "HTTPS"}, ready: Object{"path": "/v1/bundle", "port": "exchange", "scheme": "HTTPS"},
		grace: 30, size: identitySize,
	}
	return w.set(o)
}

// gatewaySet keeps one volume for each replica, as the controller's does: what the
// ledger acknowledged before a request was passed on outlives the Pod.
func gatewaySet(o *Options) Object {
	args := []string{"gateway", "--kube", "--kube-namespace", o.Namespace, "--state", "/var/lib/apex",
		"--address", fmt.Sprintf(":%d", gatewayPort), "--health-address", fmt.Sprintf(":%d", gatewayHealthPort),
		"--trust-domain", o.Gateway.TrustDomain, "--trust-bundles", "/etc/apex/trust",
		"--identity-exchange", fmt.Sprintf("https://%s.%s.svc:%d", IdentityAccount, o.Namespace, exchangePort), "--identity-token", "/var/run/secrets/apex/token",
		"--drain", "40s"}
	asked := func(door string, port int64, who []string, more ...string) {
		if len(who) == 0 {
			return
		}
		args = append(append(args, "--"+door+"-address", fmt.Sprintf(":%d", port)), more...)
		for _, id := range who {
			args = append(args, map[string]string{"extauthz": "--extauthz-proxy", "authzen": "--authzen-caller"}[door], id)
		}
	}
	asked("extauthz", extauthzPort, o.Gateway.ExtAuthz)
	asked("authzen", authzenPort, o.Gateway.AuthZEN, "--authzen-url", fmt.Sprintf("https://%s.%s.svc:%d", GatewayAccount, o.Namespace, authzenPort))
	if o.Gateway.Limits != "" {
		args = append(args, "--limits", o.Gateway.Limits)
	}
	if o.Gateway.LimitsCA {
		args = append(args, "--limits-ca", "/etc/apex/limits/ca.crt")
	}
	w := workload{
		component: "gateway", account: GatewayAccount, service: GatewayAccount, replicas: int64(o.Gateway.Replicas), args: args,
		env: []any{
			Object{"name": "DOCKER_CONFIG", "value": "/etc/apex/registry"},
			Object{"name": "APEX_LIMITS_PASSWORD", "valueFrom": Object{"secretKeyRef": Object{"name": LimitsSecret, "key": "password", "optional": true}}},
		},
		ports: []any{
			Object{"name": "https", "containerPort": gatewayPort, "protocol": "TCP"},
			Object{"name": "extauthz", "containerPort": extauthzPort, "protocol": "TCP"},
			Object{"name": "authzen", "containerPort": authzenPort, "protocol": "TCP"},
			Object{"name": "health", "containerPort": gatewayHealthPort, "protocol": "TCP"},
		},
		alive: Object{"path": "/healthz", "port": "health", "scheme": "HTTP"}, ready: Object{"path": "/readyz", "port": "health", "scheme": "HTTP"},
		// Five seconds until nobody sends requests here any more, 40 for those that
		// are under way, and some for the ledger.
		stop: 5, grace: 60, size: o.StorageSize,
		mounts: []any{
			Object{"name": "trust", "mountPath": "/etc/apex/trust", "readOnly": true},
			Object{"name": "token", "mountPath": "/var/run/secrets/apex", "readOnly": true},
			Object{"name": "registry", "mountPath": "/etc/apex/registry", "readOnly": true},
			Object{"name": "limits", "mountPath": "/etc/apex/limits", "readOnly": true},
		},
		volumes: []any{
			Object{"name": "trust", "projected": Object{"sources": []any{
				Object{"configMap": Object{"name": TrustConfig}},
				Object{"configMap": Object{"name": GuestsConfig, "optional": true}},
			}}},
			// Its evidence: a token of its account for the trust domain, and for nobody else.
			Object{"name": "token", "projected": Object{"sources": []any{
				Object{"serviceAccountToken": Object{"path": "token", "audience": "spiffe://" + o.Gateway.TrustDomain, "expirationSeconds": int64(600)}},
			}}},
			registryCredentials(),
			Object{"name": "limits", "secret": Object{"secretName": LimitsSecret, "optional": true, "items": []any{Object{"key": "ca.crt", "path": "ca.crt"}}}},
		},
	}
	return w.set(o)
}

// gatewayRights are the roles of the gateway and of the authority. They are there
// whether or not a gateway is installed, so that one that somebody runs in another
// way can be bound to them.
func gatewayRights(o *Options) []Object {
	read := texts("get", "list", "watch")
	role := func(kind, namespace, name string, rules ...any) Object {
		return made(rbac+"/v1", kind, namespace, name, "rights", Object{"rules": rules})
	}
	return []Object{
		// What a gateway may that reads its routes from the cluster. It says of them
		// whether they are in force.
		role("ClusterRole", "", GatewayAccount,
			rule(texts("security.apexlogic.com"), texts("protectedroutes", "accesspolicies", "workloadidentities", "revocations", "modelsecuritypolicies", "trustroots", "policyexceptions"), read),
			rule(texts("security.apexlogic.com"), texts("protectedroutes/status", "accesspolicies/status"), texts("patch")),
		),
		// Whom an authority gives what, and whose a token is.
		role("ClusterRole", "", IdentityAccount,
			rule(texts("security.apexlogic.com"), texts("workloadidentities", "revocations"), read),
			rule(texts("authentication.k8s.io"), texts("tokenreviews"), texts("create")),
		),
		role("Role", o.Namespace, GatewayAccount,
			named(rule(texts("coordination.k8s.io"), texts("leases"), texts("get", "update")), GatewayAccount),
			rule(texts("coordination.k8s.io"), texts("leases"), texts("create")),
		),
		// Its public keys.
		role("Role", o.Namespace, IdentityAccount,
			named(rule(texts(""), texts("configmaps"), texts("get", "patch")), TrustConfig),
		),
	}
}

// writers are the accounts that write in Apex's namespace.
func writers(o *Options) (users []string) {
	for _, name := range []string{ServiceAccount, GatewayAccount, IdentityAccount} {
		users = append(users, strings.Join([]string{"system:serviceaccount", o.Namespace, name}, ":"))
	}
	return users
}
