// cksum(1) over many files at once: a worker for each CPU, one call for each file.
// Run:    job_pool [--workers N] FILE...        (0, the default: one for each CPU)
// Expect: "<checksum> <bytes> <name>" as each file is done, a bar meanwhile on a terminal; code 1 when one failed.

#include <cohort/handle.hpp>
#include <cohort/run.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <array>
#include <charconv>
#include <iostream>
#include <list>
#include <span>

#include <getopt.h>

using namespace cohort;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

// The master opens the files and passes them open: a worker needs no right to open any.
struct File {
    Handle content;
};
struct Sum {
    std::uint32_t checksum = 0;
    std::uint64_t bytes = 0;
    int error = 0;
};
using App = Master<Duplex<File, Sum>>;

// In a worker

constexpr auto crc_of_byte = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t crc = byte << 24;
        for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ (crc >> 31) * 0x04c11db7;
        table[byte] = crc;
    }
    return table;
}();

void add(std::uint32_t& crc, std::uint8_t byte) { crc = (crc << 8) ^ crc_of_byte[(crc >> 24) ^ byte]; }

/// POSIX appends the length to the bytes, least significant byte first.
std::uint32_t finished(std::uint32_t crc, std::uint64_t length) {
    for (; length != 0; length >>= 8) add(crc, static_cast<std::uint8_t>(length));
    return ~crc;
}

Task<Sum> checksum(App::Worker& self, const File& file) {
    const int fd = file.content.get();
    std::array<std::uint8_t, 65536> piece;
    Sum sum;
    ssize_t count = 0;
    while ((count = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(sum.bytes))) > 0) {
        for (const std::uint8_t byte : std::span(piece).first(static_cast<std::size_t>(count))) add(sum.checksum, byte);
        sum.bytes += static_cast<std::uint64_t>(count);
        ::lseek(fd, static_cast<off_t>(sum.bytes), SEEK_SET);     // progress for the master, which shares the offset
        co_await asio::post(self.context(), asio::use_awaitable); // between two pieces this worker may be told to leave
        if (self.stopping()) throw std::runtime_error("stopped");
    }
    if (count < 0) sum.error = errno;
    sum.checksum = finished(sum.checksum, sum.bytes);
    co_return sum;
}

Task<> work(App::Worker& self) {
    return self.serve([&self](const File& file) { return checksum(self, file); });
}

// In the master

struct Batch {
    std::span<char*> names;
    std::size_t next = 0;
    std::size_t done = 0;
    std::size_t failed = 0;
    std::uint64_t bytes = 0;
    std::list<File> under_way{};
    bool bar_shown = false;
};

void erase_bar(Batch& batch) {
    if (std::exchange(batch.bar_shown, false)) std::cerr << "\r\x1b[K";
}

void print(Batch& batch, std::ostream& out, const std::string& line) {
    erase_bar(batch);
    out << line << std::endl;
}

void draw_bar(Batch& batch, std::chrono::duration<double> elapsed) {
    auto bytes = static_cast<double>(batch.bytes);
    for (const File& file : batch.under_way)
        bytes += static_cast<double>(std::max<off_t>(0, ::lseek(file.content.get(), 0, SEEK_CUR)));
    const std::size_t full = 20 * batch.done / batch.names.size();
    const std::string bar = std::string(full, '#') + std::string(20 - full, '.');
    std::array<char, 100> text{};
    std::snprintf(text.data(), text.size(), "[%s] %zu/%zu files, %.1f MB/s", bar.c_str(), batch.done,
                  batch.names.size(), bytes / 1e6 / std::max(elapsed.count(), 0.001));
    std::cerr << "\r\x1b[?7l" + std::string(text.data()) + "\x1b[K\x1b[?7h"; // cut, not wrapped, where it is too long
    batch.bar_shown = true;
}

Task<> show_bar(Batch& batch) {
    asio::steady_timer tick(co_await asio::this_coro::executor);
    const auto begin = std::chrono::steady_clock::now();
    for (;;) {
        draw_bar(batch, std::chrono::steady_clock::now() - begin);
        tick.expires_after(100ms);
        co_await tick.async_wait(asio::use_awaitable);
    }
}

Task<Sum> checksum_of(App& master, File& file, const char* name) {
    file.content = Handle(::open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)); // a pipe nobody writes to must not block
    if (!file.content) throw std::system_error(errno, std::system_category());
    const Sum sum = co_await master.call(file, {.idempotent = true}); // its worker may die: another one does it
    if (sum.error != 0) throw std::system_error(sum.error, std::system_category());
    co_return sum;
}

Task<> take_files(App& master, Batch& batch) {
    while (batch.next < batch.names.size() && std::cout) {
        const std::string name = batch.names[batch.next++];
        const auto file = batch.under_way.emplace(batch.under_way.end());
        try {
            const Sum sum = co_await checksum_of(master, *file, name.c_str());
            print(batch, std::cout, std::to_string(sum.checksum) + ' ' + std::to_string(sum.bytes) + ' ' + name);
            batch.bytes += sum.bytes;
        } catch (const std::system_error& error) {
            if (master.stopping()) co_return;
            print(batch, std::cerr, "job_pool: " + name + ": " + error.code().message());
            ++batch.failed;
        }
        batch.under_way.erase(file);
        ++batch.done;
    }
}

Task<> take_files(App& master, Batch& batch, unsigned at_once) {
    if (at_once == 1) return take_files(master, batch);
    return take_files(master, batch, at_once / 2) && take_files(master, batch, at_once - at_once / 2);
}

Task<> watch(App& master, Batch& batch) {
    const unsigned at_once = 2 * master.options().workers; // one at each worker, and the next one opened already
    if (::isatty(STDERR_FILENO) != 0)
        co_await (take_files(master, batch, at_once) || show_bar(batch));
    else
        co_await take_files(master, batch, at_once);
    erase_bar(batch);
    co_await master.stop();
}

/// How many workers; leaves the names behind optind.
std::optional<unsigned> parse(int argc, char** argv) {
    const option options[] = {{"workers", required_argument, nullptr, 'w'}, {}};
    unsigned workers = 0;
    for (int option = 0; (option = ::getopt_long(argc, argv, "", options, nullptr)) != -1;) {
        if (option != 'w') return std::nullopt;
        const char* const end = optarg + std::string_view(optarg).size();
        const auto [rest, error] = std::from_chars(optarg, end, workers);
        if (error != std::errc{} || rest != end || workers > 1024) return std::nullopt;
    }
    return optind < argc ? std::optional(workers) : std::nullopt;
}

int main(int argc, char** argv) {
    const auto workers = parse(argc, argv);
    if (!workers) {
        std::cerr << "usage: job_pool [--workers 0..1024 (0: one for each CPU)] FILE...\n";
        return 2;
    }
    Batch batch{.names = std::span(argv + optind, argv + argc)};
    const int code = run<App>(
        {.workers = *workers, .calls_per_worker = 1}, [&batch](App& master) { return watch(master, batch); }, work);
    if (batch.done < batch.names.size())
        std::cerr << "job_pool: stopped after " << batch.done << " of " << batch.names.size() << " files\n";
    const bool all_printed = batch.done == batch.names.size() && batch.failed == 0 && std::cout;
    return code != 0 ? code : all_printed ? 0 : 1;
}
