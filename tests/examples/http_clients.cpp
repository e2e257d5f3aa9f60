// SPDX-License-Identifier: MIT
// The demo server as other people's clients see it: curl, Python's http.client and Node's http, each of which checks
// some hundred exchanges itself.
#include "support/example.hpp"

#include <doctest/doctest.h>

#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

using test::Example;
using test::Helper;

namespace {

/// Runs until the first check fails, which its output then names.
constexpr const char* with_curl = R"sh(
set -euo pipefail
base=$1
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
trap 'echo "line $LINENO: $BASH_COMMAND"' ERR
is() { [ "$1" = "$2" ] || { echo "'${1:0:200}' is not '${2:0:200}'"; return 1; }; }
curl() { command curl -sS --max-time 20 "$@"; }
connects() { awk '{ all += $1 } END { print all }'; }

# keep-alive
is "$(curl "$base/hello/[1-300]")" "$(seq -f 'Hello %g' 300)"
is "$(curl -o /dev/null -w '%{num_connects}\n' "$base/hello/[1-300]" | connects)" 1
is "$(curl -H 'Connection: close' -o /dev/null -w '%{num_connects}\n' "$base/hello/[1-20]" | connects)" 20

# several kinds of requests on one connection
curl "$base/" -o a --next -d text "$base/" -o b --next -I "$base/bytes/7" -o c --next -T - "$base/" -o d <<<put \
  -w '%{num_connects}\n' >connects
is "$(cat a)" 'Hello World'
is "$(cat b)" text
grep -q '^HTTP/1.1 200 OK' c && grep -q '^Content-Length: 7' c && ! grep -qi '^Transfer-Encoding' c
is "$(cat d)" put
is "$(cat connects)" 0

# bodies
seq 80000 >body
curl --data-binary @body "$base/" | cmp - body
curl -H 'Expect: 100-continue' -v --data-binary @body "$base/" 2>log | cmp - body
grep -q '^< HTTP/1.1 100 Continue' log
curl -X POST -H 'Transfer-Encoding: chunked' --data-binary @body "$base/" | cmp - body
curl -T - "$base/" <body | cmp - body
is "$(curl --data-binary @/dev/null "$base/")" ''
is "$(head -c 2000000 /dev/zero | curl --data-binary @- -H 'Expect: 100-continue' -o /dev/null -w '%{http_code}' "$base/")" 413
is "$(head -c 1080000 /dev/zero | curl -T - -H 'Expect:' -o /dev/null -w '%{http_code}' "$base/")" 413
is "$(curl "$base/bytes/20000000" | wc -c)" 20000000

# methods
for method in POST PUT PATCH DELETE OPTIONS PROPFIND; do
  is "$(curl -X $method -d "$method it" "$base/")" "$method it"
done
is "$(curl -X BREW -o /dev/null -w '%{http_code}' "$base/")" 501
is "$(curl -X TRACE -o /dev/null -w '%{http_code}' "$base/")" 501
is "$(curl -o /dev/null -w '%{http_code}' "$base/none")" 404
is "$(curl -X PUT -o /dev/null -w '%{http_code}' "$base/hello")" 405
is "$(curl --request-target '*' -X OPTIONS -o /dev/null -w '%{http_code}' "$base/")" 204
is "$(curl -H 'Host:' -o /dev/null -w '%{http_code}' "$base/")" 400

# HTTP/1.0
is "$(curl --http1.0 "$base/hello/[1-20]")" "$(seq -f 'Hello %g' 20)"
is "$(curl --http1.0 -o /dev/null -w '%{num_connects}\n' "$base/hello/[1-20]" | connects)" 20
is "$(curl --http1.0 -H 'Connection: keep-alive' -o /dev/null -w '%{num_connects}\n' "$base/hello/[1-20]" | connects)" 1
curl --http1.0 --data-binary @body "$base/" | cmp - body
echo ok
)sh";

constexpr const char* with_python = R"py(
import http.client, sys
host = sys.argv[1].removeprefix('http://')
client = http.client.HTTPConnection(host, timeout=20)

def ask(method, path, body=None, **more):
    client.request(method, path, body=body, **more)
    answer = client.getresponse()
    return answer, answer.read()

client.connect()
socket = client.sock
for number in range(300):
    answer, body = ask('GET', '/hello/%d' % number)
    assert answer.status == 200 and body == b'Hello %d\n' % number, body
    assert answer.getheader('Date') and answer.version == 11
text = b'some text, ' * 5000
for number in range(100):
    method = ('POST', 'PUT', 'PATCH', 'DELETE')[number % 4]
    answer, body = ask(method, '/', text[:number * 500])
    assert answer.status == 200 and body == text[:number * 500], method
    answer, body = ask(method, '/', iter([text[:7], text[7:number * 500 + 8]]), encode_chunked=True,
                       headers={'Transfer-Encoding': 'chunked'})
    assert body == text[:number * 500 + 8], 'chunked ' + method
    answer, body = ask('HEAD', '/bytes/%d' % number)
    assert answer.status == 200 and body == b'' and answer.getheader('Content-Length') == str(number)
    answer, body = ask('GET', '/none')
    assert answer.status == 404 and answer.reason == 'Not Found'
answer, body = ask('GET', '/bytes/5000000')
assert body == b'x' * 5000000
assert client.sock is socket, 'one connection does for all'
answer, body = ask('GET', '/', headers={'Connection': 'close'})
assert answer.getheader('Connection') == 'close' and client.sock is None
try:
    answer, body = ask('POST', '/', b'x' * 2000000)
    assert answer.status == 413
except (BrokenPipeError, ConnectionResetError):
    pass  # it does not read the answer before all is sent
print('ok')
)py";

constexpr const char* with_node = R"js(
const http = require('http'), assert = require('assert');
const url = new URL(process.argv[1]);
const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
const sockets = new Set();

function ask(method, path, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: url.hostname, port: url.port, agent, method, path, headers, timeout: 20000 });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('socket', (socket) => sockets.add(socket));
    let continued = false;
    request.on('continue', () => { continued = true; request.end(body); });
    request.on('response', (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve({ response, continued, body: Buffer.concat(parts).toString() }));
      response.on('error', reject);
    });
    if (headers.Expect) return request.flushHeaders();
    if (Array.isArray(body)) { for (const part of body) request.write(part); request.end(); }
    else request.end(body);
  });
}

async function main() {
  const asked = [];
  for (let i = 0; i < 400; ++i) {
    const text = 'text '.repeat(i * 20);
    if (i % 4 == 0) asked.push(ask('GET', '/hello/' + i).then((a) => assert.strictEqual(a.body, `Hello ${i}\n`)));
    if (i % 4 == 1) asked.push(ask('POST', '/', text, { 'Content-Length': text.length })
      .then((a) => assert.strictEqual(a.body, text)));
    if (i % 4 == 2) asked.push(ask('PUT', '/', [text, 'more']).then((a) => assert.strictEqual(a.body, text + 'more')));
    if (i % 4 == 3) asked.push(ask('HEAD', '/bytes/' + i).then((a) => {
      assert.strictEqual(a.response.headers['content-length'], String(i));
      assert.strictEqual(a.body, '');
    }));
  }
  await Promise.all(asked);
  assert(sockets.size <= 4, `${sockets.size} connections for 400 requests`);
  const expected = await ask('POST', '/', 'late', { Expect: '100-continue', 'Content-Length': 4 });
  assert(expected.continued && expected.body === 'late');
  assert.strictEqual((await ask('GET', '/bytes/3000000')).body.length, 3000000);
  assert.strictEqual((await ask('GET', '/none')).response.statusCode, 404);
  assert.strictEqual((await ask('DELETE', '/', 'x', { 'Content-Length': 1 })).body, 'x');
  const closed = await ask('GET', '/', undefined, { Connection: 'close' });
  assert.strictEqual(closed.response.headers.connection, 'close');
  agent.destroy();
  console.log('ok');
}
main().catch((error) => { console.log(error.stack); process.exit(1); });
)js";

/// What a program says of the server, given as the arguments that come before its address.
std::string said_by(std::vector<std::string> command) {
    Example server("http_server", {"--port", "0", "--workers", "2"});
    command.push_back("http://127.0.0.1:" + std::to_string(Example::port_in(server.line().value_or(""))));
    Helper client([&command] {
        ::dup2(STDOUT_FILENO, STDERR_FILENO);
        std::vector<char*> argv;
        for (std::string& word : command) argv.push_back(word.data());
        argv.push_back(nullptr);
        ::signal(SIGPIPE, SIG_DFL);
        ::execvp(argv[0], argv.data());
        std::perror(argv[0]);
        return 119;
    });
    const std::string said = client.rest();
    CHECK(client.wait() == cohort::ExitStatus::exited(0));
    server.signal(SIGTERM);
    CHECK(server.wait() == cohort::ExitStatus::exited(0));
    return said;
}

} // namespace

TEST_CASE("curl is content with http_server") { CHECK(said_by({"bash", "-c", with_curl, "bash"}) == "ok\n"); }

TEST_CASE("Python's http.client is content with http_server") {
    CHECK(said_by({"python3", "-c", with_python}) == "ok\n");
}

TEST_CASE("Node's http.Agent is content with http_server") {
    CHECK(said_by({"env", "-u", "NODE_EXTRA_CA_CERTS", "node", "-e", with_node}) == "ok\n");
}
