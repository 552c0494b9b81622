#include "martlet_rocksdb.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/options.h>

#include <atomic>
#include <memory>
#include <string>

using namespace ROCKSDB_NAMESPACE;

// As in table_writer.cpp.
struct rocksdb_options_t {
  Options rep;
};

namespace {

// Whether changes may still be made, and the first that failed.
class Health {
public:
  explicit Health(martlet_internal_fault fault) : fault_(fault) {}
  Health(const Health &) = delete;
  Health &operator=(const Health &) = delete;
  ~Health() { delete failure_.load(); }

  // As the engine says it.
  static IOStatus fault() { return IOStatus::IOError("fault point 'store-file-change' was armed to fail here"); }

  const std::string *failure() const { return failure_.load(std::memory_order_acquire); }

  // Makes a change that RocksDB may be told of if it fails.
  template <typename Change> IOStatus try_to(Change change) {
    if (const std::string *text = failure()) return IOStatus::IOError("given up after", *text);
    if (fault_()) return fault();
    return change();
  }

  // Makes a change that RocksDB may not be told of.
  template <typename Change> IOStatus make(Change change) {
    if (failure()) return IOStatus::OK();
    const IOStatus status = fault_() ? fault() : change();
    if (!status.ok()) record(status);
    return IOStatus::OK();
  }

private:
  void record(const IOStatus &status) {
    const std::string *text = new std::string(status.ToString());
    const std::string *none = nullptr;
    if (!failure_.compare_exchange_strong(none, text, std::memory_order_acq_rel)) delete text;
  }

  const martlet_internal_fault fault_;
  std::atomic<const std::string *> failure_{nullptr};
};

class OutputFile : public FSWritableFileOwnerWrapper {
public:
  OutputFile(std::unique_ptr<FSWritableFile> &&file, std::shared_ptr<Health> health, bool is_synced)
      : FSWritableFileOwnerWrapper(std::move(file)), health_(std::move(health)), is_synced_(is_synced) {}

  IOStatus Append(const Slice &data, const IOOptions &options, IODebugContext *debug) override {
    return health_->make([&] { return target()->Append(data, options, debug); });
  }
  IOStatus Append(const Slice &data, const IOOptions &options, const DataVerificationInfo &info,
                  IODebugContext *debug) override {
    return health_->make([&] { return target()->Append(data, options, info, debug); });
  }
  IOStatus PositionedAppend(const Slice &data, uint64_t offset, const IOOptions &options,
                            IODebugContext *debug) override {
    return health_->make([&] { return target()->PositionedAppend(data, offset, options, debug); });
  }
  IOStatus PositionedAppend(const Slice &data, uint64_t offset, const IOOptions &options,
                            const DataVerificationInfo &info, IODebugContext *debug) override {
    return health_->make([&] { return target()->PositionedAppend(data, offset, options, info, debug); });
  }
  IOStatus Truncate(uint64_t size, const IOOptions &options, IODebugContext *debug) override {
    return health_->make([&] { return target()->Truncate(size, options, debug); });
  }
  IOStatus Flush(const IOOptions &options, IODebugContext *debug) override {
    return health_->make([&] { return target()->Flush(options, debug); });
  }
  IOStatus Sync(const IOOptions &options, IODebugContext *debug) override {
    if (!is_synced_) return IOStatus::OK();
    return health_->make([&] { return target()->Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions &options, IODebugContext *debug) override {
    if (!is_synced_) return IOStatus::OK();
    return health_->make([&] { return target()->Fsync(options, debug); });
  }
  IOStatus RangeSync(uint64_t offset, uint64_t count, const IOOptions &options, IODebugContext *debug) override {
    return health_->make([&] { return target()->RangeSync(offset, count, options, debug); });
  }
  IOStatus Close(const IOOptions &options, IODebugContext *debug) override {
    bool is_closed = false;
    const IOStatus status = health_->make([&] {
      is_closed = true;
      return target()->Close(options, debug);
    });
    // Its descriptor goes in any case.
    if (!is_closed) target()->Close(options, debug).PermitUncheckedError();
    return status;
  }
  void PrepareWrite(size_t offset, size_t size, const IOOptions &options, IODebugContext *debug) override {
    if (!health_->failure()) target()->PrepareWrite(offset, size, options, debug);
  }

private:
  const std::shared_ptr<Health> health_;
  const bool is_synced_;
};

class UnsyncedDirectory : public FSDirectory {
public:
  IOStatus Fsync(const IOOptions &, IODebugContext *) override { return IOStatus::OK(); }
};

class StoreFileSystem : public FileSystemWrapper {
public:
  StoreFileSystem(std::shared_ptr<Health> health, std::string folder)
      : FileSystemWrapper(FileSystem::Default()), health_(std::move(health)), folder_(std::move(folder)) {}

  const char *Name() const override { return "MartletStoreFileSystem"; }

  IOStatus NewWritableFile(const std::string &path, const FileOptions &options, std::unique_ptr<FSWritableFile> *file,
                           IODebugContext *debug) override {
    return wrapped(file, is_synced(path), [&] { return target()->NewWritableFile(path, options, file, debug); });
  }
  IOStatus ReopenWritableFile(const std::string &path, const FileOptions &options,
                              std::unique_ptr<FSWritableFile> *file, IODebugContext *debug) override {
    // Of a store's tables, those that it takes in, which were synced when they were made.
    return wrapped(file, is_outside(path), [&] { return target()->ReopenWritableFile(path, options, file, debug); });
  }
  IOStatus ReuseWritableFile(const std::string &path, const std::string &old_path, const FileOptions &options,
                             std::unique_ptr<FSWritableFile> *file, IODebugContext *debug) override {
    return wrapped(file, is_synced(path),
                   [&] { return target()->ReuseWritableFile(path, old_path, options, file, debug); });
  }
  IOStatus NewDirectory(const std::string &path, const IOOptions &options, std::unique_ptr<FSDirectory> *directory,
                        IODebugContext *debug) override {
    if (path != folder_) return target()->NewDirectory(path, options, directory, debug);
    *directory = std::make_unique<UnsyncedDirectory>();
    return IOStatus::OK();
  }
  // RocksDB's messages: if they cannot be written, there are none from then on, and that is all.
  IOStatus NewLogger(const std::string &path, const IOOptions &options, std::shared_ptr<Logger> *logger,
                     IODebugContext *debug) override {
    StoreFileSystem messages(std::make_shared<Health>([] { return 0; }), folder_);
    return messages.FileSystem::NewLogger(path, options, logger, debug);
  }
  IOStatus DeleteFile(const std::string &path, const IOOptions &options, IODebugContext *debug) override {
    return health_->try_to([&] { return target()->DeleteFile(path, options, debug); });
  }
  IOStatus Truncate(const std::string &path, size_t size, const IOOptions &options, IODebugContext *debug) override {
    return health_->try_to([&] { return target()->Truncate(path, size, options, debug); });
  }
  IOStatus CreateDir(const std::string &path, const IOOptions &options, IODebugContext *debug) override {
    return health_->try_to([&] { return target()->CreateDir(path, options, debug); });
  }
  IOStatus CreateDirIfMissing(const std::string &path, const IOOptions &options, IODebugContext *debug) override {
    return health_->try_to([&] { return target()->CreateDirIfMissing(path, options, debug); });
  }
  IOStatus DeleteDir(const std::string &path, const IOOptions &options, IODebugContext *debug) override {
    return health_->try_to([&] { return target()->DeleteDir(path, options, debug); });
  }
  IOStatus RenameFile(const std::string &source, const std::string &path, const IOOptions &options,
                      IODebugContext *debug) override {
    return health_->try_to([&] { return target()->RenameFile(source, path, options, debug); });
  }
  IOStatus LinkFile(const std::string &source, const std::string &path, const IOOptions &options,
                    IODebugContext *debug) override {
    return health_->try_to([&] { return target()->LinkFile(source, path, options, debug); });
  }

private:
  template <typename Open>
  IOStatus wrapped(std::unique_ptr<FSWritableFile> *file, bool is_synced, Open open) {
    IOStatus status = health_->try_to(open);
    if (status.ok()) *file = std::make_unique<OutputFile>(std::move(*file), health_, is_synced);
    return status;
  }

  // Of the folder that is not synced.
  bool is_outside(const std::string &path) const {
    return folder_.empty() || path.compare(0, path.rfind('/'), folder_) != 0;
  }

  // Copies share the tables; the rest of the folder is nobody's after a crash.
  bool is_synced(const std::string &path) const {
    static const std::string table = ".sst";
    return is_outside(path) ||
           (path.size() > table.size() && path.compare(path.size() - table.size(), table.size(), table) == 0);
  }

  const std::shared_ptr<Health> health_;
  // Empty: what is in it is synced like all the rest.
  const std::string folder_;
};

} // namespace

struct martlet_internal_files {
  std::shared_ptr<Health> health;
  std::unique_ptr<Env> environment;
};

martlet_internal_files *martlet_internal_files_create(martlet_internal_fault fault, const char *unsynced) {
  auto health = std::make_shared<Health>(fault);
  auto files = std::make_shared<StoreFileSystem>(health, unsynced ? unsynced : "");
  return new martlet_internal_files{health, NewCompositeEnv(files)};
}

void martlet_internal_files_destroy(martlet_internal_files *files) { delete files; }

void martlet_internal_files_use(martlet_internal_files *files, rocksdb_options_t *options) {
  options->rep.env = files->environment.get();
}

const char *martlet_internal_files_failure(const martlet_internal_files *files) {
  const std::string *text = files->health->failure();
  return text ? text->c_str() : nullptr;
}
