/* What goes wrong, and that everything moved is destroyed exactly once all the same. */
#include "jobs.h"

typedef struct fuse {
  call_counts calls;
  int64_t fail_at;      /* the record at which on_event fails, or -1 */
  int fails_in_open;
  const char *message;
  martlet_job *job;     /* to be entered again from inside */
} fuse;

static int64_t cell(int64_t column, int64_t row) {
  (void)column;
  return row;
}

static int32_t fail(const fuse *self, martlet_error *error) {
  if (self->message) snprintf(error->message, sizeof error->message, "%s", self->message);
  return 99;
}

static int32_t fuse_open(void *context, martlet_context *call, martlet_error *error) {
  (void)call;
  fuse *self = context;
  self->calls.open++;
  return self->fails_in_open ? fail(self, error) : 0;
}

static int32_t fuse_event(void *context, martlet_context *call, martlet_error *error) {
  fuse *self = context;
  self->calls.event++;
  if (self->job) {
    martlet_batch *batch = NULL;
    CHECK_INT(martlet_job_next(self->job, 1, &batch, error), MARTLET_BUSY);
    CHECK(batch == NULL && strstr(error->message, "running") != NULL);
    CHECK_INT(martlet_job_close(self->job, NULL), MARTLET_BUSY);
  }
  if (call->record == self->fail_at) return fail(self, error);
  martlet_output *output = martlet_context_output(call);
  if (call->record % 2) return martlet_output_row(output, call->batch, call->row, error);
  /* A batch of our own with the same columns. */
  const char *names[] = {"k"};
  int64_t value = call->record;
  martlet_batch *batch = make_int64_batch(names, &value, 1, 1);
  int32_t status = martlet_output_batch(output, batch, error);
  martlet_batch_release(batch);
  return status;
}

static int32_t fuse_close(void *context, martlet_context *call, martlet_error *error) {
  (void)call, (void)error;
  ((fuse *)context)->calls.close++;
  return 0;
}

static void fuse_destroy(void *context) { ((fuse *)context)->calls.destroyed++; }

static martlet_process_function function_over(fuse *self) {
  return (martlet_process_function){
    .struct_size = sizeof(martlet_process_function), .context = self, .open = fuse_open, .on_event = fuse_event, .close = fuse_close, .destroy = fuse_destroy};
}

static counted_source numbers(void) {
  static const char *const names[] = {"k"};
  return (counted_source){.names = names, .n_columns = 1, .cell = cell, .rows = 10, .n_batches = 2, .fail_at = -1};
}

/* Reads to the error: the rows before it, and the error itself. */
static int64_t drain(martlet_job *job, int32_t *status, martlet_error *error) {
  int64_t rows = 0;
  for (;;) {
    martlet_batch *batch = NULL;
    *status = martlet_job_next(job, 4, &batch, error);
    if (*status != MARTLET_OK || batch == NULL) return rows;
    for (int64_t row = 0; row < martlet_batch_num_rows(batch); row++) CHECK_INT(int64_at(batch, 0, row), rows++);
    martlet_batch_release(batch);
  }
}

static void check_failing_callback(void) {
  char long_message[4000];
  memset(long_message, 'm', sizeof long_message);
  long_message[sizeof long_message - 1] = 0;
  for (int with_message = 0; with_message < 3; with_message++) {
    martlet_error error = {0};
    int32_t status = 0;
    counted_source source = numbers();
    fuse self = {.fail_at = 13, .message = (const char *[]){NULL, "the user said no", long_message}[with_message]};
    martlet_process_function function = function_over(&self);
    martlet_job *job = job_over(&source, NULL, &function, NULL, 0);
    CHECK_INT(drain(job, &status, &error), 13);
    CHECK_INT(status, MARTLET_CALLBACK_FAILED);
    CHECK_INT(error.status, MARTLET_CALLBACK_FAILED);
    CHECK_INT(error.record, 13);
    CHECK(strcmp(error.operator_name, "function") == 0 && strcmp(error.key, "13") == 0);
    CHECK(strstr(error.message, (const char *[]){"without a message", "the user said no", "mmm"}[with_message]) != NULL);
    CHECK(with_message != 2 || strlen(error.message) == sizeof error.message - 1);
    martlet_batch *batch = NULL;
    FAILS(martlet_job_next(job, 1, &batch, &error), MARTLET_CLOSED, "'smoke'");
    CHECK_INT(error.record, MARTLET_NO_RECORD);
    CHECK(error.key[0] == 0);
    OK(martlet_job_close(job, &error));
    martlet_job_free(job);
    CHECK(self.calls.open == 1 && self.calls.close == 1 && self.calls.event == 14);
    CHECK(self.calls.destroyed == 1 && source.destroyed == 1);
  }
}

static void check_failing_open_and_source(void) {
  martlet_error error = {0};
  int32_t status = 0;
  counted_source source = numbers();
  fuse self = {.fail_at = -1, .fails_in_open = 1, .message = "not today"};
  martlet_process_function function = function_over(&self);
  martlet_job *job = job_over(&source, NULL, &function, NULL, 0);
  CHECK_INT(drain(job, &status, NULL), 0);
  CHECK_INT(status, MARTLET_CALLBACK_FAILED);
  martlet_job_free(job);
  CHECK(self.calls.close == 1 && self.calls.destroyed == 1 && source.destroyed == 1);

  source = numbers();
  source.fail_at = 1;
  self = (fuse){.fail_at = -1};
  function = function_over(&self);
  job = job_over(&source, NULL, &function, NULL, 0);
  CHECK_INT(drain(job, &status, &error), 10);
  CHECK_INT(status, MARTLET_CALLBACK_FAILED);
  CHECK(strstr(error.message, "on fire") != NULL);
  martlet_job_free(job);
  CHECK(self.calls.destroyed == 1 && source.destroyed == 1);
}

static void check_reentry(void) {
  martlet_error error = {0};
  int32_t status = 0;
  counted_source source = numbers();
  fuse self = {.fail_at = -1};
  martlet_process_function function = function_over(&self);
  self.job = job_over(&source, NULL, &function, NULL, 0);
  CHECK_INT(drain(self.job, &status, &error), 20);
  CHECK_INT(status, MARTLET_OK);
  martlet_job_free(self.job);
  CHECK_INT(self.calls.destroyed, 1);
}

/* A job that was never run, and one that is dropped in the middle. */
static void check_abandoned_jobs(void) {
  for (int steps = 0; steps < 2; steps++) {
    martlet_error error = {0};
    counted_source source = numbers();
    fuse self = {.fail_at = -1};
    martlet_process_function function = function_over(&self);
    martlet_job *job = job_over(&source, NULL, &function, NULL, 0);
    martlet_batch *batch = NULL;
    if (steps) OK(martlet_job_next(job, 1, &batch, &error));
    martlet_job_free(job);
    martlet_batch_release(batch);
    CHECK(self.calls.open == steps && self.calls.close == steps);
    CHECK(self.calls.destroyed == 1 && source.destroyed == 1);
  }
}

static void check_refused_arguments(void) {
  martlet_error error = {0};
  martlet_job *job = NULL;
  martlet_job_options options = {.struct_size = 4};
  FAILS(martlet_job_create(&options, &job, &error), MARTLET_INVALID_ARGUMENT, "struct_size");
  options = (martlet_job_options){.struct_size = sizeof options, .null_keys = MARTLET_NULLS_PROCESS};
  FAILS(martlet_job_create(&options, &job, &error), MARTLET_INVALID_ARGUMENT, "null_keys");
  options = (martlet_job_options){.struct_size = sizeof options, .null_timestamps = 9};
  FAILS(martlet_job_create(&options, &job, &error), MARTLET_INVALID_ARGUMENT, "null_timestamps");
  CHECK(job == NULL);
  OK(martlet_job_create(NULL, &job, &error));

  /* Each refused function and source is destroyed by the refusal, and a refused schema released. */
  fuse self = {.fail_at = -1};
  martlet_process_function function = function_over(&self);
  const char *keys[] = {"k"};
  const column_spec column = {.name = "k", .format = "l"};
  martlet_state_spec state = {.struct_size = sizeof state, .kind = MARTLET_STATE_VALUE, .name = "s", .format = "l"};
  struct ArrowSchema schema;
  martlet_process_options good = {.struct_size = sizeof good, .key_columns = keys, .n_key_columns = 1, .output_schema = &schema};
  martlet_process_options process = good;
  int refused = 0;
#define REFUSED(text) \
  do { \
    schema = make_schema(&column, 1); \
    FAILS(martlet_job_add_process(job, &function, &process, &error), MARTLET_INVALID_ARGUMENT, text); \
    CHECK_INT(self.calls.destroyed, ++refused); \
    CHECK(schema.release == NULL); \
    process = good; \
    function = function_over(&self); \
  } while (0)
  REFUSED("no input yet");
  function.on_event = NULL;
  REFUSED("on_event");
  process.n_key_columns = -1;
  REFUSED("key_columns");
  process.key_columns = NULL;
  REFUSED("key_columns");
  process.n_states = 1;
  REFUSED("states");
  process.states = &state, process.n_states = 1;
  state.format = "+l";
  REFUSED("'s'");
  process.states = &state, process.n_states = 1;
  state.kind = 7;
  REFUSED("kind");
  CHECK_INT(martlet_job_add_process(job, &function, NULL, NULL), MARTLET_INVALID_ARGUMENT);
  CHECK_INT(self.calls.destroyed, ++refused);
  schema = make_schema(&column, 1);
  FAILS(martlet_job_add_process(job, NULL, &process, &error), MARTLET_INVALID_ARGUMENT, "function");
  CHECK(schema.release == NULL);

  counted_source source = numbers();
  martlet_source input = source_over(&source);
  martlet_stream_options stream = {.struct_size = sizeof stream, .max_out_of_orderness = -1};
  FAILS(martlet_job_add_source(job, &input, &stream, &error), MARTLET_INVALID_ARGUMENT, "negative");
  CHECK_INT(source.destroyed, 1);
  input.next = NULL;
  FAILS(martlet_job_add_source(job, &input, NULL, &error), MARTLET_INVALID_ARGUMENT, "next");
  CHECK_INT(source.destroyed, 2);
  FAILS(martlet_job_add_source(job, NULL, NULL, &error), MARTLET_INVALID_ARGUMENT, "source");
  martlet_batch *batch = NULL;
  FAILS(martlet_job_next(job, 1, &batch, &error), MARTLET_INVALID_ARGUMENT, "no input");
  martlet_report report = {.struct_size = 8};
  FAILS(martlet_job_report(job, &report, &error), MARTLET_INVALID_ARGUMENT, "struct_size");
  FAILS(martlet_job_report(job, NULL, &error), MARTLET_INVALID_ARGUMENT, "report");
  martlet_job_free(job);
}

/* Long names and keys are cut at a character. */
static void check_truncation(void) {
  martlet_error error = {0};
  char name[301] = "";
  for (int i = 0; i < 100; i++) strcat(name, "\u20AC"); /* three bytes each */
  martlet_job *job = NULL;
  martlet_job_options options = {.struct_size = sizeof options, .name = name};
  OK(martlet_job_create(&options, &job, &error));
  counted_source source = numbers();
  martlet_source input = source_over(&source);
  OK(martlet_job_add_source(job, &input, NULL, &error));
  fuse self = {.fail_at = 0};
  martlet_process_function function = function_over(&self);
  const char *keys[] = {"k"};
  martlet_process_options process = {.struct_size = sizeof process, .name = name, .key_columns = keys, .n_key_columns = 1};
  OK(martlet_job_add_process(job, &function, &process, &error));
  int32_t status = 0;
  CHECK_INT(drain(job, &status, &error), 0);
  CHECK_INT(status, MARTLET_CALLBACK_FAILED);
  CHECK_INT(strlen(error.operator_name), 126); /* 42 characters of three bytes in 127 */
  CHECK(strncmp(error.operator_name, name, 126) == 0);
  martlet_job_free(job);
}

/* ---- an Arrow stream --------------------------------------------------------------------------- */

typedef struct stream_state {
  int64_t given;
  int64_t n_batches;
  int fails;
  int released;
} stream_state;

static int stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
  (void)stream;
  *out = make_schema(&(column_spec){.name = "k", .format = "l"}, 1);
  return 0;
}

static int stream_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
  stream_state *state = stream->private_data;
  *out = (struct ArrowArray){0};
  if (state->given == state->n_batches) return state->fails ? 5 : 0;
  int64_t values[] = {state->given * 2, state->given * 2 + 1};
  *out = make_int64_array(values, 1, 2);
  state->given++;
  return 0;
}

static const char *stream_error(struct ArrowArrayStream *stream) {
  (void)stream;
  return "the cable was cut";
}

static void stream_release(struct ArrowArrayStream *stream) {
  ((stream_state *)stream->private_data)->released++;
  stream->release = NULL;
}

static void check_arrow_stream(void) {
  for (int fails = 0; fails < 2; fails++) {
    martlet_error error = {0};
    int32_t status = 0;
    stream_state state = {.n_batches = 3, .fails = fails};
    struct ArrowArrayStream stream = {stream_schema, stream_next, stream_error, stream_release, &state};
    martlet_job *job = NULL;
    OK(martlet_job_create(NULL, &job, &error));
    OK(martlet_job_add_arrow_stream(job, &stream, NULL, &error));
    CHECK(stream.release == NULL);
    CHECK_INT(drain(job, &status, &error), 6);
    CHECK_INT(status, fails ? MARTLET_SOURCE_FAILED : MARTLET_OK);
    CHECK(!fails || strstr(error.message, "cable") != NULL);
    /* A second input is refused, and released. */
    stream = (struct ArrowArrayStream){stream_schema, stream_next, stream_error, stream_release, &state};
    CHECK(martlet_job_add_arrow_stream(job, &stream, NULL, NULL) != MARTLET_OK);
    CHECK(stream.release == NULL);
    CHECK_INT(state.released, 1);
    martlet_job_free(job);
    CHECK_INT(state.released, 2);
  }
}

int main(void) {
  check_failing_callback();
  check_failing_open_and_source();
  check_reentry();
  check_abandoned_jobs();
  check_refused_arguments();
  check_truncation();
  check_arrow_stream();
  CHECK_INT(live_arrays, 0);
  CHECK_INT(live_schemas, 0);
  puts("failures: ok");
  return 0;
}
