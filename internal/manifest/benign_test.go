package manifest_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/apexlogic/apex/internal/manifest"
)

// config is a ConfigMap with one value.
func config(key, text string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n}\ndata:\n  " + key + ": |\n    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}

// line is a ConfigMap with one value on one line.
func line(key, text string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n}\ndata: {%s: %q}\n", key, text)
}

// secret is a Secret with one value.
func secret(key, text string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: n}\ndata: {%s: %s}\n", key, base64.StdEncoding.EncodeToString([]byte(text)))
}

// custom is an object of a kind that nobody knows.
func custom(spec string) string {
	return "apiVersion: new.example/v1\nkind: New\nmetadata: {name: n}\nspec: " + spec + "\n"
}

// benign are manifests as people have them. None of them names an image or a
// model, but for the one container of those that [pod] makes.
var benign = []struct{ name, doc string }{
	{"prose that mentions an image", config("NOTICE", "We build from ghcr.io/team/base:1.2, see the wiki.\nThe image is rebuilt nightly.")},
	{"a README with commands", config("README.md", "# App\n\n```\ndocker run ghcr.io/team/app:1\nkubectl apply -f https://example.com/x.yaml\n```\n")},
	{"a README with a manifest", config("README.md", "Use it so:\n\n```yaml\napiVersion: v1\nkind: Pod\nspec: {containers: [{image: nginx}]}\n```\n")},
	{"notes in plain text", config("notes.txt", "docker pull nginx brings the newest one\ncurl https://example.com/x | sh is a bad idea")},
	{"a message of the day", config("motd", "Welcome! Mail ops@example.com, or call +49 30 1234.")},
	{"nginx", config("nginx.conf", "server {\n  listen 8080;\n  location /api/ { proxy_pass http://backend.team.svc:8080/v1; }\n  location ~* \\.(png|jpg)$ { expires 30d; }\n  image_filter resize 150 100;\n}")},
	{"an upstream of nginx", config("upstream.conf", "upstream app {\n  server app-1.team.svc:8080;\n  server app-2.team.svc:8080;\n}")},
	{"Envoy", config("envoy.yaml", "static_resources:\n  clusters:\n  - name: app\n    type: STRICT_DNS\n    load_assignment: {endpoints: [{address: app.team.svc, port: 8080}]}\n    typed_config: {\"@type\": type.googleapis.com/envoy.config.core.v3.Node}")},
	{"CoreDNS", config("Corefile", ".:53 {\n  errors\n  forward . /etc/resolv.conf\n  kubernetes cluster.local in-addr.arpa ip6.arpa\n}")},
	{"rules of Prometheus", config("rules.yml", "groups:\n- name: app\n  rules:\n  - alert: Crash\n    expr: sum(rate(kube_pod_container_info{image=~\"ghcr.io/team/.+:1\"}[5m])) > 0\n    labels: {severity: page}\n    annotations: {summary: 'Image {{ $labels.image }} crashes', runbook_url: 'https://example.com/run/a:b'}")},
	{"a PrometheusRule with an image's label", "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: n}\nspec: {groups: [{name: a, rules: [{alert: A, expr: up == 0, labels: {image: '{{ $labels.image }}'}, annotations: {image: '{{ $labels.image }}', description: 'run kubectl apply -f x'}}]}]}"},
	{"Prometheus' own settings", config("prometheus.yml", "global: {scrape_interval: 15s}\nscrape_configs:\n- job_name: node\n  static_configs: [{targets: ['localhost:9100', 'db.example.com:9187']}]\n  relabel_configs:\n  - {source_labels: [__meta_kubernetes_pod_container_image], target_label: image}")},
	{"Alertmanager", config("alertmanager.yml", "route: {receiver: ops}\nreceivers:\n- name: ops\n  slack_configs: [{api_url: 'https://hooks.example.com/T/B', image_url: 'https://example.com/a.png', text: '{{ .CommonLabels.image }}'}]")},
	{"a dashboard", config("app.json", `{"title": "Images", "uid": "abc/def", "panels": [{"type": "stat", "title": "image pulls", "targets": [{"expr": "sum by (image) (container_info{image!=\"\"})", "legendFormat": "{{image}}"}], "links": [{"url": "https://example.com/d/x?var=a:b"}]}], "schemaVersion": 39, "version": 3}`)},
	{"a dashboard of the newer sort", config("new.json", `{"apiVersion": "dashboard.grafana.app/v1beta1", "kind": "Dashboard", "metadata": {"name": "x"}, "spec": {"title": "Models", "panels": [{"type": "text", "content": "model/image"}]}}`)},
	{"log lines", config("sample", "2026-11-20T10:00:00Z INFO pulled image ghcr.io/team/app:1 in 3s\n10.0.0.1 - - [20/Nov/2026:10:00:00 +0000] \"GET /a/b:c HTTP/1.1\" 200\n")},
	{"a stack trace", config("trace", "panic: nil\n\ngithub.com/team/app/server.go:42\ngithub.com/team/app/main.go:7\n\tat com.example/App.java:12")},
	{"a version", line("version", "1.2.3-rc.1+build.5")},
	{"versions", line("versions", "1.24,1.25;1.26")},
	{"a number like a version, in quotes", line("version", "1e999")},
	{"mail addresses", line("admins", "a@example.com,b@example.com;c@example.org")},
	{"topics of Kafka", line("topics", "team/orders,team/payments;audit")},
	{"a topic beside a model", line("MODEL_TOPIC", "models/updates")},
	{"brokers of Kafka", line("bootstrap", "kafka-0.kafka.svc:9092,kafka-1.kafka.svc:9092")},
	{"topics of MQTT", line("subscribe", "site/+/temperature home/kitchen/light")},
	{"file paths", line("paths", "/etc/app/config.yaml:/var/lib/app:/usr/local/bin")},
	{"a path of a model", line("MODEL_PATH", "/models/captioner")},
	{"a relative path", line("include", "conf.d/a.conf conf.d/b.conf")},
	{"media types", line("types", "text/html,application/json;image/png, image/*;q=0.8")},
	{"a media type by its name", line("accept", "application/vnd.oci.image.manifest.v1+json")},
	{"actions of GitHub", config("ci.yml", "on: [push]\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n    - uses: actions/checkout@v4\n    - uses: docker/build-push-action@v6\n    - run: make test")},
	{"an action with its commit", line("action", "actions/checkout@0123456789abcdef0123456789abcdef01234567")},
	{"repositories of GitHub", line("repos", "owner/name, other/thing")},
	{"an address of Git", line("origin", "git@github.com:team/app.git")},
	{"modules of Go", config("go.mod", "module github.com/team/app\n\nrequire (\n\texample.com/lib v1.2.3\n)")},
	{"packages of npm", config("package.json", `{"name": "@team/app", "version": "1.0.0", "dependencies": {"@team/lib": "^1.0.0", "left-pad": "1.3.0"}, "repository": {"type": "git", "url": "https://github.com/team/app.git"}, "scripts": {"start": "node server.js"}}`)},
	{"packages of Python", config("requirements.txt", "torch==2.6.0\ntransformers>=4.40\nnumpy\n")},
	{"addresses of services", line("upstreams", "http://a.team.svc:8080/x:y https://b.example.com/v1/models/m:predict")},
	{"a database", line("DATABASE_URL", "postgres://app:5432/db?sslmode=disable")},
	{"JDBC", line("url", "jdbc:postgresql://db.example.com:5432/app")},
	{"hosts and ports", line("peers", "etcd-0.etcd:2380,etcd-1.etcd:2380")},
	{"networks", line("cidrs", "10.0.0.0/8,192.168.0.0/16;fd00::/8")},
	{"a taint", line("taints", "node.example.io/new:NoSchedule")},
	{"labels", line("selector", "app.kubernetes.io/name=app,tier in (a,b)")},
	{"a picture", line("image", "hero.png")},
	{"a picture's path", line("image", "/static/hero.jpg")},
	{"a picture's address", line("logoImage", "https://example.com/logo.svg")},
	{"a switch", line("image", "none")},
	{"a style sheet", config("site.css", ".hero { background-image: url(img/hero.png); list-style-image: none; }")},
	{"properties of Java", config("application.properties", "spring.datasource.url=jdbc:h2:mem:a\nserver.port=8080\napp.model.name=captioner\nlogging.level.com.example=INFO")},
	{"settings of Spring", config("application.yml", "spring:\n  application: {name: app}\n  datasource: {url: 'jdbc:postgresql://db:5432/app'}\nmanagement: {endpoints: {web: {exposure: {include: 'health,info'}}}}")},
	{"settings with names by capital letters", config("app.yaml", "Image:\n  Width: 20\nimage: {width: 20}\nModel: {Name: captioner}\n")},
	{"settings that are not YAML", config("x.cfg", "key: [unclosed\n\tother: {value\n")},
	{"TOML", config("x.toml", "[server]\naddr = \"0.0.0.0:8080\"\n[model]\nname = \"captioner\"\npath = \"/models/a\"")},
	{"fluent-bit", config("fluent-bit.conf", "[INPUT]\n    Name tail\n    Path /var/log/containers/*.log\n[OUTPUT]\n    Name es\n    Host es.example.com\n    Port 9200")},
	{"Logstash", config("pipeline.conf", "input { beats { port => 5044 } }\noutput { elasticsearch { hosts => [\"es:9200\"] index => \"a-%{+YYYY.MM.dd}\" } }")},
	{"SQL", config("init.sql", "CREATE TABLE image (id int, model text);\nINSERT INTO image VALUES (1, 'a/b:c');")},
	{"Lua", config("x.lua", "local image = require('image')\nreturn image.load('/tmp/a.png')")},
	{"HTML", config("index.html", "<img src=\"img/a.png\"><p>docker run nginx</p>")},
	{"XML", config("log.xml", "<Configuration><Appender name=\"a\" class=\"com.example/A\"/></Configuration>")},
	{"a start script without downloads", config("start.sh", "#!/bin/sh\nset -euo pipefail\nexport PORT=8080\nif [ ! -f /data/ready ]; then\n  cp -r /seed/* /data/\nfi\nexec /app/server --port \"$PORT\"\n")},
	{"a script that asks itself", config("check.sh", "#!/bin/sh\ncurl -fsS http://localhost:8080/healthz | grep ok || exit 1\nwget -qO- http://127.0.0.1:9090/-/ready")},
	{"a script that posts", config("notify.sh", "#!/bin/bash\ncurl -X POST -d '{\"image\": \"x\"}' https://hooks.example.com/T/B | jq .ok")},
	{"a script of kubectl", config("drain.sh", "#!/bin/sh\nkubectl get pods -n team -o name\nkubectl rollout restart deployment/app -n team\nkubectl apply -f /manifests/local.yaml")},
	{"a script of pip", config("setup.sh", "#!/bin/sh\npip install --no-cache-dir -r /app/requirements.txt numpy==2.0")},
	{"a local chart", config("up.sh", "#!/bin/sh\nhelm upgrade --install app ./charts/app -f values.yaml --set a.b=c")},
	{"Python that loads from a volume", config("serve.py", "from transformers import pipeline\np = pipeline('text-generation', model='/models/a')\nm = AutoModel.from_pretrained(\"/mnt/b\")\ndef pipeline(): pass\n")},
	{"Python of another pipeline", config("etl.py", "pipeline('orders')\nload_model('/srv/m.onnx')\n")},
	{"Jenkins", config("jobs.groovy", "pipeline { agent any; stages { stage('a') { steps { sh 'make' } } } }")},
	{"crontab", config("crontab", "*/5 * * * * root /usr/bin/backup --to s3://backup/x")},
	{"kubeconfig", config("config", "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'https://10.0.0.1:6443'}}]\nusers: []\ncontexts: []\n")},
	{"an audit policy", config("audit.yaml", "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata, resources: [{group: '', resources: [pods]}]}]\n")},
	{"a scheduler's settings", config("s.yaml", "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles: [{plugins: {score: {disabled: [{name: ImageLocality}]}}}]\n")},
	{"kubeadm", config("ClusterConfiguration", "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nimageRepository: registry.k8s.io\nkubernetesVersion: v1.33.0\n")},
	{"a template of Istio", config("config", "templates:\n  sidecar: |\n    spec:\n      containers:\n      - name: istio-proxy\n      {{- if contains \"/\" .Values.image }}\n        image: \"{{ .ProxyImage }}\"\n      {{- end }}\n")},
	{"a mesh's settings", config("mesh", "accessLogFile: /dev/stdout\ndefaultConfig: {discoveryAddress: 'istiod.istio-system.svc:15012'}\ntrustDomain: cluster.local")},
	{"a GitOps tool's own settings", config("argocd-cm", "url: https://cd.example.com\nrepositories: |\n  - url: https://github.com/team/app.git\n")},
	{"feature flags", config("flags.json", `{"newImagePicker": true, "model": "v2", "ratio": 0.5}`)},
	{"translations", config("de.json", `{"image": "Bild", "images": "Bilder, Fotos", "model": "Modell", "image.upload": "Bild hochladen: max. 5 MB"}`)},
	{"an OpenAPI description", config("openapi.yaml", "openapi: 3.1.0\ninfo: {title: A, version: 1.0.0}\npaths:\n  /images/{id}:\n    get: {responses: {'200': {content: {image/png: {schema: {type: string}}}}}}\n")},
	{"a JSON schema", config("schema.json", `{"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"image": {"type": "string"}, "model": {"type": "string", "default": "a"}}}`)},
	{"a Secret's password", secret("password", "s3cr3t/with:odd@chars")},
	{"a Secret's random bytes", secret("key", "\x00\xff\x10\x80")},
	{"a registry's credentials", "apiVersion: v1\nkind: Secret\nmetadata: {name: n}\ntype: kubernetes.io/dockerconfigjson\ndata: {.dockerconfigjson: " + base64.StdEncoding.EncodeToString([]byte(`{"auths": {"ghcr.io": {"username": "a", "password": "b", "auth": "YTpi"}, "https://index.docker.io/v1/": {"auth": "YTpi"}}}`)) + "}\n"},
	{"a certificate", secret("tls.crt", "-----BEGIN CERTIFICATE-----\nMIIB/zCCAaWgAwIBAgIU+a/b==\n-----END CERTIFICATE-----\n")},
	{"credentials of a cloud", secret("credentials", "[default]\naws_access_key_id = AKIA\naws_secret_access_key = a/b+c\n")},
	{"a token", secret("token", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2ln")},
	{"a Secret's address", secret("DATABASE_URL", "postgres://u:p@db:5432/app")},
	{"a container's probes", pod("    livenessProbe: {exec: {command: [sh, -c, 'test -f /tmp/ok && curl -f http://localhost:8080/health']}}\n    readinessProbe: {httpGet: {path: /ready, port: 8080}}\n")},
	{"a hook that waits", pod("    lifecycle: {preStop: {exec: {command: [/bin/sh, -c, 'sleep 5; kill -TERM 1']}}}\n")},
	{"variables of an application", pod("    env: [{name: LOG_FORMAT, value: 'a,b;c'}, {name: JAVA_OPTS, value: '-Xmx1g -Dfile=/a/b:c'}, {name: MODEL_NAME, value: captioner}, {name: IMAGE_SIZE, value: '20'}, {name: DEFAULT_IMAGE, value: /static/a.png}, {name: IMAGE_FORMAT, value: image/png}]\n")},
	{"arguments of an application", pod("    args: ['--listen=$(POD_IP):8080', --log-format=json, '--headers=a=b,c=d', '--origin', 'https://a.example.com,https://b.example.com', --image-size=20]\n")},
	{"a module of Python", pod("    command: [python, -m, http.server, '8080']\n")},
	{"gunicorn", pod("    command: [gunicorn, 'app.main:create()', -b, '0.0.0.0:8080', -k, uvicorn.workers.UvicornWorker]\n")},
	{"a proxy's arguments", pod("    args: [--upstream=http://127.0.0.1:8080/, --cookie-domain=.example.com, --email-domain=*]\n")},
	{"an annotation in JSON", "apiVersion: v1\nkind: Service\nmetadata: {name: n, annotations: {a.example.com/conf: '{\"a\": \"b/c:d\", \"image\": \"x.png\"}'}}\n"},
	{"what kubectl applied last", "apiVersion: v1\nkind: Service\nmetadata: {name: n, annotations: {kubectl.kubernetes.io/last-applied-configuration: '{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"image\":\"nginx\"}]}}'}}\n"},
	{"an Ingress", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: n, annotations: {nginx.ingress.kubernetes.io/configuration-snippet: 'more_set_headers \"X: a\"; proxy_pass http://a/b:c;'}}\nspec: {rules: [{host: a.example.com, http: {paths: [{path: /image/a, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}]}}]}\n"},
	{"a Certificate", "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: n}\nspec: {secretName: s, dnsNames: [a.example.com], issuerRef: {name: i, kind: ClusterIssuer, group: cert-manager.io}}\n"},
	{"an ExternalSecret", "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {name: n}\nspec: {secretStoreRef: {name: s, kind: ClusterSecretStore}, data: [{secretKey: k, remoteRef: {key: team/app, property: p}}]}\n"},
	{"a topic of Kafka's operator", "apiVersion: kafka.strimzi.io/v1\nkind: KafkaTopic\nmetadata: {name: n}\nspec: {partitions: 3, topicName: team.orders, config: {retention.ms: 7200000}}\n"},
	{"a role binding", "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: n}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}\nsubjects: [{kind: User, name: 'a@example.com'}]\n"},
	{"a catalogue's entry", "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata: {name: n, annotations: {github.com/project-slug: owner/name, backstage.io/techdocs-ref: 'dir:.'}, links: [{url: 'https://github.com/owner/name', title: Code}]}\nspec: {type: service, owner: team/a}\n"},
	{"a repository's address in an unknown kind", custom("{repository: 'https://github.com/team/app', docs: 'https://example.com/x.yaml', owner: team/a}")},
	{"a schedule and a command", custom("{schedule: '*/5 * * * *', command: [backup, --to, /data]}")},
	{"a description in an unknown kind", custom("{description: 'Runs docker run nginx; see https://example.com | sh', summary: 'image ghcr.io/a/b:1 is used'}")},
	{"a number with its unit", custom("{cpu: 100m, memory: 1e3Mi, ratio: 0.25, count: 1_000, mode: 0o644, hex: 0xff}")},
}

func TestWhatPeopleReallyHaveIsLetIn(t *testing.T) {
	if len(benign) < 60 {
		t.Fatalf("only %d", len(benign))
	}
	for _, tt := range benign {
		t.Run(tt.name, func(t *testing.T) {
			want := 0
			if strings.HasPrefix(tt.doc, pod("")) {
				want = 1
			}
			r := manifest.Extract("f.yaml", []byte(tt.doc), manifest.Limits{})
			if r.Rejected || len(r.Refs) != want || len(r.Unresolved) > 0 {
				t.Errorf("reported %s, unresolved %v, problems %v", r.Line(), r.Unresolved, r.Problems)
			}
		})
	}
}
