#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh HOW BUILD CXX: installs cohort from its build folder where HOW needs it, then builds and runs the programs of
# this folder against it. HOW: find_package, pkg_config, add_subdirectory, meson_dependency, meson_subproject (those with
# a CMake build folder), meson_install (without one). Exit code 77: a tool is missing.
# Most programs of the header-only way include little: all of it takes long to compile. The test header_only has that,
# and add_subdirectory a cluster of the core alone.
set -euo pipefail
how=$1
build=$2
export CXX=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/* "$work"
prefix=$work/prefix

tool() { command -v "$1" >/dev/null || { echo "no $1: skipped"; exit 77; }; }

# Where the package file is depends on the distribution's name for the library folder.
use_installed() {
  diff -r "$source_dir/include" "$prefix/include"
  PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name cohort.pc)")
  export PKG_CONFIG_PATH
}

install_by_cmake() {
  cmake --install "$build" --prefix "$prefix" >"$work/install.log"
  use_installed
}

install_by_meson() {
  meson setup "$work/build-cohort" "$source_dir" --prefix "$prefix" --buildtype=plain >"$work/setup.log"
  if meson introspect --targets "$work/build-cohort" | grep -q '"cohort_llhttp"'; then
    meson compile -C "$work/build-cohort" cohort_llhttp
  fi
  meson compile -C "$work/build-cohort" cohort:static_library
  meson install -C "$work/build-cohort" --no-rebuild >"$work/install.log"
  use_installed
}

run_consumers() { # FOLDER PROGRAM...
  local program
  for program in "${@:2}"; do "$1/$program"; done
}

by_cmake() {
  command -v ninja >/dev/null && export CMAKE_GENERATOR=Ninja
  cmake -S "$work" -B "$work/build" -DCMAKE_CXX_COMPILER="$CXX" "$@"
  cmake --build "$work/build"
  run_consumers "$work/build" consumer consumer_core
  if [ -e "$work/build/consumer_compiled" ]; then run_consumers "$work/build" consumer_compiled; fi
  if [ -e "$work/build/cluster_core" ]; then run_consumers "$work/build" cluster_core; fi
}

by_pkg_config() {
  local flags libs
  read -ra flags <<<"$(pkg-config --cflags cohort-compiled)"
  read -ra libs <<<"$(pkg-config --libs --static cohort-compiled)"
  "$CXX" -std=c++20 "${flags[@]}" "$work/consumer_compiled.cpp" -o "$work/consumer_compiled" "${libs[@]}"
  read -ra flags <<<"$(pkg-config --cflags cohort)"
  read -ra libs <<<"$(pkg-config --libs --static cohort)"
  "$CXX" -std=c++20 "${flags[@]}" "$work/consumer.cpp" -o "$work/consumer" "${libs[@]}"
  "$CXX" -std=c++20 "${flags[@]}" "$work/consumer_core.cpp" -o "$work/consumer_core" -pthread
  run_consumers "$work" consumer_compiled consumer consumer_core
}

by_meson() { # PROGRAM...
  meson setup "$work/build" "$work" --buildtype=plain
  meson compile -C "$work/build" "$@"
  run_consumers "$work/build" "$@"
}

case $how in
  find_package) install_by_cmake; by_cmake -DCMAKE_PREFIX_PATH="$prefix" ;;
  pkg_config) tool pkg-config; install_by_cmake; by_pkg_config ;;
  add_subdirectory) by_cmake -DCOHORT_FOLDER="$source_dir" ;;
  meson_dependency) tool meson; tool pkg-config; install_by_cmake; by_meson consumer_compiled consumer consumer_core ;;
  meson_subproject) tool meson; mkdir "$work/subprojects"; ln -s "$source_dir" "$work/subprojects/cohort"; by_meson consumer consumer_core ;;
  meson_install) tool meson; tool pkg-config; install_by_meson; by_pkg_config ;;
  *) echo "unknown: $how" >&2; exit 2 ;;
esac
