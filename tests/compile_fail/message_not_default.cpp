// SPDX-License-Identifier: MIT
// A message that cannot be made before its members are known.
// expect-first: cohort: this type cannot be a message: it must be default-constructible
// expect: (Culprit = |Fault::not_default, )Hit
#include <cohort/serialize.hpp>

class Hit {
public:
    explicit Hit(int number) : number_{number} {}
    static void serialize(auto& archive, auto& self) { archive(self.number_); }

private:
    int number_;
};

bool receive(std::span<const std::byte> bytes, Hit& message) { return !cohort::decode(bytes, message); }
