# SPDX-License-Identifier: MIT
# Sourced by .ci/run and the run.sh of examples, tests and benchmarks: what each of them needs from the distribution, in
# one place.
#
#   setup build               a compiler, CMake, Asio, llhttp, OpenSSL
#   setup build test          also what the tests use
#   setup build test clang    also clang 16 or newer (its name is then in $clang)
#   setup build test ci       also what only .ci/run uses
#   setup build bench         also what the benchmarks use

# A need is a probe (what must be there) and a package. Where distributions differ: a|b|c, the first that exists.
setup_needs() {
  case $1 in
    build) need "command:${CXX:-g++}" "$(setup_compiler_package "${CXX:-g++}")"
           need header:cstdlib g++
           need command:cc gcc
           need command:cmake cmake
           need command:ninja ninja-build
           need header:asio/awaitable.hpp libasio-dev
           need header:llhttp.h "$(setup_llhttp_packages)"
           need header:openssl/ssl.h libssl-dev ;;
    test)  need header:doctest/doctest.h doctest-dev
           need header:nlohmann/json.hpp nlohmann-json3-dev
           need header:sqlite3.h libsqlite3-dev
           need command:curl curl
           need command:python3 python3
           need command:node nodejs
           need command:nginx nginx
           need command:haproxy haproxy
           need module:websockets python3-websockets
           need command:pkg-config pkg-config
           need command:meson meson ;;
    clang) need clang "clang-16|clang-17|clang-18|clang-19|clang-20|clang-21" ;;
    ci)    need clang-format "clang-format-16|-"
           need command:clang-query-16 "clang-tools-16|-" ;;
    bench) need header:nlohmann/json.hpp nlohmann-json3-dev
           need header:sqlite3.h libsqlite3-dev
           need command:time time
           need command:wrk wrk
           need command:slowhttptest slowhttptest
           need command:nginx nginx
           need command:haproxy haproxy
           need command:python3 python3
           need command:node nodejs
           need command:curl curl ;;
    *) echo "setup: unknown group $1" >&2; return 2 ;;
  esac
}

setup() {
  missing=()
  local group
  for group; do setup_needs "$group" || return; done
  if ((${#missing[@]})); then setup_install || return; fi
  clang=$(setup_find_clang || true)
}

need() {
  setup_has "$1" || [[ " ${missing[*]} " == *" $2 "* ]] || missing+=("$2")
}

setup_has() {
  case $1 in
    command:*) command -v "${1#command:}" >/dev/null || [ -x "/usr/sbin/${1#command:}" ] ;;
    header:cstdlib) compgen -G '/usr/include/c++/*/cstdlib' >/dev/null ;;
    header:*) local folder
              for folder in /usr/include /usr/local/include /usr/share/include/llhttp; do
                [ -e "$folder/${1#header:}" ] && return
              done
              false ;;
    module:*) [ -e "/usr/lib/python3/dist-packages/${1#module:}" ] ;;
    clang) setup_find_clang >/dev/null && compgen -G '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.asan*.a' >/dev/null ;;
    clang-format) command -v clang-format-16 >/dev/null ;;
  esac
}

setup_find_clang() {
  local version
  for version in 16 17 18 19 20 21; do command -v "clang++-$version" && return; done
  false
}

setup_compiler_package() {
  case $1 in
    clang++-*) echo "clang-${1#clang++-}" ;;
    clang++) echo clang ;;
    *) basename "$1" ;;
  esac
}

# Debian 12 has llhttp as sources only.
setup_llhttp_packages() {
  if grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
    echo "node-llhttp|libllhttp-dev"
  else
    echo "libllhttp-dev|node-llhttp"
  fi
}

# Prints the package that stands for a need, or nothing when only `apt-get update` could tell. "-" means: do without.
setup_choose() {
  local alternatives package policy
  IFS='|' read -ra alternatives <<<"$1"
  for package in "${alternatives[@]}"; do
    policy=''
    [ "$package" = - ] || policy=$(apt-cache policy "$package" 2>/dev/null || true)
    if [ "$package" = - ] || [[ $policy == *"Candidate: "[^\(]* ]]; then
      echo "$package"
      return
    fi
  done
}

# Fills $packages from $missing. Fails, naming the first it cannot resolve.
setup_resolve() {
  local entry package
  packages=()
  for entry in "${missing[@]}"; do
    package=$(setup_choose "$entry")
    [ -n "$package" ] || { unresolved=$entry; return 1; }
    [ "$package" = - ] && continue
    packages+=("$package")
    [[ $package == clang-[0-9]* ]] && packages+=("libclang-rt-${package#clang-}-dev")
  done
  return 0
}

setup_install() {
  local packages=() unresolved='' as_root=()
  if ! command -v apt-get >/dev/null; then
    echo "Missing, and there is no apt-get to install it (names are Debian's): ${missing[*]}" >&2
    return 1
  fi
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
      setup_resolve || packages=("${missing[@]%%|*}")
      ((${#packages[@]})) || return 0
      echo "Missing packages. Run this as root, then try again:" >&2
      echo "  apt-get update && apt-get install -y --no-install-recommends ${packages[*]}" >&2
      return 1
    fi
    as_root=(sudo -n)
  fi
  # `env` because sudo does not pass the environment on.
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  local updated=no
  if ! setup_resolve; then
    setup_update || return
    setup_resolve || { echo "No package in the configured sources provides: $unresolved" >&2; return 1; }
  fi
  ((${#packages[@]})) || return 0
  echo "Installing: ${packages[*]}"
  setup_apt_install && return
  # The package lists may be older than the archive.
  if [ $updated = no ]; then setup_update && setup_apt_install && return; fi
  echo "apt-get could not install: ${packages[*]}" >&2
  return 1
}

setup_update() {
  updated=yes
  setup_quietly "${apt[@]}" -o APT::Update::Error-Mode=any update || { echo "apt-get update failed (see above)" >&2; return 1; }
}

setup_apt_install() { setup_quietly "${apt[@]}" install -y --no-install-recommends "${packages[@]}"; }

# Shows what a command printed only when it fails.
setup_quietly() {
  local output
  output=$("$@" </dev/null 2>&1) || { echo "$output" >&2; return 1; }
}

# Configures with Ninja, unless the folder was made with another generator.
configure() {
  local build=$1
  shift
  local generator=(-G Ninja)
  [ -e "$build/CMakeCache.txt" ] && generator=()
  cmake -S "$source_dir" -B "$build" "${generator[@]}" "$@"
}
