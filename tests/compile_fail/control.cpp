// SPDX-License-Identifier: MIT
// A correct program, close to all those that must fail.
#include <cohort/serialize.hpp>

#include <memory>
#include <string>
#include <vector>

class Secret {
public:
    static void serialize(auto& archive, auto& self) { archive(self.value_); }

private:
    int value_ = 0;
};

struct Hit {
    std::string path;
    std::vector<Secret> secrets;
    std::unique_ptr<Hit> previous;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }

bool receive(std::span<const std::byte> bytes, Hit& message) { return !cohort::decode(bytes, message); }
