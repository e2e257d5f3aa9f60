// A JSON API over SQLite: notes in one file, which every worker reads and writes on a connection of its own.
// Run:    json_api [--port N] [--workers N] [--database FILE]   (8080, one for each CPU, notes.db), then:
//         curl -H 'Content-Type: application/json' -d '{"title":"Milk"}' localhost:8080/notes
// Expect: 201 and the note. GET /notes?q=&limit=&after= lists; GET, PUT, PATCH and DELETE /notes/:id; errors are JSON.
//         What was answered is there for every worker, after a reload (SIGHUP), and after a worker was killed.

#include <cohort.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <variant>

#include <getopt.h>
#include <sqlite3.h>

using namespace cohort;
using json = nlohmann::json;

struct Note {
    std::int64_t id = 0;
    std::string title{}; // no two have the same
    std::string text{};
    bool pinned = false;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Note, id, title, text, pinned)

// SQLite

struct DatabaseError : std::runtime_error {
    int code;
    explicit DatabaseError(sqlite3* database)
        : std::runtime_error(sqlite3_errmsg(database)), code(sqlite3_extended_errcode(database)) {}
};

void check(sqlite3* database, int code) {
    if (code != SQLITE_OK) throw DatabaseError(database);
}
void run(sqlite3* database, const char* sql) {
    check(database, sqlite3_exec(database, sql, nullptr, nullptr, nullptr));
}

template <auto Function>
struct With {
    void operator()(auto* handle) const { Function(handle); }
};
using Database = std::unique_ptr<sqlite3, With<sqlite3_close>>;

Database open_database(const std::string& file) {
    sqlite3* opened = nullptr;
    const int code = sqlite3_open(file.c_str(), &opened);
    Database database(opened); // to be closed even if it could not be opened
    check(opened, code);
    sqlite3_busy_timeout(opened, 2000);       // others write for a moment only
    run(opened, "PRAGMA journal_mode = WAL"); // readers do not wait for the writer
    run(opened, "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL UNIQUE,"
                " text TEXT NOT NULL, pinned INTEGER NOT NULL) STRICT");
    return database;
}

/// Prepared once, run often; its rows are notes.
class Statement {
public:
    Statement(const Database& database, const char* sql) {
        sqlite3_stmt* prepared = nullptr;
        check(database.get(), sqlite3_prepare_v2(database.get(), sql, -1, &prepared, nullptr));
        handle_.reset(prepared);
    }

    /// With values for ?1, ?2, ... in their order.
    template <class... Values>
    std::vector<Note> operator()(const Values&... values) {
        const std::unique_ptr<sqlite3_stmt, With<sqlite3_reset>> running(handle_.get());
        int index = 0;
        (check(sqlite3_db_handle(handle_.get()), bind(++index, values)), ...);
        std::vector<Note> notes;
        int code = SQLITE_ROW;
        while ((code = sqlite3_step(handle_.get())) == SQLITE_ROW)
            notes.push_back({.id = number(0), .title = text(1), .text = text(2), .pinned = number(3) != 0});
        if (code != SQLITE_DONE) throw DatabaseError(sqlite3_db_handle(handle_.get()));
        return notes;
    }

private:
    int bind(int index, std::int64_t value) { return sqlite3_bind_int64(handle_.get(), index, value); }
    int bind(int index, const std::string& value) {
        return sqlite3_bind_text64(handle_.get(), index, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
    }
    std::int64_t number(int column) { return sqlite3_column_int64(handle_.get(), column); }
    std::string text(int column) {
        const auto* begin = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
        return {begin, static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column))};
    }

    std::unique_ptr<sqlite3_stmt, With<sqlite3_finalize>> handle_;
};

/// All of it or nothing: without commit() it is undone.
struct Transaction {
    sqlite3* database;
    explicit Transaction(const Database& of) : database(of.get()) { run(database, "BEGIN IMMEDIATE"); }
    Transaction(const Transaction&) = delete;
    ~Transaction() {
        if (sqlite3_get_autocommit(database) == 0) sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr);
    }
    void commit() const { run(database, "COMMIT"); }
};

// A worker's part. Nothing is awaited while a statement runs, so requests cannot interleave there.

using App = Master<std::monostate>;

struct Api {
    App::Worker& worker;
    Database database;
    Statement list{database, "SELECT id, title, text, pinned FROM notes"
                             " WHERE id > ?1 AND instr(lower(title), lower(?2)) > 0 ORDER BY id LIMIT ?3"};
    Statement find{database, "SELECT id, title, text, pinned FROM notes WHERE id = ?1"};
    Statement insert{database, "INSERT INTO notes (title, text, pinned) VALUES (?1, ?2, ?3) RETURNING *"};
    Statement update{database, "UPDATE notes SET title = ?2, text = ?3, pinned = ?4 WHERE id = ?1 RETURNING *"};
    Statement erase{database, "DELETE FROM notes WHERE id = ?1 RETURNING *"};
};

std::optional<std::int64_t> to_number(std::string_view text, std::int64_t least, std::int64_t most) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) return std::nullopt;
    return value;
}

/// 0, which no note has, when it is no number.
std::int64_t id_of(const http::Request& request) {
    return to_number(request.param("id").value_or(""), 0, INT64_MAX).value_or(0);
}

std::string text_of(const json& value, const std::string& name, std::int64_t least, std::int64_t most) {
    const auto* const text = value.get_ptr<const json::string_t*>();
    const auto begins = [](char byte) { return (byte & 0xc0) != 0x80; }; // a character of UTF-8
    const auto length = text != nullptr ? std::ranges::count_if(*text, begins) : -1;
    if (length >= least && length <= most) return *text;
    throw http::Error(400, name + " must be a text of " + std::to_string(least) + " to " + std::to_string(most));
}

/// Applies the fields that are given; an invalid note is answered with 400.
void change(Note& note, const json& fields) {
    if (!fields.is_object()) throw http::Error(400, "a note is a JSON object");
    for (const auto& [name, value] : fields.items()) {
        if (name == "title") {
            note.title = text_of(value, name, 1, 200);
        } else if (name == "text") {
            note.text = text_of(value, name, 0, 10'000);
        } else if (name == "pinned") {
            if (!value.is_boolean()) throw http::Error(400, "pinned must be true or false");
            note.pinned = value.get<bool>();
        } else if (name != "id" || value != note.id) {
            throw http::Error(400, name == "id" ? "id cannot be chosen" : "a note has no " + name);
        }
    }
    if (note.title.empty()) throw http::Error(400, "title is missing");
}

Task<json> read_json(const http::Request& request) {
    const std::string text = co_await request.text(64 * 1024);
    co_return json::parse(text);
}

http::Response answer(const json& value, int status = 200) { return http::json(value.dump() + "\n").status(status); }

http::Response answer_one(const std::vector<Note>& found) {
    if (found.empty()) throw http::Error(404, "no such note");
    return answer(found.front());
}

Task<http::Response> list_notes(Api& api, const http::Request& request) {
    const auto limit = to_number(request.query("limit").value_or("20"), 1, 100);
    const auto after = to_number(request.query("after").value_or("0"), 0, INT64_MAX);
    if (!limit) throw http::Error(400, "limit must be a number from 1 to 100");
    if (!after) throw http::Error(400, "after must be the id of a note");
    const std::vector<Note> notes = api.list(*after, request.query("q").value_or(""), *limit);
    co_return answer({{"notes", notes}});
}

Task<http::Response> add_note(Api& api, const http::Request& request) {
    const json fields = co_await read_json(request);
    Note note;
    change(note, fields);
    note = api.insert(note.title, note.text, note.pinned).at(0);
    co_return answer(note, 201).add("Location", "/notes/" + std::to_string(note.id));
}

Task<http::Response> show_note(Api& api, const http::Request& request) {
    co_return answer_one(api.find(id_of(request)));
}

Task<http::Response> replace_note(Api& api, const http::Request& request) {
    const json fields = co_await read_json(request);
    Note note{.id = id_of(request)};
    change(note, fields);
    co_return answer_one(api.update(note.id, note.title, note.text, note.pinned));
}

Task<http::Response> change_note(Api& api, const http::Request& request) {
    const json fields = co_await read_json(request);
    const Transaction transaction(api.database); // what another worker changes between find and update would be lost
    std::vector<Note> found = api.find(id_of(request));
    for (Note& note : found) {
        change(note, fields);
        api.update(note.id, note.title, note.text, note.pinned);
    }
    transaction.commit();
    co_return answer_one(found);
}

Task<http::Response> delete_note(Api& api, const http::Request& request) {
    if (api.erase(id_of(request)).empty()) throw http::Error(404, "no such note");
    co_return http::status(204);
}

// Around the handlers

Task<http::Response> no_such_path(const http::Request&) { throw http::Error(404, "no such path"); }

Task<http::Response> explain(const http::Request&, std::exception_ptr failure) {
    const auto refuse = [](int status, const std::string& why) { return answer({{"error", why}}, status); };
    try {
        std::rethrow_exception(failure);
    } catch (const http::Error& error) {
        co_return refuse(error.status(), error.what());
    } catch (const json::exception&) {
        co_return refuse(400, "the body is no JSON in UTF-8");
    } catch (const DatabaseError& error) {
        if (error.code == SQLITE_CONSTRAINT_UNIQUE) co_return refuse(409, "there is a note with this title");
        if ((error.code & 0xff) == SQLITE_BUSY) co_return refuse(503, "try again").add("Retry-After", "1");
        LineLog(STDERR_FILENO).write(std::string("json_api: ") + error.what());
        co_return refuse(500, "the database has failed");
    }
}

Task<http::Response> only_json(Api& api, const http::Request& request, http::Next next) {
    if (request.has_body() && !request.is("application/json")) throw http::Error(415, "send application/json");
    http::Response response = co_await next();
    if (response.status() == 405)
        response.body("{\"error\":\"no such method here\"}\n").default_type("application/json");
    co_return response.add("X-Worker", std::to_string(api.worker.id()));
}

Task<> serve(App::Worker& self) {
    http::Router<Api> router;
    router.on_error(explain).not_found(no_such_path).use(only_json);
    router.get("/notes", list_notes).post("/notes", add_note).get("/notes/:id", show_note);
    router.put("/notes/:id", replace_note).patch("/notes/:id", change_note).del("/notes/:id", delete_note);

    Api api{self, open_database(self.args().at(1))}; // here, since SQLite forbids using a connection across a fork
    auto listener = co_await self.listen(self.args().at(0));
    co_await http::serve(api, listener, router);
}

// The master's part

Task<> tell(App& master) {
    bool told = false;
    while (const auto event = co_await master.next_event())
        if (event->kind == WorkerState::listening && !std::exchange(told, true))
            LineLog(STDOUT_FILENO).write("json_api: listening on " + event->endpoint->to_string());
}

int main(int argc, char** argv) {
    const option known[] = {{"port", required_argument, nullptr, 'p'},
                            {"workers", required_argument, nullptr, 'w'},
                            {"database", required_argument, nullptr, 'd'},
                            {}};
    std::optional<std::int64_t> port = 8080, workers = 0;
    std::string file = "notes.db";
    bool understood = true;
    for (int option = 0; (option = ::getopt_long(argc, argv, "", known, nullptr)) != -1;) {
        if (option == 'p') port = to_number(optarg, 0, 65535);
        if (option == 'w') workers = to_number(optarg, 0, 1024);
        if (option == 'd') file = optarg;
        understood = understood && option != '?';
    }
    if (!understood || !port || !workers || optind != argc) {
        std::cerr << "usage: json_api [--port 0..65535] [--workers 0..1024 (0: one for each CPU)] [--database FILE]\n";
        return 2;
    }
    try {
        open_database(file); // what is wrong with it is said once, before there is any worker
    } catch (const DatabaseError& error) {
        std::cerr << "json_api: " << file << ": " << error.what() << std::endl;
        return 1;
    }
    const Endpoint endpoint(*port);
    const WorkerOptions worker{.args = {endpoint.to_string(), file}};
    return cohort::run<App>({.workers = static_cast<unsigned>(*workers), .listen = {endpoint}, .worker = worker}, tell,
                            serve);
}
