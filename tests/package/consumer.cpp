// SPDX-License-Identifier: MIT
// Uses all of cohort, as a program does that found the package.
#include <cohort.hpp>

#include <iostream>

int main() {
    const std::error_code error = make_error_code(cohort::Errc::closed);
    std::cout << "cohort " << COHORT_VERSION_STRING << ": " << error.message() << '\n';
    return error ? 0 : 1;
}
