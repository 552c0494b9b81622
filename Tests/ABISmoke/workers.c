/* A counting function in C whose instances run in forked worker processes: the same output as in one process, the cause of a
 * failure, and workers that are killed. */
#define _GNU_SOURCE /* setenv, kill … under -std=c11 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jobs.h"

enum { KEYS = 100, ROWS = 5000, BATCHES = 6, MOST_WORKERS = 3 };

typedef struct counter {
  call_counts calls;
  int64_t fail_at; /* the record that fails, or -1 */
  int64_t die_at;  /* the record at which the process kills itself, or -1 */
  martlet_state *count;
  martlet_output *output;
  martlet_appender *cells[3];
} counter;

static int64_t cell(int64_t column, int64_t row) { return column == 0 ? row * 7919 % KEYS : row; }

static int32_t on_open(void *context, martlet_context *call, martlet_error *error) {
  counter *self = context;
  self->calls.open++;
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
  if (call->record == self->fail_at) {
    snprintf(error->message, sizeof error->message, "record %lld is not to my taste", (long long)call->record);
    return MARTLET_CALLBACK_FAILED;
  }
  if (call->record == self->die_at) raise(SIGKILL);
  int64_t count = 0;
  int32_t present = 0;
  int32_t status = martlet_value_get_int64(self->count, &count, &present, error);
  if (!status) status = martlet_value_set_int64(self->count, count + 1, error);
  if (!status && count % 3 == 0) status = emit(self, call->key->integer, count, call->timestamp, error);
  return status ? status : martlet_register_event_time_timer(call, call->timestamp / 700 * 700 + 900, error);
}

static int32_t on_timer(void *context, martlet_context *call, martlet_error *error) {
  return emit(context, call->key->integer, -call->fire_time, call->watermark, error);
}

static int32_t on_close(void *context, martlet_context *call, martlet_error *error) {
  (void)call, (void)error;
  ((counter *)context)->calls.close++;
  return 0;
}

static void cause(void *context, const uint8_t **bytes, size_t *length) {
  (void)context;
  *bytes = (const uint8_t *)"because\0of it";
  *length = 13;
}

static martlet_job *make_job(counted_source *source, counter *self) {
  static const char *const names[] = {"k", "v"};
  *source = (counted_source){.names = names, .n_columns = 2, .cell = cell, .rows = ROWS, .n_batches = BATCHES, .fail_at = -1};
  martlet_process_function function = {
    .struct_size = sizeof function, .context = self, .open = on_open, .on_event = on_event, .on_timer = on_timer, .close = on_close};
  martlet_state_spec count = {.struct_size = sizeof count, .kind = MARTLET_STATE_VALUE, .name = "count", .format = "l"};
  return job_over(source, "v", &function, &count, 1);
}

/* The process of one worker. */
static void work(int socket, int32_t instance, int32_t parallelism, int64_t fail_at, int64_t die_at) {
  martlet_error error = {0};
  counted_source source;
  counter self = {.fail_at = fail_at, .die_at = die_at};
  martlet_job *job = make_job(&source, &self);
  martlet_serve_options options = {
    .struct_size = sizeof options, .instance = instance, .parallelism = parallelism, .max_parallelism = 128, .cause = cause};
  OK(martlet_job_serve(job, socket, &options, &error));
  CHECK(self.calls.open == 1 && self.calls.close == 1 && source.given == 0);
  FAILS(martlet_job_next(job, 1, &(martlet_batch *){NULL}, &error), MARTLET_CLOSED, "closed");
  martlet_job_free(job);
}

typedef struct workers {
  int32_t n;
  int sockets[MOST_WORKERS];
  pid_t processes[MOST_WORKERS];
} workers;

static workers start(int32_t n, int64_t fail_at, int64_t die_at) {
  workers them = {.n = n};
  for (int32_t i = 0; i < n; i++) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    them.sockets[i] = ends[0];
    them.processes[i] = fork();
    CHECK(them.processes[i] >= 0);
    if (them.processes[i] == 0) {
      for (int32_t j = 0; j <= i; j++) close(them.sockets[j]);
      work(ends[1], i, n, fail_at, die_at);
      _Exit(0);
    }
    close(ends[1]);
  }
  return them;
}

/* How many workers ended otherwise than with 0. */
static int finish(workers *them) {
  int bad = 0;
  for (int32_t i = 0; i < them->n; i++) {
    int status = 0;
    CHECK(waitpid(them->processes[i], &status, 0) == them->processes[i]);
    if (status != 0) bad++;
  }
  return bad;
}

typedef struct output {
  int64_t *cells;
  int64_t rows, capacity;
  int32_t status;
  martlet_error error;
} output;

static output run(martlet_job *job) {
  output out = {0};
  martlet_batch *batch = NULL;
  while ((out.status = martlet_job_next(job, 1, &batch, &out.error)) == MARTLET_OK && batch != NULL) {
    for (int64_t row = 0; row < martlet_batch_num_rows(batch); row++, out.rows++) {
      if (out.rows == out.capacity) {
        out.capacity = 2 * out.capacity + 1000;
        out.cells = realloc(out.cells, (size_t)out.capacity * 3 * sizeof *out.cells);
      }
      for (int64_t column = 0; column < 3; column++) out.cells[out.rows * 3 + column] = int64_at(batch, column, row);
    }
    martlet_batch_release(batch);
  }
  return out;
}

static output run_with(workers *them) {
  martlet_error error = {0};
  counted_source source;
  counter self = {.fail_at = -1, .die_at = -1};
  martlet_job *job = make_job(&source, &self);
  OK(martlet_job_use_workers(job, them->sockets, them->n, 128, &error));
  output out = run(job);
  CHECK(self.calls.open == 0 && self.calls.event == 0);
  char bytes[8];
  size_t length = 99;
  OK(martlet_job_cause(job, (uint8_t *)bytes, sizeof bytes, &length, &error));
  CHECK(length == (out.status == MARTLET_CALLBACK_FAILED ? 13 : 0));
  if (length) CHECK(memcmp(bytes, "because", 8) == 0);
  OK(martlet_job_cause(job, NULL, 0, &length, &error));
  martlet_job_free(job);
  CHECK_INT(source.destroyed, 1);
  return out;
}

int main(void) {
  martlet_error error = {0};
  counted_source source;
  counter self = {.fail_at = -1, .die_at = -1};
  martlet_job *job = make_job(&source, &self);
  output serial = run(job);
  martlet_job_free(job);
  CHECK(serial.status == MARTLET_OK && serial.rows > 10000);

  for (int32_t n = 1; n <= MOST_WORKERS; n++) {
    workers them = start(n, -1, -1);
    output parallel = run_with(&them);
    CHECK_INT(parallel.status, MARTLET_OK);
    CHECK_INT(parallel.rows, serial.rows);
    CHECK(memcmp(parallel.cells, serial.cells, (size_t)serial.rows * 3 * sizeof(int64_t)) == 0);
    CHECK_INT(finish(&them), 0);
    free(parallel.cells);
  }

  /* A failure: what was emitted before it in a serial run, then the error with its place. */
  workers them = start(2, 12345, -1);
  output failed = run_with(&them);
  CHECK_INT(failed.status, MARTLET_CALLBACK_FAILED);
  CHECK_INT(failed.error.record, 12345);
  CHECK(strcmp(failed.error.message, "record 12345 is not to my taste") == 0 && strcmp(failed.error.operator_name, "function") == 0);
  CHECK(failed.rows > 0 && failed.rows < serial.rows && memcmp(failed.cells, serial.cells, (size_t)failed.rows * 3 * sizeof(int64_t)) == 0);
  CHECK(failed.cells[3 * failed.rows - 1] < 12345 && serial.cells[3 * failed.rows + 2] >= 12345);
  CHECK_INT(finish(&them), 0);
  free(failed.cells);

  /* One that kills itself: an error, and the others end. */
  them = start(3, -1, 12345);
  output killed = run_with(&them);
  CHECK_INT(killed.status, MARTLET_WORKER_DIED);
  CHECK_INT(finish(&them), 1);
  free(killed.cells);

  /* A coordinator that goes without a word. */
  them = start(2, -1, -1);
  for (int32_t i = 0; i < 2; i++) close(them.sockets[i]);
  CHECK_INT(finish(&them), 2);

  /* Settings that cannot be. */
  job = make_job(&source, &self);
  FAILS(martlet_job_use_workers(job, NULL, 1, 128, &error), MARTLET_INVALID_ARGUMENT, "sockets is NULL");
  FAILS(martlet_job_use_workers(job, NULL, 0, 128, &error), MARTLET_INVALID_ARGUMENT, "no workers");
  int no_socket = -1, ends[2];
  FAILS(martlet_job_use_workers(job, &no_socket, 1, 128, &error), MARTLET_INVALID_ARGUMENT, "no socket");
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  FAILS(martlet_job_use_workers(job, ends, 2, 1, &error), MARTLET_INVALID_ARGUMENT, "max_parallelism");
  FAILS(martlet_job_serve(job, -1, NULL, &error), MARTLET_INVALID_ARGUMENT, "options is NULL");
  FAILS(martlet_job_cause(job, NULL, 0, NULL, &error), MARTLET_INVALID_ARGUMENT, "length is NULL");
  martlet_job_free(job);
  free(serial.cells);
  puts("workers: ok");
  return 0;
}
