// SPDX-License-Identifier: MIT
// A message whose serialize function would change what is being sent.
// expect-first: cohort: this type cannot be a message: its serialize function must accept a const object
// expect: (Culprit = |Fault::mutable_self, )Hit
#include <cohort/serialize.hpp>

class Hit {
public:
    template <class Archive>
    static void serialize(Archive& archive, Hit& self) {
        archive(self.number_);
    }

private:
    int number_ = 0;
};

void send(const Hit& message, cohort::detail::Buffer& out) { cohort::encode(message, out); }
