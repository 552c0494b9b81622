/* A job that goes on from checkpoints: its output in several lives, some of them with instances in worker processes, is that of one
 * life; directories of checkpoints; and what cannot be restored. */
#define _GNU_SOURCE /* mkdtemp, fork … under -std=c11 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "jobs.h"

enum { KEYS = 7, ROWS = 40, BATCHES = 40, MOST_ROWS = 6000 };

typedef struct counter {
  martlet_state *count;
  martlet_output *output;
  martlet_appender *cells[3];
} counter;

static int64_t cell(int64_t column, int64_t row) { return column == 0 ? row * 31 % KEYS : row; }

static int32_t on_open(void *context, martlet_context *call, martlet_error *error) {
  counter *self = context;
  self->count = martlet_context_state(call, 0);
  self->output = martlet_context_output(call);
  const column_spec columns[] = {{.name = "k", .format = "l"}, {.name = "n", .format = "l"}, {.name = "at", .format = "l"}};
  struct ArrowSchema schema = make_schema(columns, 3);
  int32_t status = martlet_output_declare(self->output, &schema, error);
  for (int64_t i = 0; i < 3; i++) self->cells[i] = martlet_output_appender(self->output, i);
  return status;
}

static int32_t emit(counter *self, int64_t key, int64_t n, int64_t at, martlet_error *error) {
  int32_t status = martlet_append_int64(self->cells[0], key, error);
  if (!status) status = martlet_append_int64(self->cells[1], n, error);
  if (!status) status = martlet_append_int64(self->cells[2], at, error);
  return status ? status : martlet_output_end_row(self->output, error);
}

static int32_t on_event(void *context, martlet_context *call, martlet_error *error) {
  counter *self = context;
  int64_t count = 0;
  int32_t present = 0;
  int32_t status = martlet_value_get_int64(self->count, &count, &present, error);
  if (!status) status = martlet_value_set_int64(self->count, count + 1, error);
  if (!status) status = emit(self, call->key->integer, count + 1, call->record, error);
  return status ? status : martlet_register_event_time_timer(call, call->timestamp / 50 * 50 + 90, error);
}

static int32_t on_timer(void *context, martlet_context *call, martlet_error *error) {
  return emit(context, call->key->integer, -call->fire_time, call->watermark, error);
}

/* ---- a source with offsets: the number of a batch ---------------------------------------------- */

static int32_t source_offset(void *context, const uint8_t **bytes, size_t *length, martlet_error *error) {
  (void)error;
  static uint8_t offset;
  offset = (uint8_t)((counted_source *)context)->given;
  *bytes = &offset;
  *length = 1;
  return 0;
}

static int32_t source_seek(void *context, const uint8_t *bytes, size_t length, martlet_error *error) {
  if (length != 1) {
    snprintf(error->message, sizeof error->message, "%zu bytes are no place of mine", length);
    return MARTLET_CALLBACK_FAILED;
  }
  counted_source *source = context;
  source->given = bytes[0];
  return 0;
}

/* Even and odd batches are of two partitions. The odd ones are behind, and the last of them is said to be so. */
static int32_t source_partition(void *context, const char **name, size_t *length, int32_t *is_last, martlet_error *error) {
  (void)error;
  const int64_t given = ((counted_source *)context)->given;
  *name = given % 2 ? "odd, and cut off" : "even";
  *length = given % 2 ? 3 : 4;
  *is_last = given >= BATCHES - 1;
  return 0;
}

static int32_t (*plain_next)(void *, struct ArrowArray *, struct ArrowSchema *, martlet_error *);

/* The counted source tells its schema with its first batch; after a seek that may be any. */
static int32_t next_with_schema(void *context, struct ArrowArray *array, struct ArrowSchema *schema, martlet_error *error) {
  counted_source *source = context;
  int32_t status = plain_next(context, array, schema, error);
  if (!status && array->release && !schema->release) {
    column_spec columns[2] = {{.name = source->names[0], .format = "l"}, {.name = source->names[1], .format = "l"}};
    *schema = make_schema(columns, 2);
  }
  return status;
}

typedef struct life {
  counted_source source;
  counter self;
  martlet_job *job;
} life;

static void build(life *one, const char *state, const char *name, int32_t seeks) {
  static const char *const names[] = {"k", "v"};
  martlet_error error = {0};
  *one = (life){.source = {.names = names, .n_columns = 2, .cell = cell, .rows = ROWS, .n_batches = BATCHES, .fail_at = -1}};
  martlet_job_options options = {.struct_size = sizeof options, .name = "smoke"};
  OK(martlet_job_create(&options, &one->job, &error));
  martlet_source input = source_over(&one->source);
  plain_next = input.next;
  input.next = next_with_schema;
  if (seeks) {
    input.offset = source_offset;
    input.seek = source_seek;
    input.partition = source_partition;
  }
  martlet_stream_options stream = {.struct_size = sizeof stream, .name = "numbers", .timestamp = "v"};
  OK(martlet_job_add_source(one->job, &input, &stream, &error));
  martlet_process_function function = {
    .struct_size = sizeof function, .context = &one->self, .open = on_open, .on_event = on_event, .on_timer = on_timer};
  martlet_state_spec count = {.struct_size = sizeof count, .kind = MARTLET_STATE_VALUE, .name = state, .format = "l"};
  const char *keys[] = {"k"};
  martlet_process_options process = {
    .struct_size = sizeof process, .name = name, .key_columns = keys, .n_key_columns = 1, .states = &count, .n_states = 1};
  OK(martlet_job_add_process(one->job, &function, &process, &error));
}

/* ---- workers ----------------------------------------------------------------------------------- */

/* A worker is a program of its own: what was forked from a process with a store cannot open one. */
static void serve(char **words) {
  martlet_error error = {0};
  life mine;
  build(&mine, "count", "function", 1);
  martlet_serve_options options = {
    .struct_size = sizeof options, .instance = atoi(words[3]), .parallelism = atoi(words[4]), .max_parallelism = 128};
  OK(martlet_job_serve(mine.job, atoi(words[2]), &options, &error));
  martlet_job_free(mine.job);
}

/* `fault`: where the last of them is to die (MARTLET_FAULT), or NULL. */
static void start_workers(life *one, int32_t n, pid_t *processes, const char *fault) {
  martlet_error error = {0};
  int sockets[3];
  for (int32_t i = 0; i < n; i++) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    sockets[i] = ends[0];
    processes[i] = fork();
    CHECK(processes[i] >= 0);
    if (processes[i]) {
      close(ends[1]);
      continue;
    }
    for (int32_t j = 0; j <= i; j++) close(sockets[j]);
    if (fault && i == n - 1) setenv("MARTLET_FAULT", fault, 1);
    char numbers[3][12];
    snprintf(numbers[0], 12, "%d", ends[1]);
    snprintf(numbers[1], 12, "%d", i);
    snprintf(numbers[2], 12, "%d", n);
    execl("/proc/self/exe", "checkpoints", "serve", numbers[0], numbers[1], numbers[2], (char *)NULL);
    _Exit(1);
  }
  OK(martlet_job_use_workers(one->job, sockets, n, 128, &error));
}

/* ---- output ------------------------------------------------------------------------------------ */

typedef struct rows {
  int64_t count;
  int64_t cells[MOST_ROWS][3];
} rows;

static void add(rows *all, martlet_batch *batch) {
  for (int64_t row = 0; row < martlet_batch_num_rows(batch); row++, all->count++) {
    CHECK(all->count < MOST_ROWS);
    for (int64_t i = 0; i < 3; i++) all->cells[all->count][i] = int64_at(batch, i, row);
  }
  martlet_batch_release(batch);
}

/* Runs until `steps` batches came or the input ended (0), and takes all there is. */
static int32_t run(martlet_job *job, rows *all, int32_t steps) {
  martlet_error error = {0};
  martlet_batch *batch = NULL;
  int32_t goes_on = 1;
  while (steps-- > 0) {
    OK(martlet_job_next(job, 1, &batch, &error));
    if (batch) {
      add(all, batch);
    } else if (!martlet_job_is_paused(job)) {
      goes_on = 0;
      break;
    }
  }
  for (;;) {
    OK(martlet_job_take(job, 0, &batch, &error));
    if (!batch) return goes_on;
    add(all, batch);
  }
}

/* `backend`: that of every life, or -1: they take turns. */
static void in_lives(const char *directory, int32_t backend, const rows *whole) {
  martlet_error error = {0};
  static rows all;
  all.count = 0;
  int32_t goes_on = 1;
  int64_t lives = 0;
  for (; goes_on; lives++) {
    martlet_state_dir_options options = {
      .struct_size = sizeof options, .backend = backend < 0 ? lives % 2 : backend, .retained = 2, .memory_limit = 16 << 20};
    martlet_state_dir *dir = NULL;
    OK(martlet_state_dir_open(directory, &options, &dir, &error));
    martlet_state_dir *second = NULL;
    FAILS(martlet_state_dir_open(directory, NULL, &second, &error), MARTLET_STORAGE_IN_USE, directory);
    CHECK_INT(martlet_state_dir_next_id(dir), 2 * lives + 1);
    life one;
    build(&one, "count", "function", 1);
    pid_t processes[2];
    int32_t n_workers = lives % 3;
    if (n_workers) start_workers(&one, n_workers, processes, NULL);
    int64_t id = -1;
    char damaged[200];
    OK(martlet_state_dir_attach(dir, one.job, NULL, NULL, &id, damaged, sizeof damaged, &error));
    CHECK_INT(id, 2 * lives);
    CHECK(damaged[0] == 0);
    FAILS(martlet_state_dir_attach(dir, one.job, NULL, NULL, NULL, NULL, 0, &error), MARTLET_INVALID_ARGUMENT, "attached");
    size_t length = 9;
    const uint8_t *sink = martlet_state_dir_sink(dir, &length);
    CHECK(lives == 0 ? length == 0 : length == 2 && memcmp(sink, "tx", 2) == 0);
    martlet_job_stay_open(one.job);
    if (lives == 2) martlet_job_pause(one.job);
    int32_t done = 0;
    FAILS(martlet_state_dir_finish(dir, one.job, 1, &done, &error), MARTLET_INVALID_ARGUMENT, "begin one");
    goes_on = run(one.job, &all, 2);
    OK(martlet_state_dir_begin(dir, one.job, 2 * lives + 1, NULL, 0, &error));
    FAILS(martlet_state_dir_begin(dir, one.job, 2 * lives + 2, NULL, 0, &error), MARTLET_BUSY, "under way");
    if (goes_on) goes_on = run(one.job, &all, 1);
    while (!done) OK(martlet_state_dir_finish(dir, one.job, 0, &done, &error));
    FAILS(martlet_state_dir_begin(dir, one.job, 2 * lives + 1, NULL, 0, &error), MARTLET_INVALID_ARGUMENT, "only rise");
    OK(martlet_state_dir_begin(dir, one.job, 2 * lives + 2, (const uint8_t *)"tx", 2, &error));
    OK(martlet_state_dir_finish(dir, one.job, 1, &done, &error));
    CHECK_INT(done, 1);
    OK(martlet_job_close(one.job, &error));
    martlet_job_free(one.job);
    for (int32_t i = 0; i < n_workers; i++) {
      int status = 0;
      CHECK(waitpid(processes[i], &status, 0) == processes[i] && status == 0);
    }
    martlet_state_dir_free(dir);
  }
  CHECK(lives > 3);
  CHECK_INT(all.count, whole->count);
  for (int64_t row = 0; row < all.count; row++) {
    for (int64_t i = 0; i < 3; i++) CHECK_INT(all.cells[row][i], whole->cells[row][i]);
  }
}

/* ---- ends that nobody asked for ---------------------------------------------------------------- */

/* Opens a directory for a job with RocksDB and so many workers. */
static martlet_state_dir *resume(const char *directory, life *one, int32_t n_workers, pid_t *processes, const char *fault) {
  martlet_error error = {0};
  martlet_state_dir_options options = {.struct_size = sizeof options, .backend = MARTLET_BACKEND_ROCKSDB, .memory_limit = 16 << 20};
  martlet_state_dir *dir = NULL;
  OK(martlet_state_dir_open(directory, &options, &dir, &error));
  build(one, "count", "function", 1);
  if (n_workers) start_workers(one, n_workers, processes, fault);
  OK(martlet_state_dir_attach(dir, one->job, NULL, NULL, NULL, NULL, 0, &error));
  martlet_job_stay_open(one->job);
  return dir;
}

/* A checkpoint after every batch, until the input ends or something goes wrong; a byte to `told` for each that was begun. */
static int32_t drive(martlet_state_dir *dir, martlet_job *job, int told, martlet_error *error) {
  martlet_batch *batch = NULL;
  for (;;) {
    int32_t status = martlet_job_next(job, 1, &batch, error);
    if (status) return status;
    if (!batch) return 0;
    while (batch) {
      martlet_batch_release(batch);
      status = martlet_job_take(job, 0, &batch, error);
      if (status) return status;
    }
    int32_t done = 0;
    status = martlet_state_dir_begin(dir, job, martlet_state_dir_next_id(dir), NULL, 0, error);
    if (status) return status;
    if (told >= 0) CHECK(write(told, "b", 1) == 1);
    status = martlet_state_dir_finish(dir, job, 1, &done, error);
    if (status) return status;
  }
}

/* What is left of the output behind the newest checkpoint is the end of the whole. */
static void goes_on(const char *directory, int32_t n_workers, const rows *whole) {
  static rows all;
  all.count = 0;
  life one;
  pid_t processes[3];
  martlet_state_dir *dir = resume(directory, &one, n_workers, processes, NULL);
  CHECK_INT(run(one.job, &all, BATCHES * 2), 0);
  martlet_job_free(one.job);
  for (int32_t i = 0; i < n_workers; i++) CHECK(waitpid(processes[i], NULL, 0) == processes[i]);
  martlet_state_dir_free(dir);
  CHECK(all.count > 0 && all.count <= whole->count);
  for (int64_t row = 0; row < all.count; row++) {
    for (int64_t i = 0; i < 3; i++) CHECK_INT(all.cells[row][i], whole->cells[whole->count - all.count + row][i]);
  }
}

/* One of several workers is killed on the way of its store to the disk. */
static void dead_workers(const char *directory, const rows *whole) {
  static const char *const faults[] = {
    "store-before-write:kill:3", "store-after-write:kill:2", "store-before-copy:kill:1", "store-after-copy:kill:2"};
  for (int32_t number = 0; number < 4; number++) {
    martlet_error error = {0};
    char path[80];
    snprintf(path, sizeof path, "%s/dead %d", directory, (int)number);
    life one;
    pid_t processes[3];
    int32_t n_workers = 2 + number % 2;
    martlet_state_dir *dir = resume(path, &one, n_workers, processes, faults[number]);
    CHECK_INT(drive(dir, one.job, -1, &error), MARTLET_WORKER_DIED);
    char words[40];
    snprintf(words, sizeof words, "worker process %d of %d", (int)n_workers - 1, (int)n_workers);
    CHECK(strstr(error.message, words) != NULL);
    martlet_job_free(one.job);
    for (int32_t i = 0; i < n_workers; i++) {
      int status = 0;
      CHECK(waitpid(processes[i], &status, 0) == processes[i]);
      if (i == n_workers - 1) CHECK(WIFSIGNALED(status));
    }
    martlet_state_dir_free(dir);
    goes_on(path, number, whole);
  }
}

/* The process that has the job is killed while its workers write: they are gone within a second, and another job goes on at once. */
static void dead_coordinators(const char *directory, const rows *whole) {
  for (int32_t number = 0; number < 3; number++) {
    char path[80];
    snprintf(path, sizeof path, "%s/alone %d", directory, (int)number);
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t process = fork();
    CHECK(process >= 0);
    if (!process) {
      char told[12];
      snprintf(told, sizeof told, "%d", ends[1]);
      execl("/proc/self/exe", "checkpoints", "drive", path, told, (char *)NULL);
      _Exit(1);
    }
    close(ends[1]);
    char byte;
    for (int32_t begun = 0; begun < 2 + number; begun++) CHECK(read(ends[0], &byte, 1) == 1);
    usleep((useconds_t)number * 3000);
    CHECK(kill(process, SIGKILL) == 0);
    CHECK(waitpid(process, NULL, 0) == process);
    if (number == 2) goes_on(path, 1, whole);
    /* The workers have the other end as long as they live. */
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (read(ends[0], &byte, 1) > 0) {}
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(end.tv_sec - begin.tv_sec <= 1);
    close(ends[0]);
    if (number < 2) goes_on(path, number * 3, whole);
  }
}

static void misfits(const char *path) {
  martlet_error error = {0};
  static rows all;
  all.count = 0;
  life one;
  build(&one, "count", "function", 0);
  martlet_batch *batch = NULL;
  OK(martlet_job_next(one.job, 1, &batch, &error));
  martlet_batch_release(batch);
  martlet_checkpoint *checkpoint = NULL;
  FAILS(martlet_job_checkpoint(one.job, 0, NULL, 0, &checkpoint, &error), MARTLET_INVALID_ARGUMENT, "begin at 1");
  run(one.job, &all, 0);
  OK(martlet_job_checkpoint(one.job, 1, NULL, 0, &checkpoint, &error));
  CHECK(strcmp(martlet_checkpoint_not_replayable(checkpoint, 0), "numbers") == 0);
  FAILS(martlet_job_restore(one.job, checkpoint, NULL, &error), MARTLET_CLOSED, "has started");
  OK(martlet_checkpoint_write(checkpoint, path, &error));
  FAILS(martlet_checkpoint_write(checkpoint, path, &error), MARTLET_INVALID_ARGUMENT, path);
  martlet_checkpoint_free(checkpoint);
  /* The same in one call. */
  char saved[120];
  snprintf(saved, sizeof saved, "%s again", path);
  FAILS(martlet_job_savepoint(one.job, NULL, 1, NULL, 0, &error), MARTLET_INVALID_ARGUMENT, "path");
  FAILS(martlet_job_savepoint(one.job, saved, 0, NULL, 0, &error), MARTLET_INVALID_ARGUMENT, "begin at 1");
  OK(martlet_job_savepoint(one.job, saved, 2, (const uint8_t *)"notes", 5, &error));
  FAILS(martlet_job_savepoint(one.job, saved, 2, NULL, 0, &error), MARTLET_INVALID_ARGUMENT, saved);
  martlet_job_free(one.job);
  OK(martlet_checkpoint_read(saved, &checkpoint, &error));
  size_t length = 0;
  CHECK(martlet_checkpoint_id(checkpoint) == 2);
  CHECK(memcmp(martlet_checkpoint_sink(checkpoint, &length), "notes", 5) == 0 && length == 5);
  martlet_checkpoint_free(checkpoint);

  FAILS(martlet_checkpoint_read("/nowhere", &checkpoint, &error), MARTLET_STORAGE_FAILED, "/nowhere");
  OK(martlet_checkpoint_read(path, &checkpoint, &error));
  build(&one, "count", "renamed", 1);
  FAILS(martlet_job_restore(one.job, checkpoint, NULL, &error), MARTLET_SNAPSHOT_MISMATCH, "'function'");
  martlet_forgotten forgotten[] = {{.operator_name = "function"}};
  martlet_resume_options options = {.struct_size = sizeof options, .forgotten = forgotten, .n_forgotten = 1};
  OK(martlet_job_restore(one.job, checkpoint, &options, &error));
  martlet_job_free(one.job);
  build(&one, "another", "function", 1);
  forgotten[0].state = "nothing";
  OK(martlet_job_restore(one.job, checkpoint, &options, &error));
  FAILS(martlet_job_next(one.job, 1, &batch, &error), MARTLET_INVALID_ARGUMENT, "'nothing'");
  martlet_job_free(one.job);
  martlet_checkpoint_free(checkpoint);
  martlet_checkpoint_free(NULL);
  martlet_state_dir_free(NULL);
}

int main(int argc, char **words) {
  if (argc == 5 && strcmp(words[1], "serve") == 0) {
    serve(words);
    return 0;
  }
  if (argc == 4 && strcmp(words[1], "drive") == 0) {
    martlet_error error = {0};
    life one;
    pid_t processes[2];
    martlet_state_dir *dir = resume(words[2], &one, 2, processes, NULL);
    return drive(dir, one.job, atoi(words[3]), &error);
  }
  static rows whole;
  life one;
  build(&one, "count", "function", 1);
  while (run(one.job, &whole, 100)) {}
  martlet_job_free(one.job);
  CHECK(whole.count > BATCHES * ROWS);
  char directory[] = "/tmp/martlet-smoke-XXXXXX";
  CHECK(mkdtemp(directory) != NULL);
  char path[64];
  for (int32_t backend = -1; backend <= MARTLET_BACKEND_ROCKSDB; backend++) {
    snprintf(path, sizeof path, "%s/state %d", directory, (int)backend);
    in_lives(path, backend, &whole);
  }
  dead_workers(directory, &whole);
  dead_coordinators(directory, &whole);
  snprintf(path, sizeof path, "%s/savepoint", directory);
  misfits(path);
  char command[64];
  snprintf(command, sizeof command, "rm -r %s", directory);
  CHECK(system(command) == 0);
  CHECK_INT(live_arrays, 0);
  CHECK_INT(live_schemas, 0);
  puts("checkpoints: ok");
  return 0;
}
