// SPDX-License-Identifier: MIT
// What the fuzz targets have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <malloc.h>
#include <sanitizer/allocator_interface.h>
#include <unistd.h>

namespace fuzz {

/// Ends the run as a crash does, so that the input is kept.
inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "does not hold: %s\n", what);
    std::abort();
}

/// The one that the kernel gives next (open(2)): higher when a descriptor was left. To list them all takes longer than
/// most inputs do.
inline int lowest_free_descriptor() {
    const int descriptor = ::dup(STDIN_FILENO);
    ::close(descriptor);
    return descriptor;
}

/// Of the heap.
inline std::size_t allocated_bytes() {
#if __has_feature(address_sanitizer)
    return __sanitizer_get_current_allocated_bytes();
#else
    const auto heap = ::mallinfo2();
    return heap.uordblks + heap.hblkhd;
#endif
}

/// A list of bytes, each read once; behind its end are zeros.
class Script {
public:
    explicit Script(std::string_view bytes) : bytes_(bytes) {}
    bool done() const { return bytes_.empty(); }
    std::string_view rest() const { return bytes_; }
    std::uint8_t next() {
        const auto bytes = take(1);
        return bytes.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(bytes[0]);
    }
    std::string_view take(std::size_t count) {
        const auto taken = bytes_.substr(0, count);
        bytes_.remove_prefix(taken.size());
        return taken;
    }

private:
    std::string_view bytes_;
};

/// Each target has these two.
void run(Script script);
std::vector<std::string> seeds();

} // namespace fuzz

/// Without what costs most and finds least here.
extern "C" const char* __asan_default_options() {
    return "detect_stack_use_after_return=0:quarantine_size_mb=2:thread_local_quarantine_size_kb=64:"
           "max_malloc_fill_size=0:allocator_release_to_os_interval_ms=-1:malloc_context_size=8";
}

/// With COHORT_FUZZ_SEEDS=folder: writes inputs to begin with there, and nothing else.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
    const char* const folder = std::getenv("COHORT_FUZZ_SEEDS");
    if (folder == nullptr) return 0;
    int number = 0;
    for (const auto& seed : fuzz::seeds()) {
        std::ofstream file(std::string(folder) + "/seed" + std::to_string(++number), std::ios::binary);
        file << seed;
    }
    std::exit(0);
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    fuzz::run(fuzz::Script({reinterpret_cast<const char*>(data), size}));
    return 0;
}
