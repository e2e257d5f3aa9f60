// SPDX-License-Identifier: MIT
// Reading a body to its end.
#include <cohort/http/body.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <doctest/doctest.h>

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace cohort;

namespace {

class Chunks : public http::detail::BodySource {
public:
    explicit Chunks(std::vector<std::string> chunks) : chunks_(std::move(chunks)) {}
    Task<std::optional<std::string_view>> read_chunk() override {
        if (next_ == chunks_.size()) co_return std::nullopt;
        co_return chunks_[next_++];
    }

private:
    std::vector<std::string> chunks_;
    std::size_t next_ = 0;
};

Task<> read_twice(http::Body body, std::string& text) {
    text = co_await body.text();
    const auto more = co_await body.read();
    text += more ? " more" : " end";
}

std::string run_reading(http::Body body) {
    asio::io_context io;
    std::string text;
    asio::co_spawn(io, read_twice(body, text), [](const std::exception_ptr& failure) {
        if (failure) std::rethrow_exception(failure);
    });
    io.run();
    return text;
}

} // namespace

TEST_CASE("a body is read to its end, and then there is nothing more") {
    Chunks chunks({"one ", "two ", "three"});
    CHECK(run_reading(http::Body(&chunks)) == "one two three end");
    CHECK(run_reading(http::Body()) == " end");
}
