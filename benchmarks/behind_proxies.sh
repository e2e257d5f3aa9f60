#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Does http_server behave behind proxies that keep connections to it? nginx and HAProxy in front of 2 workers, in both
# modes, under wrk: so many requests while all workers are replaced again and again (HUP), and some that meet
# connections whose idle timeout has just passed.
# Run:    behind_proxies.sh BUILD [REQUESTS]   (100,000 for each proxy and mode; BUILD has examples/ built)
#         behind_proxies.sh BUILD uploads [N]  (1,000 for each proxy: uploads of 1 KB to 50 MB that are refused early, by
#         401, 404, 405 and 413, with the proxies' settings as Debian ships them)
# Expect: no failed request, and no complaint in a proxy's log; exit code 1 otherwise. Neither proxy tries a request
#         again, but where the idle timeout is met: there HAProxy must be told to, as nginx does anyway. Each upload is
#         answered with the server's status: none with 502, and none is reset.
set -euo pipefail

build=${1:?usage: behind_proxies.sh BUILD [REQUESTS | uploads [N]]}
wanted=${2:-100000}
uploads=${3:-1000}
idle=60 # ms
short=0

for program in wrk nginx haproxy; do
  command -v $program >/dev/null || [ -x /usr/sbin/$program ] ||
    { echo "behind_proxies.sh needs $program: apt-get install $program" >&2; exit 2; }
done
PATH=$PATH:/usr/sbin

work=$(mktemp -d)
pids=()
stop() {
  if ((${#pids[@]})); then
    kill "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
  fi
  pids=()
}
trap 'stop; rm -rf "$work"' EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

until_answered() { # URL
  local deadline=$((SECONDS + 10))
  until curl -sf -o /dev/null --max-time 2 "$1"; do
    ((SECONDS < deadline)) || { echo "behind_proxies.sh: $1 does not answer" >&2; exit 2; }
    sleep 0.02
  done
}

start_server() { # MODE [OPTION...]
  local port
  port=$(free_port)
  "$build/examples/http_server" --port "$port" --workers 2 --mode "$@" >"$work/server.log" 2>&1 &
  server=$! server_port=$port
  pids+=("$server")
  until_answered "http://127.0.0.1:$port/"
}

nginx_config() { # PORT
  cat <<END
daemon off; pid $work/nginx.pid; error_log $work/proxy.log warn; worker_processes 1;
events { worker_connections 512; }
http {
  access_log off; keepalive_requests 1000000;
  client_body_temp_path $work/body; proxy_temp_path $work/proxied;
  fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  upstream cohort { server 127.0.0.1:$server_port; keepalive 64; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:$1;
    location / {
      proxy_pass http://cohort; proxy_http_version 1.1; proxy_set_header Connection "";
      ${2:-proxy_next_upstream off;}
    }
  }
}
END
}

haproxy_config() { # PORT
  cat <<END
global
  maxconn 512
defaults
  mode http
  timeout client 30s
  timeout connect 5s
  timeout server 30s
  ${2:-retries 0}
frontend front
  bind 127.0.0.1:$1
  default_backend back
backend back
  http-reuse always
  server cohort 127.0.0.1:$server_port
END
}

# What Debian ships, with one proxy_pass and room for the uploads; its own files and users are replaced.
nginx_as_shipped() { # PORT
  cat <<END
user $(id -un); daemon off; pid $work/nginx.pid; error_log $work/proxy.log; worker_processes auto;
events { worker_connections 768; }
http {
  sendfile on; tcp_nopush on; types_hash_max_size 2048; gzip on; access_log off;
  client_body_temp_path $work/body; proxy_temp_path $work/proxied;
  fastcgi_temp_path $work/fastcgi; uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  server {
    listen 127.0.0.1:$1;
    client_max_body_size 100m;
    location / { proxy_pass http://127.0.0.1:$server_port; }
  }
}
END
}

haproxy_as_shipped() { # PORT
  cat <<END
defaults
  mode http
  timeout connect 5000
  timeout client 50000
  timeout server 50000
frontend front
  bind 127.0.0.1:$1
  default_backend back
backend back
  server cohort 127.0.0.1:$server_port
END
}

start_proxy() { # NAME [RETRIES [CONFIG]]
  proxy_port=$(free_port)
  : >"$work/proxy.log"
  "${3:-$1_config}" "$proxy_port" "${2-}" >"$work/$1.conf"
  case $1 in
    nginx) nginx -c "$work/nginx.conf" -e "$work/proxy.log" & ;;
    haproxy) haproxy -db -f "$work/haproxy.conf" >>"$work/proxy.log" 2>&1 & ;;
  esac
  pids+=($!)
  until_answered "http://127.0.0.1:$proxy_port/"
}

# Adds what wrk says to $requests and $failed.
load() { # SECONDS [OPTION...]
  wrk -t2 -d"$1" "${@:2}" "http://127.0.0.1:$proxy_port/" >"$work/wrk"
  local counted
  counted=$(awk '/ requests in / { requests = $1 }
    /Non-2xx/ { failed += $NF }
    /Socket errors/ { gsub(",", ""); failed += $4 + $6 + $8 + $10 }
    END { print requests + 0, failed + 0 }' "$work/wrk")
  requests=$((requests + ${counted% *})) failed=$((failed + ${counted#* }))
}

claim() { # WHAT
  local verdict=ok complaints
  complaints=$(grep -cvE '^\[NOTICE\]|^$' "$work/proxy.log" || true)
  ((failed + complaints == 0)) || verdict='FALLS SHORT'
  [ "$verdict" = ok ] || short=1
  printf '%-44s %9d %-12s ceiling 0  %s\n' "$1" $((failed + complaints)) failures "$verdict"
  printf '  %d requests, %d reloads\n' "$requests" "$reloads"
  head -3 "$work/proxy.log" | sed 's/^/  /'
}

behind() { # PROXY MODE
  requests=0 failed=0 reloads=0
  start_server "$2"
  start_proxy "$1"
  local first_workers
  first_workers=$(<"/proc/$server/task/$server/children")
  while ((requests < wanted)); do
    (sleep 0.7; kill -HUP "$server"; sleep 0.7; kill -HUP "$server") &
    load 2 -c64
    wait $!
    reloads=$((reloads + 2))
  done
  [ "$(<"/proc/$server/task/$server/children")" != "$first_workers" ] ||
    { echo "behind_proxies.sh: no worker was replaced" >&2; exit 2; }
  stop
  claim "behind $1, $2"
}

# Each connection is used again when it has been idle for about as long as it may be.
idle_behind() { # PROXY RETRIES
  requests=0 failed=0 reloads=0
  start_server round-robin --idle-timeout $idle
  start_proxy "$1" "$2"
  echo "function delay() return math.random($idle, $((idle + 12))) end" >"$work/delay.lua"
  load 3 -c64 -s "$work/delay.lua"
  stop
  claim "behind $1, idle timeouts of $idle ms"
}

# Line by line: the status that is expected, the path, and the size.
list_uploads() { # N LIMIT
  awk -v n="$1" -v limit="$2" 'BEGIN {
    split("401 404 405 413", status); split("/private /none /worker /small", path)
    for (i = 0; i < n; ++i) {
      size = int(1024 * exp(log(51200) * (int(i / 4) * 17 % 40) / 39))
      print (size > limit ? 413 : status[i % 4 + 1]), path[i % 4 + 1], size
    }
  }'
}

upload() { # STATUS PATH SIZE: "401 as expected", or what came instead
  local file got failure=0
  file=$work/upload.$BASHPID
  truncate -s "$3" "$file"
  got=$(curl -s -o /dev/null -w '%{http_code}' --max-time 60 -H 'Expect:' --data-binary "@$file" \
    "http://127.0.0.1:$proxy_port$2") || failure=$?
  rm -f "$file"
  if [ "$got $failure" = "$1 0" ]; then echo "$1 as expected"; else echo "$got for $1 (curl: $failure)"; fi
}

upload_behind() { # PROXY LIMIT: refused by the server beyond that size, else by what the path stands for
  requests=$((uploads / 2)) failed=0 reloads=0
  start_server round-robin --body-limit "$2"
  start_proxy "$1" '' "$1_as_shipped"
  list_uploads "$requests" "$2" | xargs -P 8 -L 1 bash -c 'upload "$@"' upload >"$work/uploads"
  failed=$(grep -cv 'as expected$' "$work/uploads" || true)
  sed -i '/\[warn\]/d' "$work/proxy.log" # nginx tells there that it buffers what is large
  claim "behind $1, uploads beyond $2 bytes"
  sort "$work/uploads" | uniq -c
  stop
}

if [ "$wanted" = uploads ]; then
  export -f upload
  export work proxy_port
  for proxy in nginx haproxy; do
    for limit in 1048576 104857600; do upload_behind $proxy $limit; done
  done
  exit $short
fi
for proxy in nginx haproxy; do
  for mode in round-robin shared-socket; do behind $proxy $mode; done
done
idle_behind nginx 'proxy_next_upstream error timeout;'
idle_behind haproxy 'retry-on conn-failure empty-response'
exit $short
