// SPDX-License-Identifier: MIT
#include <cohort/mail.hpp>

#include <doctest/doctest.h>

#include <asio/io_context.hpp>

#include <support/run_for.hpp>

#include <string>

namespace mails {

struct Text {
    std::string text;
};

} // namespace mails

using mails::Text;

TEST_CASE("mail that is no call expects no reply, and replying to it is of no consequence") {
    struct Run {
        static cohort::Task<> reply(cohort::Mail<Text, Text>& mail) {
            const Text text{"to nobody"};
            co_await mail.reply(text);
        }
    };
    cohort::Mail<Text, Text> mail;
    CHECK_FALSE(mail.expects_reply());
    CHECK_FALSE(mail.cancelled());
    mail.fail("no matter");
    asio::io_context io;
    test::run_for(io, Run::reply(mail));
    CHECK(mail.from == 0);
}
