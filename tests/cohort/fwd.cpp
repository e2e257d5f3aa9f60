// SPDX-License-Identifier: MIT
// Every name is that of the type that its own header defines: this would not compile else.
#include <cohort/fwd.hpp>

#include <cohort.hpp>

#include <doctest/doctest.h>

#include <type_traits>

namespace {

/// As a header of a program has it.
struct Server {
    cohort::WorkerBase* worker = nullptr;
    cohort::Listener* listener = nullptr;
    cohort::http::Router<cohort::WorkerBase>* router = nullptr;
};

} // namespace

TEST_CASE("what is named ahead is what the headers define") {
    CHECK(std::is_default_constructible_v<Server>);
    CHECK(std::is_class_v<cohort::Master<int>>);
    CHECK(std::is_base_of_v<cohort::MasterBase, cohort::Master<int>>);
}
