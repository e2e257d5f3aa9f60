// SPDX-License-Identifier: MIT
#include <cohort/detail/serialize/reflect.hpp>

#include <doctest/doctest.h>

#include <any>
#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

namespace {

using cohort::detail::HasBase;
using cohort::detail::max_members;
using cohort::detail::member_count;
using cohort::detail::MembersOf;
using cohort::detail::TypeList;
using cohort::detail::unknown_count;
using cohort::detail::visit_members;

struct Empty {};
struct Point {
    int x, y;
};
struct Explicit {
    explicit Explicit(int = 0) {}
};
struct NoDefault {
    NoDefault(int) {}
};

template <class... M>
struct Holder;
template <class A>
struct Holder<A> {
    A a;
};
template <class A, class B>
struct Holder<A, B> {
    A a;
    B b;
};
template <class A, class B, class C>
struct Holder<A, B, C> {
    A a;
    B b;
    C c;
};

struct Tree {
    std::vector<Tree> children;
    std::unique_ptr<Tree> parent;
    std::optional<std::vector<Tree>> others;
};

struct Zoo {
    int number;
    char text[3];
    std::string string;
    Point nested;
    Point points[2];
    int matrix[2][3];
    std::array<int, 4> array;
    std::optional<int> optional;
    std::variant<int, std::string> variant;
    std::tuple<int> tuple;
    std::filesystem::path path;
    Explicit explicit_default;
    Empty empty;
    bool last;
};

struct ThirtyTwo {
    int m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16;
    int m17, m18, m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30, m31, m32;
};

struct ThirtyThree {
    int m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, m16;
    int m17, m18, m19, m20, m21, m22, m23, m24, m25, m26, m27, m28, m29, m30, m31, m32, m33;
};

struct Large {
    char bytes[4096];
    int behind;
};

TEST_CASE("members are counted") {
    CHECK(member_count<Empty>() == 0);
    CHECK(member_count<Point>() == 2);
    CHECK(member_count<Zoo>() == 14);
    CHECK(member_count<ThirtyTwo>() == 32);
    CHECK(member_count<ThirtyThree>() == max_members + 1);
    CHECK(member_count<Tree>() == 3);
    CHECK(member_count<Large>() == 2);
}

TEST_CASE_TEMPLATE("one member is one member, whatever its type and place", T, bool, long double, std::string, Point,
                   Empty, int[3], Point[2], int[2][2][2], std::array<Point, 3>, std::vector<int>, std::map<int, int>,
                   std::optional<int>, std::optional<Point>, std::variant<int, Point>, std::variant<std::monostate>,
                   std::tuple<>, std::tuple<int>, std::tuple<int, int>, std::unique_ptr<int>, std::filesystem::path,
                   std::chrono::seconds, std::any, std::function<void()>, std::mutex, std::string_view, int*, Explicit,
                   NoDefault) {
    CHECK(member_count<Holder<T>>() == 1);
    CHECK(member_count<Holder<T, int>>() == 2);
    CHECK(member_count<Holder<int, T>>() == 2);
    CHECK(member_count<Holder<int, T, std::string>>() == 3);
    CHECK(member_count<Holder<int[2], T, int[2]>>() == 3);
    CHECK(member_count<Holder<T, Explicit, T>>() == 3);
    CHECK(std::is_same_v<MembersOf<Holder<int, T, char>>, TypeList<int, T, char>>);
    CHECK(!HasBase<Holder<T>>);
}

TEST_CASE("members that cannot be listed are said to be so") {
    CHECK(member_count<Holder<int&>>() == unknown_count);
    CHECK(member_count<Holder<int, int&>>() == unknown_count);
}

TEST_CASE("a base class is noticed") {
    struct Derived : Point {
        int z;
    };
    struct Tagged : Empty {
        int z;
    };
    CHECK(HasBase<Derived>);
    CHECK(HasBase<Tagged>);
    CHECK(!HasBase<Point>);
    CHECK(!HasBase<Empty>);
    CHECK(!HasBase<Holder<Derived>>);
}

TEST_CASE("members are visited in order, and are the members themselves") {
    Holder<int, Point, std::string> value{1, {2, 3}, "four"};
    const std::string seen = visit_members(value, [](int& a, Point& b, std::string& c) {
        a = 5;
        return std::to_string(b.x) + std::to_string(b.y) + c;
    });
    CHECK(seen == "23four");
    CHECK(value.a == 5);
}

TEST_CASE("members of a const value are const") {
    const Point value{1, 2};
    visit_members(value,
                  [](auto&... member) { CHECK((std::is_const_v<std::remove_reference_t<decltype(member)>> && ...)); });
}

TEST_CASE("thirty-two members are visited") {
    ThirtyTwo value{};
    int next = 0;
    visit_members(value, [&next](auto&... member) { ((member = ++next), ...); });
    CHECK(value.m1 == 1);
    CHECK(value.m17 == 17);
    CHECK(value.m32 == 32);
}

} // namespace
