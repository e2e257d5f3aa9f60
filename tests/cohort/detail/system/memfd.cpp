// SPDX-License-Identifier: MIT
#include <cohort/detail/system/memfd.hpp>

#include <cohort/detail/system/unique_fd.hpp>

#include <doctest/doctest.h>

#include <support/child.hpp>
#include <support/run_for.hpp>

#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

using namespace cohort::detail;

namespace {

std::string text_of(const Mapping& mapping, std::size_t size) {
    return {reinterpret_cast<const char*>(mapping.bytes().data()), size};
}

struct Ends {
    UniqueFd read;
    UniqueFd write;
};

Ends pipe_ends() {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

} // namespace

TEST_CASE("memory beyond the limit of a file's size is an error, and no signal") {
    const int code = test::in_child([] {
        ::signal(SIGXFSZ, SIG_DFL);
        const rlimit little{4096, 4096};
        if (::setrlimit(RLIMIT_FSIZE, &little) != 0) return 1;
        std::error_code error;
        std::string what;
        try {
            make_memfd("cohort-test", 8192);
        } catch (const std::system_error& failure) {
            error = failure.code();
            what = failure.what();
        }
        if (error != std::errc::file_too_large || what.find("RLIMIT_FSIZE") == what.npos) return 2;
        sigset_t pending;
        ::sigpending(&pending);
        if (sigismember(&pending, SIGXFSZ) == 1) return 3;
        return make_memfd("cohort-test", 4096) ? 0 : 4;
    });
    CHECK(code == 0);
}

TEST_CASE("what is written to a mapping is seen by other mappings and by other processes") {
    const UniqueFd memory = make_memfd("cohort-test", 8192);
    CHECK(size_of(memory.get()) == 8192);
    CHECK((::fcntl(memory.get(), F_GETFD) & FD_CLOEXEC) != 0);
    const Mapping mapping = Mapping::map(memory.get(), 8192, true);
    REQUIRE(mapping.bytes().size() == 8192);
    CHECK(mapping.bytes()[8191] == std::byte{0});
    const int code = test::in_child([&] {
        std::memcpy(mapping.bytes().data(), "hello", 5);
        return 0;
    });
    REQUIRE(code == 0);
    CHECK(text_of(mapping, 5) == "hello");
    CHECK(text_of(Mapping::map(memory.get(), 8192, false), 5) == "hello");
}

TEST_CASE("a mapping outlives the descriptor, moves, and is gone with its owner") {
    UniqueFd memory = make_memfd("cohort-test", 4096);
    Mapping first = Mapping::map(memory.get(), 4096, true);
    memory.reset();
    first.bytes()[0] = std::byte{7};
    std::byte* const base = first.bytes().data();
    Mapping second = std::move(first);
    CHECK(first.bytes().empty());
    CHECK(second.bytes()[0] == std::byte{7});
    first = std::move(second);
    CHECK(first.bytes().data() == base);
    unsigned char resident = 0;
    CHECK(::mincore(base, 4096, &resident) == 0);
    first.reset();
    CHECK(::mincore(base, 4096, &resident) != 0);
    CHECK(first.bytes().empty());
}

TEST_CASE("seals forbid to everybody what they stand for") {
    const UniqueFd memory = make_memfd("cohort-test", 4096);
    CHECK(has_seals(memory.get(), 0));
    CHECK_FALSE(has_seals(memory.get(), F_SEAL_SHRINK));
    seal(memory.get(), F_SEAL_SHRINK | F_SEAL_WRITE);
    CHECK(has_seals(memory.get(), F_SEAL_SHRINK));
    CHECK(has_seals(memory.get(), F_SEAL_SHRINK | F_SEAL_WRITE));
    CHECK_FALSE(has_seals(memory.get(), F_SEAL_SHRINK | F_SEAL_GROW));
    CHECK(::ftruncate(memory.get(), 1) != 0);
    CHECK(test::error_of([&] { Mapping::map(memory.get(), 4096, true); }) == std::errc::operation_not_permitted);
    CHECK(text_of(Mapping::map(memory.get(), 4096, false), 1) == std::string(1, '\0'));
    seal(memory.get(), F_SEAL_SEAL);
    CHECK(test::error_of([&] { seal(memory.get(), F_SEAL_GROW); }) == std::errc::operation_not_permitted);
}

TEST_CASE("memory that is mapped for writing cannot be sealed against it") {
    const UniqueFd memory = make_memfd("cohort-test", 4096);
    Mapping mapping = Mapping::map(memory.get(), 4096, true);
    CHECK(test::error_of([&] { seal(memory.get(), F_SEAL_WRITE); }) == std::errc::device_or_resource_busy);
    mapping.reset();
    seal(memory.get(), F_SEAL_WRITE);
    CHECK(has_seals(memory.get(), F_SEAL_WRITE));
}

TEST_CASE("only memory that is long enough and stays so is safe to map") {
    const UniqueFd memory = make_memfd("cohort-test", 4096);
    CHECK_FALSE(keeps_size(memory.get(), 4096)); // it could be cut
    seal(memory.get(), F_SEAL_SHRINK);
    CHECK(keeps_size(memory.get(), 4096));
    CHECK(keeps_size(memory.get(), 1));
    CHECK_FALSE(keeps_size(memory.get(), 4097));
    const std::string name = "/proc/self/fd/" + std::to_string(memory.get());
    const UniqueFd write_only(::open(name.c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(write_only);
    CHECK_FALSE(keeps_size(write_only.get(), 4096));
    const Ends ends = pipe_ends();
    CHECK_FALSE(keeps_size(ends.read.get(), 0));
    CHECK_FALSE(has_seals(ends.read.get(), F_SEAL_SHRINK));
    CHECK_FALSE(keeps_size(-1, 0));
}

TEST_CASE("memory is filled from its beginning, whole and in the right order") {
    std::vector<std::byte> bytes(300'000);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31 >> 3);
    const UniqueFd memory = make_memfd("cohort-test", bytes.size());
    reserve(memory.get(), bytes.size());
    write_all(memory.get(), bytes);
    const Mapping mapping = Mapping::map(memory.get(), bytes.size(), false);
    CHECK(std::memcmp(mapping.bytes().data(), bytes.data(), bytes.size()) == 0);
    CHECK(size_of(memory.get()) == bytes.size());
}

TEST_CASE("memory is set aside at once, also where it takes several pieces") {
    const std::size_t size = (std::size_t{33} << 20) + 1;
    const UniqueFd memory = make_memfd("cohort-test", size);
    reserve(memory.get(), size);
    struct stat status {};
    REQUIRE(::fstat(memory.get(), &status) == 0);
    CHECK(static_cast<std::size_t>(status.st_blocks) * 512 >= size);
    CHECK(size_of(memory.get()) == size);
}

TEST_CASE("what the kernel refuses is an error") {
    const Ends ends = pipe_ends();
    CHECK(test::error_of([] { static_cast<void>(size_of(-1)); }) == std::errc::bad_file_descriptor);
    CHECK(test::error_of([&] { seal(ends.write.get(), F_SEAL_SHRINK); }) == std::errc::invalid_argument);
    CHECK(test::error_of([&] { reserve(ends.read.get(), 1); }));
    CHECK(test::error_of([&] { write_all(ends.read.get(), std::vector<std::byte>(1)); }));
    CHECK(test::error_of([&] { Mapping::map(ends.read.get(), 4096, false); }));
    const UniqueFd memory = make_memfd("cohort-test", 4096);
    CHECK(test::error_of([&] { Mapping::map(memory.get(), 0, false); }) == std::errc::invalid_argument);
    CHECK(test::error_of([] { make_memfd(std::string(300, 'x').c_str(), 1); }) == std::errc::invalid_argument);
}
