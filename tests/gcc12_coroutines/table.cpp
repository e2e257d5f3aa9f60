// SPDX-License-Identifier: MIT
// Lines that g++ 12 compiles wrongly say so; it destroys the object twice. The others it compiles well.
#include <cohort/task.hpp>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using cohort::Task;

struct Text {
    std::string text;
    int number = 0;
};
struct Numbers {
    int a = 0;
    int b = 0;
};

Task<> run(std::function<void()> work);
template <class Work>
Task<> run_any(const Work& work) {
    work();
    co_return;
}
Task<> send(const Text& text);
Task<> send_to(int whom, const Text& text = {}); // found
Task<> send_string(const std::string& text);
Task<> send_numbers(Numbers numbers);
Task<std::string> read();
Task<std::optional<std::string>> receive();
Task<bool> arrived();
Task<int> number();

Task<> lambdas(std::string name, int number) {
    co_await run([name] {});                            // found
    co_await run_any([name] {});                        // found
    co_await run_any([&number, copy = name] {});        // found
    co_await run_any([owned = std::vector<int>(3)] {}); // found
    co_await run([] {});
    co_await run([&name] {});
    co_await run_any([number] {});
    const auto work = [name] {};
    co_await run_any(work);
    co_await run(work);
}

Task<> aggregates(std::string name) {
    co_await send(Text{"a", 1});   // found
    co_await send({name, 1});      // found
    Text text{co_await read(), 3}; // found
    text = {co_await read(), 4};   // found
    co_await send_to(3);           // the default argument
    const Text named{"a", 1};
    co_await send(named);
    co_await send_numbers(Numbers{1, 2});
    co_await send_numbers({1, 2});
    co_await send_string(std::string("a"));
    co_await send_string("a");
    auto awaited = co_await read();
    Text built{std::move(awaited), 3};
    const int four = co_await number();
    const Numbers numbers{four, 4};
    co_await send_numbers(numbers);
}

Task<> conditions() {
    while (co_await receive()) { // found
    }
    if (co_await receive()) co_return;        // found
    if ((co_await read()).empty()) co_return; // found
    do {
    } while (co_await receive()); // found
    for (; co_await receive();) { // found
    }
    while (const auto text = co_await receive()) {
    }
    if (const auto text = co_await receive()) co_return;
    while (co_await arrived()) {
    }
    if (co_await number() == 3) co_return;
    const auto text = co_await receive();
    if (text) co_return;
}

Task<std::string> choices(bool is_so) {
    const std::string chosen = is_so ? co_await read() : std::string("none"); // found
    const int counted = is_so ? co_await number() : 3;
    std::string other = "none";
    if (is_so) other = co_await read();
    co_return chosen + other + std::to_string(counted);
}

/// A lambda that is a coroutine itself: its awaits are not its surroundings'.
void lambdas_that_await(std::function<void(Task<>)> spawn, int value) {
    spawn([](int its_value) -> Task<> { co_await send_numbers({its_value, 1}); }(value));
}
