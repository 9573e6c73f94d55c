#!/bin/sh
# CPU per request of nginx + ModSecurity with the Core Rule Set that Apex has built
# in, for a small chat and for one with 10 KB of prose, and of nginx alone.
#
#   sh bench/waf/nginx.sh
#
# It needs nginx, libnginx-mod-http-modsecurity and wrk (Debian 12's will do). CPU
# is what the worker's threads ran, from /proc/PID/task/*/schedstat, over the
# requests that wrk counted: other load on the machine lengthens wall time only.
# Requests that are not answered 200 are reported, since a block is cheap.
set -eu
seconds=${SECONDS_EACH:-5}
dir=$(mktemp -d)
trap 'for p in "$dir"/*.pid; do [ -f "$p" ] && kill "$(cat "$p")" 2>/dev/null; done; sleep 1; rm -rf "$dir"' EXIT
rules=$(go list -m -f '{{.Dir}}' github.com/corazawaf/coraza-coreruleset/v4)/rules
mkdir "$dir/crs" "$dir/logs"
cp "$rules"/@owasp_crs/*.data "$dir/crs/"
for f in "$rules"/@owasp_crs/*.conf; do
	# libmodsecurity 3.0.9 needs a blank line after a chained rule without actions
	awk '{print} /^[ \t]*SecRule/ && !/\\$/ {print ""}' "$f" >"$dir/crs/$(basename "$f" .example)"
done
grep -v "^ *#" "$rules/@crs-setup.conf.example" >"$dir/setup.conf"
cat >"$dir/rules.conf" <<CONF
SecRuleEngine On
SecRequestBodyAccess On
SecRequestBodyLimit 33554432
SecRequestBodyNoFilesLimit 33554432
SecResponseBodyAccess Off
SecAuditEngine Off
SecPcreMatchLimit 100000
SecPcreMatchLimitRecursion 100000
SecRule REQUEST_HEADERS:Content-Type "@rx ^application/json" "id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON"
Include $dir/setup.conf
Include $dir/crs/*.conf
CONF
conf() { # name, port, the location's directives, further directives of the server
	cat >"$dir/$1.conf" <<CONF
load_module /usr/lib/nginx/modules/ngx_http_modsecurity_module.so;
worker_processes 1; daemon on; pid $dir/$1.pid; error_log $dir/logs/$1.log warn;
events { worker_connections 256; }
http {
  access_log off; keepalive_requests 1000000; client_body_buffer_size 16m; client_max_body_size 32m;
  client_body_temp_path $dir/logs; proxy_temp_path $dir/logs;
  fastcgi_temp_path $dir/logs; uwsgi_temp_path $dir/logs; scgi_temp_path $dir/logs;
  upstream u { server 127.0.0.1:18380; keepalive 64; }
  server { listen 127.0.0.1:$2; server_name _; $4 location / { $3 } }
}
CONF
	nginx -p "$dir" -c "$dir/$1.conf" 2>>"$dir/logs/start.log" || { cat "$dir/logs/start.log" >&2; exit 1; }
}
pass='proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;'
conf upstream 18380 'default_type application/json; return 200 "{\"ok\":true}";' ''
conf plain 18381 "$pass" ''
conf modsecurity 18382 "$pass" "modsecurity on; modsecurity_rules_file $dir/rules.conf;"
if [ -n "${SERVE:-}" ]; then # for bench/gateway: the worker's id, and then wait to be ended
	sleep 1
	cat /proc/"$(cat "$dir/modsecurity.pid")"/task/*/children | awk '{print $1}'
	trap 'exit 0' TERM INT
	while :; do sleep 1; done
fi

prose="Our claims team photographs damaged cars, and we would like the captions to say which side was hit; please keep them short (at most 20 words), factual & neutral. If you are unsure, say so - do not guess! "
chat() { printf '{"model":"captioner-small","temperature":0.2,"max_tokens":64,"messages":[{"role":"system","content":"You describe pictures."},{"role":"user","content":"%s"}]}' "$1"; }
chat "What does the picture show?" >"$dir/small.json"
long=""; while [ ${#long} -lt 10240 ]; do long="$long$prose"; done
chat "$long" >"$dir/10k.json"
cat >"$dir/post.lua" <<LUA
local f = io.open(os.getenv("BODY"), "rb"); local body = f:read("*a"); f:close()
wrk.method = "POST"; wrk.body = body
wrk.headers["Content-Type"] = "application/json"; wrk.headers["Host"] = "captioner.example"
wrk.headers["User-Agent"] = "openai-python/1.40.0"; wrk.headers["Accept"] = "application/json"
wrk.headers["Authorization"] = "Bearer eyJhbGciOi.eyJzdWIiOi.c2ln"
LUA
ran() { # nanoseconds that the children of a master ran
	total=0
	for child in $(cat /proc/"$1"/task/*/children); do
		for t in /proc/"$child"/task/*/schedstat; do total=$((total + $(cut -d' ' -f1 "$t"))); done
	done
	echo "$total"
}
for body in small 10k; do
	for name in plain modsecurity; do
		port=18381; [ "$name" = modsecurity ] && port=18382
		master=$(cat "$dir/$name.pid")
		before=$(ran "$master")
		BODY="$dir/$body.json" wrk -t1 -c4 -d"${seconds}s" --timeout 20s -s "$dir/post.lua" "http://127.0.0.1:$port/v1/chat/completions" >"$dir/out"
		after=$(ran "$master")
		n=$(awk '/requests in/{print $1}' "$dir/out")
		bad=$(awk '/Non-2xx/{print $NF}' "$dir/out")
		echo "$name $body: $(((after - before) / 1000 / n)) us of CPU per request, $n requests, ${bad:-0} not answered 200"
	done
done
# Ours, in process: a request whose line, headers and fields were not seen before,
# one that was, and 10 KB of text, not seen and seen.
GOMAXPROCS=1 go test ./internal/gateway/waf -run '^$' -bench 'Check|Score' -benchtime "${seconds}s" | grep ^Benchmark
