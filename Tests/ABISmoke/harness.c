/* A counter driven by hand through the harness: times, output, looking at a key, snapshots. */
#include "jobs.h"

typedef struct counter {
  martlet_state *count;
  martlet_context *call;
  int opened, closed, destroyed;
  int fail;
} counter;

static int32_t counter_open(void *context, martlet_context *call, martlet_error *error) {
  (void)error;
  counter *self = context;
  self->count = martlet_context_state(call, 0);
  self->call = call;
  self->opened++;
  return 0;
}

/* Counts, emits the record, and sets a timer for the count in both domains. */
static int32_t counter_event(void *context, martlet_context *call, martlet_error *unused) {
  (void)unused;
  counter *self = context;
  martlet_error error = {0};
  int64_t n = 0;
  int32_t present = 0;
  if (self->fail) return 1;
  OK(martlet_value_get_int64(self->count, &n, &present, &error));
  OK(martlet_value_set_int64(self->count, n + 1, &error));
  OK(martlet_output_row(martlet_context_output(call), call->batch, call->row, &error));
  OK(martlet_register_event_time_timer(call, 100, &error));
  OK(martlet_register_processing_time_timer(call, 50, &error));
  return 0;
}

static int32_t counter_timer(void *context, martlet_context *call, martlet_error *unused) {
  (void)unused;
  counter *self = context;
  martlet_error error = {0};
  if (call->timer_domain == MARTLET_EVENT_TIME) OK(martlet_value_clear(self->count, &error));
  return 0;
}

static int32_t counter_close(void *context, martlet_context *call, martlet_error *error) {
  (void)call, (void)error;
  ((counter *)context)->closed++;
  return 0;
}

static void counter_destroy(void *context) { ((counter *)context)->destroyed++; }

static int64_t no_cell(int64_t column, int64_t row) {
  (void)column, (void)row;
  return 0;
}

static const char *const names[] = {"k", "v"};
static const column_spec input[] = {{"k", "l", NULL, 0, NULL}, {"v", "l", NULL, 0, NULL}};
static const column_spec key_columns[] = {{"k", "l", NULL, 0, NULL}};

static martlet_harness *harness_of(counter *function, martlet_clock *clock) {
  static counted_source nothing = {.names = names, .n_columns = 2, .cell = no_cell, .fail_at = -1};
  martlet_error error = {0};
  martlet_job *job;
  martlet_harness *harness;
  martlet_job_options options = {.struct_size = sizeof options, .clock = clock};
  martlet_process_function callbacks = {.struct_size = sizeof callbacks,
                                        .context = function,
                                        .open = counter_open,
                                        .on_event = counter_event,
                                        .on_timer = counter_timer,
                                        .close = counter_close,
                                        .destroy = counter_destroy};
  martlet_state_spec state = {.struct_size = sizeof state, .kind = MARTLET_STATE_VALUE, .name = "count", .format = "l"};
  const char *key = "k";
  martlet_process_options process = {.struct_size = sizeof process,
                                     .name = "counter",
                                     .key_columns = &key,
                                     .n_key_columns = 1,
                                     .states = &state,
                                     .n_states = 1};
  martlet_source source = source_over(&nothing);
  OK(martlet_job_create(&options, &job, &error));
  OK(martlet_job_add_source(job, &source, NULL, &error));
  OK(martlet_job_add_process(job, &callbacks, &process, &error));
  martlet_harness_options by_hand = {.struct_size = sizeof by_hand, .max_out_of_orderness = -1};
  OK(martlet_harness_create(job, &by_hand, &harness, &error));
  martlet_batch *none;
  FAILS(martlet_job_next(job, 1, &none, &error), MARTLET_CLOSED, "closed");
  martlet_job_free(job);
  return harness;
}

/* The count of a key through the callback's own handle; -1: the key holds nothing. */
static int64_t count_of(martlet_harness *harness, counter *function, int64_t key) {
  martlet_error error = {0};
  const char *name = "k";
  martlet_batch *batch = make_int64_batch(&name, &key, 1, 1);
  int32_t found = 7, present = 0;
  int64_t n = -1, timers = 0;
  OK(martlet_harness_select(harness, batch, &found, &error));
  if (found) {
    OK(martlet_value_get_int64(function->count, &n, &present, &error));
    OK(martlet_timers(function->call, NULL, 0, &timers, &error));
    CHECK(present == 1 && timers == 2);
    OK(martlet_harness_select(harness, NULL, NULL, &error));
  }
  martlet_batch_release(batch);
  return n;
}

int main(void) {
  martlet_error error = {0};
  martlet_clock *clock;
  counter first = {0}, second = {0};
  OK(martlet_clock_create(0, &clock, &error));
  martlet_harness *harness = harness_of(&first, clock);

  struct ArrowSchema schema = {0};
  OK(martlet_harness_key_schema(harness, &schema, &error));
  CHECK(schema.release == NULL);
  schema = make_schema(input, 2);
  OK(martlet_harness_open(harness, &schema, &error));
  CHECK(schema.release == NULL && first.opened == 1);
  OK(martlet_harness_schema(harness, &schema, &error));
  CHECK_INT(schema.n_children, 2);
  schema.release(&schema);
  OK(martlet_harness_key_schema(harness, &schema, &error));
  CHECK(schema.n_children == 1 && strcmp(schema.children[0]->name, key_columns[0].name) == 0);
  schema.release(&schema);

  const int64_t cells[] = {1, 1, 2, 10, 11, 12};
  martlet_batch *batch = make_int64_batch(names, cells, 2, 3), *out;
  const int64_t *times;
  for (int64_t row = 0; row < 3; row++)
    OK(martlet_harness_push(harness, batch, row, MARTLET_TIME_GIVEN, row ? 40 + row : MARTLET_NO_TIMESTAMP, &error));
  FAILS(martlet_harness_push(harness, batch, 3, MARTLET_TIME_OF_COLUMN, 0, &error), MARTLET_INVALID_ARGUMENT, "row 3");
  OK(martlet_harness_take(harness, NULL, &out, &times, &error));
  CHECK_INT(martlet_batch_num_rows(out), 3);
  CHECK(times[0] == MARTLET_NO_TIMESTAMP && times[2] == 42 && int64_at(out, 1, 2) == 12);
  martlet_batch_release(out);
  OK(martlet_harness_take(harness, NULL, &out, &times, &error));
  CHECK(out == NULL);
  OK(martlet_harness_take(harness, "nobody", &out, &times, &error));
  CHECK(out == NULL);
  CHECK_INT(count_of(harness, &first, 1), 2);
  CHECK_INT(count_of(harness, &first, 3), -1);

  const uint8_t *bytes;
  size_t length;
  OK(martlet_harness_snapshot(harness, &bytes, &length, &error));
  martlet_harness *copy = harness_of(&second, clock);
  FAILS(martlet_harness_restore(copy, bytes, length - 1, NULL, &error), MARTLET_SNAPSHOT_INVALID, "torn");
  martlet_harness_free(copy);
  CHECK(second.closed == 0 && second.destroyed == 1);
  copy = harness_of(&second, clock);
  const char *forget[] = {"count"};
  martlet_restore_options options = {.struct_size = sizeof options, .forget = forget, .n_forget = 1};
  FAILS(martlet_harness_restore(copy, bytes, length, &options, &error), MARTLET_INVALID_ARGUMENT, "'count'");
  martlet_harness_free(copy);

  /* The two halves of the key groups hold each key once. */
  int64_t found = 0;
  for (int32_t half = 0; half < 2; half++) {
    copy = harness_of(&second, clock);
    options = (martlet_restore_options){
      .struct_size = sizeof options, .first_group = 64 * half, .n_groups = 64, .max_parallelism = 128};
    OK(martlet_harness_restore(copy, bytes, length, &options, &error));
    found += (count_of(copy, &second, 1) == 2) + (count_of(copy, &second, 2) == 1);
    martlet_harness_free(copy);
  }
  CHECK_INT(found, 2);

  OK(martlet_harness_advance_processing_time(harness, 50, &error));
  CHECK_INT(martlet_harness_processing_time(harness), 50);
  FAILS(martlet_harness_advance_processing_time(harness, 49, &error), MARTLET_INVALID_ARGUMENT, "49");
  OK(martlet_harness_advance_watermark(harness, 100, &error));
  CHECK_INT(martlet_harness_watermark(harness), 100);
  OK(martlet_harness_fire_due(harness, &error)); /* they have fired: nothing is due twice */
  OK(martlet_harness_fire_due_seeing(harness, 90, &error));
  CHECK_INT(martlet_harness_watermark(harness), 100);
  CHECK_INT(count_of(harness, &first, 1), -1);
  first.fail = 1;
  FAILS(martlet_harness_push(harness, batch, 0, MARTLET_TIME_OF_COLUMN, 0, &error), MARTLET_CALLBACK_FAILED, "");
  FAILS(martlet_harness_end(harness, &error), MARTLET_CLOSED, "error");
  FAILS(martlet_harness_snapshot(harness, &bytes, &length, &error), MARTLET_CLOSED, "error");
  OK(martlet_harness_close(harness, &error));
  OK(martlet_harness_close(harness, &error));
  CHECK_INT(first.closed, 1);
  martlet_harness_free(harness);
  CHECK_INT(first.destroyed, 1);
  martlet_harness_free(NULL);

  copy = harness_of(&second, clock);
  OK(martlet_harness_end(copy, &error));
  CHECK_INT(martlet_harness_watermark(copy), MARTLET_MAX_TIME);
  martlet_harness_free(copy);
  martlet_batch_release(batch);
  martlet_clock_free(clock);
  CHECK(live_schemas == 0 && live_arrays == 0);
  printf("harness: ok\n");
  return 0;
}
