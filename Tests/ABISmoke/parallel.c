/* The same function on one thread and on two: the same output in the same order, one function and one context for each instance. */
#include <pthread.h>

#include "jobs.h"

enum { KEYS = 50, ROWS = 10000, BATCHES = 4 };

typedef struct counter {
  struct shared *shared;
  int32_t instance;
  martlet_state *count;
  martlet_output *output;
  martlet_appender *cells[3];
  pthread_t thread;
  int64_t events;
} counter;

/* What the instances of a job have in common; used by the job's thread, and at open and close, which never overlap here. */
typedef struct shared {
  int32_t parallelism;
  int made, opened, closed, destroyed;
  int64_t events[8];
  int fail_to_make;
} shared;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t cell(int64_t column, int64_t row) { return column == 0 ? row * 7 % KEYS : row; }

static int32_t counter_open(void *context, martlet_context *call, martlet_error *error) {
  counter *self = context;
  CHECK_INT(call->parallelism, self->shared->parallelism);
  CHECK_INT(call->instance, self->instance);
  self->thread = pthread_self();
  self->count = martlet_context_state(call, 0);
  self->output = martlet_context_output(call);
  const column_spec columns[] = {{.name = "k", .format = "l"}, {.name = "n", .format = "l"}, {.name = "at", .format = "l"}};
  struct ArrowSchema schema = make_schema(columns, 3);
  int32_t status = martlet_output_declare(self->output, &schema, error);
  for (int64_t i = 0; i < 3; i++) self->cells[i] = martlet_output_appender(self->output, i);
  pthread_mutex_lock(&lock);
  self->shared->opened++;
  pthread_mutex_unlock(&lock);
  return status;
}

static int32_t emit(counter *self, martlet_context *call, int64_t n, int64_t at, martlet_error *error) {
  int32_t status = martlet_append_int64(self->cells[0], call->key->integer, error);
  if (!status) status = martlet_append_int64(self->cells[1], n, error);
  if (!status) status = martlet_append_int64(self->cells[2], at, error);
  return status ? status : martlet_output_end_row(self->output, error);
}

static int32_t counter_event(void *context, martlet_context *call, martlet_error *error) {
  counter *self = context;
  CHECK(pthread_equal(self->thread, pthread_self()));
  self->events++;
  int64_t n = 0;
  int32_t present = 0;
  int32_t status = martlet_value_get_int64(self->count, &n, &present, error);
  if (!status) status = martlet_value_set_int64(self->count, n + 1, error);
  if (!status && n % 5 == 0) status = martlet_register_event_time_timer(call, call->timestamp + 3 * KEYS, error);
  return status || n % 3 ? status : emit(self, call, n, call->timestamp, error);
}

static int32_t counter_timer(void *context, martlet_context *call, martlet_error *error) {
  return emit(context, call, -1, call->fire_time, error);
}

static int32_t counter_close(void *context, martlet_context *call, martlet_error *error) {
  (void)call, (void)error;
  counter *self = context;
  pthread_mutex_lock(&lock);
  self->shared->closed++;
  self->shared->events[self->instance] = self->events;
  pthread_mutex_unlock(&lock);
  return 0;
}

static void counter_destroy(void *context) {
  counter *self = context;
  self->shared->destroyed++;
  free(self);
}

static martlet_process_function make(shared *all, int32_t instance);

static int32_t instantiate(void *context, int32_t instance, martlet_process_function *function, martlet_error *error) {
  shared *all = ((counter *)context)->shared;
  if (all->fail_to_make) {
    snprintf(error->message, sizeof error->message, "no more counters");
    return 1;
  }
  CHECK_INT(instance, all->made);
  *function = make(all, instance);
  return 0;
}

static martlet_process_function make(shared *all, int32_t instance) {
  counter *self = calloc(1, sizeof *self);
  self->shared = all;
  self->instance = instance;
  all->made++;
  return (martlet_process_function){
    .struct_size = sizeof(martlet_process_function), .context = self, .open = counter_open, .on_event = counter_event,
    .on_timer = counter_timer, .close = counter_close, .destroy = counter_destroy, .instantiate = instantiate};
}

static martlet_job *make_job(shared *all, counted_source *source, int32_t max_parallelism, int can_instantiate) {
  martlet_error error = {0};
  martlet_job *job = NULL;
  martlet_job_options options = {
    .struct_size = sizeof options, .name = "parallel", .parallelism = all->parallelism, .max_parallelism = max_parallelism};
  OK(martlet_job_create(&options, &job, &error));
  martlet_source input = source_over(source);
  martlet_stream_options stream = {.struct_size = sizeof stream, .name = "numbers", .timestamp = "v"};
  OK(martlet_job_add_source(job, &input, &stream, &error));
  const char *keys[] = {"k"};
  martlet_state_spec count = {.struct_size = sizeof count, .kind = MARTLET_STATE_VALUE, .name = "count", .format = "l"};
  martlet_process_options process = {
    .struct_size = sizeof process, .name = "counter", .key_columns = keys, .n_key_columns = 1, .states = &count, .n_states = 1};
  martlet_process_function function = make(all, 0);
  if (!can_instantiate) function.instantiate = NULL;
  OK(martlet_job_add_process(job, &function, &process, &error));
  return job;
}

static const char *names[] = {"k", "v"};

/* The output of a run, three cells a row. */
static int64_t *run(int32_t parallelism, int64_t *rows) {
  martlet_error error = {0};
  shared all = {.parallelism = parallelism};
  counted_source source = {.names = names, .n_columns = 2, .cell = cell, .rows = ROWS, .n_batches = BATCHES, .fail_at = -1};
  martlet_job *job = make_job(&all, &source, 0, 1);
  int64_t *cells = malloc(sizeof *cells * 3 * 2 * ROWS * BATCHES);
  *rows = 0;
  for (;;) {
    martlet_batch *batch = NULL;
    OK(martlet_job_next(job, 1, &batch, &error));
    if (batch == NULL) break;
    for (int64_t row = 0; row < martlet_batch_num_rows(batch); row++, (*rows)++)
      for (int64_t column = 0; column < 3; column++) cells[*rows * 3 + column] = int64_at(batch, column, row);
    martlet_batch_release(batch);
  }
  martlet_report report = {.struct_size = sizeof report};
  OK(martlet_job_report(job, &report, &error));
  CHECK_INT(report.records_out, *rows);
  CHECK_INT(report.keys, KEYS);
  martlet_job_free(job);
  CHECK(all.made == parallelism && all.opened == parallelism && all.closed == parallelism && all.destroyed == parallelism);
  int64_t events = 0;
  for (int32_t i = 0; i < parallelism; i++) {
    CHECK(all.events[i] > 0);
    events += all.events[i];
  }
  CHECK_INT(events, ROWS * BATCHES);
  CHECK_INT(source.destroyed, 1);
  return cells;
}

static void refusals(void) {
  martlet_error error = {0};
  martlet_job *job = NULL;
  martlet_batch *batch = NULL;
  martlet_job_options options = {.struct_size = sizeof options, .parallelism = 129};
  FAILS(martlet_job_create(&options, &job, &error), MARTLET_INVALID_ARGUMENT, "max_parallelism, which is 128");
  options.parallelism = -1;
  FAILS(martlet_job_create(&options, &job, &error), MARTLET_INVALID_ARGUMENT, "parallelism is -1");
  options = (martlet_job_options){.struct_size = sizeof options, .max_parallelism = 40000};
  FAILS(martlet_job_create(&options, &job, &error), MARTLET_INVALID_ARGUMENT, "max_parallelism is 40000");
  for (int can_instantiate = 0; can_instantiate < 2; can_instantiate++) {
    shared all = {.parallelism = 2, .fail_to_make = 1};
    counted_source source = {.names = names, .n_columns = 2, .cell = cell, .rows = ROWS, .n_batches = BATCHES, .fail_at = -1};
    job = make_job(&all, &source, 2, can_instantiate);
    int32_t expected = can_instantiate ? MARTLET_CALLBACK_FAILED : MARTLET_INVALID_ARGUMENT;
    FAILS(martlet_job_next(job, 1, &batch, &error), expected, can_instantiate ? "no more counters" : "instantiate");
    martlet_job_free(job);
    CHECK(all.destroyed == 1 && all.opened == 0 && source.destroyed == 1);
  }
}

int main(void) {
  int64_t serial_rows = 0;
  int64_t *serial = run(1, &serial_rows);
  CHECK(serial_rows > ROWS);
  for (int32_t parallelism = 2; parallelism <= 3; parallelism++) {
    int64_t rows = 0;
    int64_t *cells = run(parallelism, &rows);
    CHECK_INT(rows, serial_rows);
    CHECK(memcmp(cells, serial, sizeof *cells * 3 * (size_t)rows) == 0);
    free(cells);
  }
  free(serial);
  refusals();
  CHECK_INT(live_arrays, 0);
  CHECK_INT(live_schemas, 0);
  puts("parallel: ok");
  return 0;
}
