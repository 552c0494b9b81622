/* Functions of two inputs: a connect and a broadcast over two sources, and both driven by hand. */
#include "jobs.h"

typedef struct recorder {
  call_counts calls;
  int64_t rights;
  int64_t applied;
  int refuses; /* the broadcast callback tries what it may not do */
  martlet_state *count, *rules;
} recorder;

static const char *const left_names[] = {"k", "t"};
static const char *const right_names[] = {"id", "at"};

/* Left: keys 0, 1, 2 in turn at 0, 10, 20 … Right: the same keys at 5, 25, 45 … */
static int64_t left_cell(int64_t column, int64_t row) { return column == 0 ? row % 3 : row * 10; }
static int64_t right_cell(int64_t column, int64_t row) { return column == 0 ? row % 3 : row * 20 + 5; }

static int32_t open_function(void *context, martlet_context *call, martlet_error *error) {
  recorder *self = context;
  (void)error;
  self->calls.open++;
  CHECK_INT(call->side, MARTLET_NO_SIDE);
  self->count = martlet_context_state(call, 0);
  self->rules = martlet_context_state(call, 1);
  return 0;
}

/* One row (side, key, time, count). */
static int32_t emit(martlet_context *call, int64_t key, int64_t n, martlet_error *error) {
  martlet_output *output = martlet_context_output(call);
  const int64_t cells[] = {call->side, key, call->timestamp, n};
  for (int64_t i = 0; i < 4; i++) {
    int32_t status = martlet_append_int64(martlet_output_appender(output, i), cells[i], error);
    if (status) return status;
  }
  return martlet_output_end_row(output, error);
}

static int32_t count_up(recorder *self, int64_t *n, martlet_error *error) {
  int32_t present;
  *n = 0;
  int32_t status = martlet_value_get_int64(self->count, n, &present, error);
  if (status) return status;
  *n = present ? *n + 1 : 1;
  return martlet_value_set_int64(self->count, *n, error);
}

static int32_t on_either(void *context, martlet_context *call, martlet_error *error) {
  recorder *self = context;
  int64_t n;
  if (call->side == MARTLET_RIGHT) self->rights++; else self->calls.event++;
  CHECK_INT(int64_at(call->batch, 0, call->row), call->key->integer);
  int32_t status = count_up(self, &n, error);
  return status ? status : emit(call, call->key->integer, n, error);
}

static void destroy(void *context) { ((recorder *)context)->calls.destroyed++; }

static struct ArrowSchema output_schema(void) {
  const column_spec columns[] = {{.name = "side", .format = "l"}, {.name = "k", .format = "l"}, {.name = "t", .format = "l"}, {.name = "n", .format = "l"}};
  return make_schema(columns, 4);
}

static martlet_job *make_job(counted_source *left, counted_source *right, int32_t kind, const martlet_process_function *function) {
  martlet_error error = {0};
  martlet_job *job = NULL;
  OK(martlet_job_create(NULL, &job, &error));
  martlet_source sources[] = {source_over(left), source_over(right)};
  martlet_stream_options options = {.struct_size = sizeof options, .name = "left", .timestamp = "t"};
  OK(martlet_job_add_source(job, &sources[0], &options, &error));
  options.name = "right";
  options.timestamp = "at";
  OK(martlet_job_add_source(job, &sources[1], &options, &error));
  const char *left_keys[] = {"k"}, *right_keys[] = {"id"};
  const martlet_input inputs[] = {{.source = 0}, {.source = 1}};
  const martlet_state_spec states[] = {
    {.struct_size = sizeof states[0], .kind = MARTLET_STATE_VALUE, .name = "count", .format = "l"},
    {.struct_size = sizeof states[0], .kind = MARTLET_STATE_BROADCAST, .name = "rules", .format = "l", .key_format = "l"}};
  struct ArrowSchema schema = output_schema();
  martlet_process_options process = {
    .struct_size = sizeof process, .name = "both", .key_columns = left_keys, .n_key_columns = 1, .states = states, .n_states = kind == MARTLET_BROADCAST ? 2 : 1,
    .output_schema = &schema, .kind = kind, .inputs = inputs, .n_inputs = 2, .right_key_columns = right_keys,
    .n_right_key_columns = kind == MARTLET_CONNECT};
  OK(martlet_job_add_process(job, function, &process, &error));
  return job;
}

static counted_source left_source(void) { return (counted_source){.names = left_names, .n_columns = 2, .cell = left_cell, .rows = 3, .n_batches = 2, .fail_at = -1}; }
static counted_source right_source(void) { return (counted_source){.names = right_names, .n_columns = 2, .cell = right_cell, .rows = 1, .n_batches = 3, .fail_at = -1}; }

static void check_connect(void) {
  martlet_error error = {0};
  counted_source left = left_source(), right = right_source();
  recorder self = {0};
  martlet_process_function function = {.struct_size = sizeof function, .context = &self, .open = open_function, .on_event = on_either, .destroy = destroy};
  martlet_job *job = make_job(&left, &right, MARTLET_CONNECT, &function);
  martlet_batch *batch = NULL;
  OK(martlet_job_next(job, 100, &batch, &error));
  /* By timestamp: 0L 5R 10L 20L 25R 30L 40L 45R 50L, the state shared by both sides. */
  const int64_t expected[9][4] = {
    {1, 0, 0, 1}, {2, 0, 5, 2}, {1, 1, 10, 1}, {1, 2, 20, 1}, {2, 1, 25, 2}, {1, 0, 30, 3}, {1, 1, 40, 3}, {2, 2, 45, 2}, {1, 2, 50, 3}};
  CHECK_INT(martlet_batch_num_rows(batch), 9);
  for (int64_t row = 0; row < 9; row++)
    for (int64_t column = 0; column < 4; column++) CHECK_INT(int64_at(batch, column, row), expected[row][column]);
  martlet_batch_release(batch);
  OK(martlet_job_next(job, 1, &batch, &error));
  CHECK(batch == NULL);
  martlet_job_free(job);
  CHECK_INT(self.calls.event, 6);
  CHECK_INT(self.rights, 3);
  CHECK_INT(self.calls.destroyed, 1);
  CHECK(left.destroyed == 1 && right.destroyed == 1);
}

/* ---- broadcast ---- */

static int32_t count_key(void *context, martlet_context *call, martlet_error *error) {
  recorder *self = context;
  int64_t n;
  int32_t present;
  CHECK(call->slot != MARTLET_NO_SLOT);
  CHECK_INT(martlet_register_event_time_timer(call, 99, NULL), MARTLET_STATE_ACCESS);
  CHECK_INT(martlet_value_get_int64(self->count, &n, &present, error), MARTLET_OK);
  self->applied += n;
  return 0;
}

static int32_t refuse(void *context, martlet_context *call, martlet_error *error) {
  (void)context;
  (void)call;
  snprintf(error->message, sizeof error->message, "no more");
  return MARTLET_CALLBACK_FAILED;
}

static int32_t on_rule(void *context, martlet_context *call, martlet_error *error) {
  recorder *self = context;
  self->rights++;
  CHECK(call->side == MARTLET_RIGHT && call->slot == MARTLET_NO_SLOT);
  int64_t n;
  CHECK_INT(count_up(self, &n, error), MARTLET_STATE_ACCESS);
  CHECK(strstr(error->message, "No key set. This method should not be called outside of a keyed context") != NULL);
  CHECK_INT(martlet_register_event_time_timer(call, 99, error), MARTLET_STATE_ACCESS);
  CHECK(strstr(error->message, "No key set.") != NULL);
  CHECK_INT(martlet_apply_to_keyed_state(call, 7, count_key, self, error), MARTLET_INVALID_ARGUMENT);
  CHECK_INT(martlet_apply_to_keyed_state(call, 1, count_key, self, error), MARTLET_STATE_ACCESS);
  if (self->refuses) return martlet_apply_to_keyed_state(call, 0, refuse, self, error);
  int32_t status = martlet_apply_to_keyed_state(call, 0, count_key, self, error);
  if (status) return status;
  martlet_value key = {.integer = int64_at(call->batch, 0, call->row)}, value = {.integer = call->timestamp};
  return martlet_map_put(self->rules, &key, &value, error);
}

/* Emits how many rules there are. */
static int32_t on_main(void *context, martlet_context *call, martlet_error *error) {
  recorder *self = context;
  int64_t n, length;
  martlet_value key = {.integer = 1};
  self->calls.event++;
  CHECK_INT(martlet_map_len(self->rules, &length, error), MARTLET_OK);
  CHECK_INT(martlet_map_put(self->rules, &key, &key, error), MARTLET_STATE_ACCESS);
  CHECK(strstr(error->message, "'rules'") != NULL && strstr(error->message, "on_broadcast") != NULL);
  CHECK_INT(martlet_value_clear(self->rules, error), MARTLET_STATE_ACCESS);
  CHECK_INT(martlet_apply_to_keyed_state(call, 0, count_key, self, error), MARTLET_STATE_ACCESS);
  int64_t after;
  CHECK_INT(martlet_map_len(self->rules, &after, error), MARTLET_OK);
  CHECK_INT(after, length);
  int32_t status = count_up(self, &n, error);
  return status ? status : emit(call, call->key->integer, length, error);
}

static martlet_process_function broadcast_function(recorder *self) {
  return (martlet_process_function){
    .struct_size = sizeof(martlet_process_function), .context = self, .open = open_function, .on_event = on_main, .destroy = destroy, .on_right = on_rule};
}

static void check_broadcast(void) {
  martlet_error error = {0};
  counted_source left = left_source(), right = right_source();
  recorder self = {0};
  martlet_process_function function = broadcast_function(&self);
  martlet_job *job = make_job(&left, &right, MARTLET_BROADCAST, &function);
  martlet_batch *batch = NULL;
  OK(martlet_job_next(job, 100, &batch, &error));
  /* Rules come at 5, 25 and 45; events at 0, 10 … 50. */
  const int64_t rules[] = {0, 1, 1, 2, 2, 3};
  CHECK_INT(martlet_batch_num_rows(batch), 6);
  for (int64_t row = 0; row < 6; row++) CHECK_INT(int64_at(batch, 3, row), rules[row]);
  martlet_batch_release(batch);
  martlet_job_free(job);
  /* Records counted before each rule: 1, 3 and 5. */
  CHECK_INT(self.applied, 9);
  CHECK_INT(self.rights, 3);

  left = left_source(), right = right_source();
  self = (recorder){.refuses = 1};
  function = broadcast_function(&self);
  job = make_job(&left, &right, MARTLET_BROADCAST, &function);
  OK(martlet_job_next(job, 100, &batch, &error));
  CHECK_INT(martlet_batch_num_rows(batch), 1);
  martlet_batch_release(batch);
  FAILS(martlet_job_next(job, 100, &batch, &error), MARTLET_CALLBACK_FAILED, "no more");
  martlet_job_free(job);
}

/* ---- by hand ---- */

static void check_harness(void) {
  martlet_error error = {0};
  counted_source left = left_source(), right = right_source();
  recorder self = {0};
  martlet_process_function function = broadcast_function(&self);
  martlet_job *job = make_job(&left, &right, MARTLET_BROADCAST, &function);
  martlet_harness *harness = NULL;
  martlet_harness_options options = {.struct_size = sizeof options, .timestamp = "t", .max_out_of_orderness = -1, .right_timestamp = "at"};
  OK(martlet_harness_create(job, &options, &harness, &error));
  martlet_job_free(job);
  const column_spec columns[] = {{.name = "id", .format = "l"}, {.name = "at", .format = "l"}};
  struct ArrowSchema schema = make_schema(columns, 2);
  FAILS(martlet_harness_open_input(harness, 3, &schema, &error), MARTLET_INVALID_ARGUMENT, "side 3");
  schema = make_schema(columns, 2);
  OK(martlet_harness_open_input(harness, MARTLET_RIGHT, &schema, &error));
  OK(martlet_harness_schema_of(harness, MARTLET_RIGHT, &schema, &error));
  CHECK_INT(schema.n_children, 2);
  schema.release(&schema);
  OK(martlet_harness_schema_of(harness, MARTLET_LEFT, &schema, &error));
  CHECK(schema.release == NULL);
  const int64_t rule[] = {7, 12}, event[] = {1, 13};
  martlet_batch *rules = make_int64_batch(right_names, rule, 2, 1), *events = make_int64_batch(left_names, event, 2, 1), *out = NULL;
  OK(martlet_harness_push_to(harness, MARTLET_RIGHT, rules, 0, MARTLET_TIME_OF_COLUMN, 0, &error));
  OK(martlet_harness_push_to(harness, MARTLET_LEFT, events, 0, MARTLET_TIME_OF_COLUMN, 0, &error));
  OK(martlet_harness_push(harness, events, 0, MARTLET_TIME_GIVEN, 15, &error));
  const int64_t *times = NULL;
  OK(martlet_harness_take(harness, NULL, &out, &times, &error));
  CHECK_INT(martlet_batch_num_rows(out), 2);
  CHECK(int64_at(out, 3, 0) == 1 && times[0] == 13 && times[1] == 15);
  martlet_batch_release(out);
  OK(martlet_harness_advance_input(harness, MARTLET_LEFT, 20, &error));
  CHECK_INT(martlet_harness_watermark(harness), MARTLET_MIN_TIME);
  OK(martlet_harness_set_idle(harness, MARTLET_RIGHT, 1, &error));
  CHECK_INT(martlet_harness_watermark(harness), 20);
  OK(martlet_harness_advance_watermark(harness, 30, &error));
  CHECK_INT(martlet_harness_watermark(harness), 30);
  FAILS(martlet_harness_advance_input(harness, MARTLET_RIGHT, 29, &error), MARTLET_INVALID_ARGUMENT, "cannot go back");
  OK(martlet_harness_end_input(harness, MARTLET_RIGHT, &error));
  FAILS(martlet_harness_push_to(harness, MARTLET_RIGHT, rules, 0, MARTLET_TIME_OF_COLUMN, 0, &error), MARTLET_CLOSED, "right input has ended");
  OK(martlet_harness_end_input(harness, MARTLET_LEFT, &error));
  CHECK_INT(martlet_harness_watermark(harness), MARTLET_MAX_TIME);
  martlet_batch_release(rules);
  martlet_batch_release(events);
  martlet_harness_free(harness);
}

static void check_errors(void) {
  martlet_error error = {0};
  recorder self = {0};
  martlet_job *job = NULL;
  OK(martlet_job_create(NULL, &job, &error));
  const char *keys[] = {"k"};
  martlet_input inputs[] = {{.source = 0}, {.source = 4}};
  counted_source left = left_source();
  martlet_source source = source_over(&left);
  OK(martlet_job_add_source(job, &source, NULL, &error));
  martlet_process_function function = broadcast_function(&self);
  martlet_process_options process = {
    .struct_size = sizeof process, .name = "both", .key_columns = keys, .n_key_columns = 1, .kind = MARTLET_CONNECT, .inputs = inputs, .n_inputs = 1,
    .right_key_columns = keys, .n_right_key_columns = 1};
  FAILS(martlet_job_add_process(job, &function, &process, &error), MARTLET_INVALID_ARGUMENT, "1 inputs");
  process.n_inputs = 2;
  FAILS(martlet_job_add_process(job, &function, &process, &error), MARTLET_INVALID_ARGUMENT, "none numbered 4");
  process.n_right_key_columns = 0;
  FAILS(martlet_job_add_process(job, &function, &process, &error), MARTLET_INVALID_ARGUMENT, "key both sides alike");
  inputs[1] = (martlet_input){.source = -1, .process = 0};
  FAILS(martlet_job_add_process(job, &function, &process, &error), MARTLET_INVALID_ARGUMENT, "set one of them");
  process.kind = 9;
  FAILS(martlet_job_add_process(job, &function, &process, &error), MARTLET_INVALID_ARGUMENT, "martlet_operator_kind");
  function.on_right = NULL;
  process.kind = MARTLET_BROADCAST;
  FAILS(martlet_job_add_process(job, &function, &process, &error), MARTLET_INVALID_ARGUMENT, "on_right");
  martlet_job_free(job);
  CHECK_INT(self.calls.destroyed, 6);
}

int main(void) {
  check_connect();
  check_broadcast();
  check_harness();
  check_errors();
  CHECK_INT(live_schemas, 0);
  CHECK_INT(live_arrays, 0);
  printf("two inputs: ok\n");
  return 0;
}
