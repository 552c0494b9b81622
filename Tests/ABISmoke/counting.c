/* Counts per key in C, with a timer in event time: the way a compiled function runs in the record loop. */
#include "jobs.h"

enum { KEYS = 5, ROWS = 1000, BATCHES = 3 };

typedef struct counter {
  call_counts calls;
  martlet_state *count;
  martlet_output *output;
  martlet_appender *cells[3];
} counter;

static int64_t cell(int64_t column, int64_t row) { return column == 0 ? row % KEYS : row; }

static int32_t counter_open(void *context, martlet_context *call, martlet_error *error) {
  counter *self = context;
  self->calls.open++;
  CHECK(call->slot == MARTLET_NO_SLOT && call->parallelism == 1);
  self->count = martlet_context_state(call, 0);
  CHECK(self->count != NULL && martlet_context_state(call, 1) == NULL && martlet_context_state(call, -1) == NULL);
  self->output = martlet_context_output(call);
  CHECK_INT(martlet_output_num_columns(self->output), -1);
  CHECK(martlet_output_appender(self->output, 0) == NULL);
  const column_spec columns[] = {{.name = "k", .format = "l"}, {.name = "n", .format = "l"}, {.name = "at", .format = "l"}};
  struct ArrowSchema schema = make_schema(columns, 3);
  int32_t status = martlet_output_declare(self->output, &schema, error);
  CHECK(schema.release == NULL);
  CHECK_INT(martlet_output_num_columns(self->output), 3);
  for (int64_t i = 0; i < 3; i++) self->cells[i] = martlet_output_appender(self->output, i);
  CHECK(martlet_output_appender(self->output, 3) == NULL);
  return status;
}

static int32_t counter_begin(void *context, martlet_context *call, const martlet_batch *batch, martlet_error *error) {
  (void)call, (void)error;
  counter *self = context;
  CHECK(self->calls.begin == self->calls.end);
  CHECK(batch == NULL || martlet_batch_num_rows(batch) == ROWS);
  self->calls.begin++;
  return 0;
}

static int32_t counter_event(void *context, martlet_context *call, martlet_error *error) {
  counter *self = context;
  CHECK_INT(call->record, self->calls.event);
  CHECK_INT(call->timestamp, self->calls.event);
  CHECK(!call->is_late && call->timer_domain == MARTLET_NOT_A_TIMER && call->key_parts == 1);
  CHECK_INT(call->key->kind, MARTLET_KEY_INTEGER);
  CHECK_INT(call->key->integer, call->record % KEYS);
  CHECK_INT(int64_at(call->batch, 1, call->row), call->record);
  self->calls.event++;
  int64_t count = 0;
  int32_t present = 0;
  int32_t status = martlet_value_get_int64(self->count, &count, &present, error);
  if (status) return status;
  status = martlet_value_set_int64(self->count, count + 1, error);
  if (status) return status;
  /* One timer a key is pending at any time: due once the last of the thousand records it was set in has been seen. */
  if (present) {
    status = martlet_delete_event_time_timer(call, call->timestamp / 1000 * 1000 + 998, error);
    if (status) return status;
  }
  return martlet_register_event_time_timer(call, call->timestamp / 1000 * 1000 + 998, error);
}

static int32_t counter_timer(void *context, martlet_context *call, martlet_error *error) {
  counter *self = context;
  self->calls.timer++;
  CHECK(call->batch == NULL && call->timer_domain == MARTLET_EVENT_TIME && call->timestamp == call->fire_time);
  CHECK(call->watermark >= call->fire_time);
  int64_t count = 0;
  int32_t present = 0;
  int32_t status = martlet_value_get_int64(self->count, &count, &present, error);
  CHECK(status == 0 && present);
  status = martlet_append_int64(self->cells[1], -1, error);
  martlet_output_cancel_row(self->output);
  if (!status) status = martlet_append_int64(self->cells[0], call->key->integer, error);
  if (!status) status = martlet_append_int64(self->cells[1], count, error);
  if (!status) status = martlet_append_int64(self->cells[2], call->fire_time, error);
  if (!status) status = martlet_output_end_row(self->output, error);
  if (!status) status = martlet_value_clear(self->count, error);
  return status;
}

static void counter_end(void *context, martlet_context *call) {
  (void)call;
  ((counter *)context)->calls.end++;
}

static int32_t counter_close(void *context, martlet_context *call, martlet_error *error) {
  (void)call, (void)error;
  ((counter *)context)->calls.close++;
  return 0;
}

static void counter_destroy(void *context) { ((counter *)context)->calls.destroyed++; }

int main(void) {
  martlet_error error = {0};
  const char *names[] = {"k", "v"};
  counted_source source = {.names = names, .n_columns = 2, .cell = cell, .rows = ROWS, .n_batches = BATCHES, .fail_at = -1};
  counter self = {0};
  martlet_process_function function = {
    .struct_size = sizeof function, .context = &self, .open = counter_open, .batch_begin = counter_begin, .on_event = counter_event,
    .on_timer = counter_timer, .batch_end = counter_end, .close = counter_close, .destroy = counter_destroy};
  martlet_state_spec count = {.struct_size = sizeof count, .kind = MARTLET_STATE_VALUE, .name = "count", .format = "l"};
  martlet_job *job = job_over(&source, "v", &function, &count, 1);

  struct ArrowSchema schema = {0};
  OK(martlet_job_output_schema(job, &schema, &error));
  CHECK(schema.release == NULL);

  int64_t rows = 0;
  martlet_batch *batch = NULL;
  for (;;) {
    OK(martlet_job_next(job, 1, &batch, &error));
    if (batch == NULL) break;
    for (int64_t row = 0; row < martlet_batch_num_rows(batch); row++, rows++) {
      CHECK_INT(int64_at(batch, 0, row), rows % KEYS);
      CHECK_INT(int64_at(batch, 1, row), ROWS / KEYS);
      CHECK_INT(int64_at(batch, 2, row), rows / KEYS * 1000 + 998);
    }
    martlet_batch_release(batch);
  }
  CHECK_INT(rows, BATCHES * KEYS);
  OK(martlet_job_output_schema(job, &schema, &error));
  CHECK_INT(schema.n_children, 3);
  schema.release(&schema);

  martlet_report report = {.struct_size = sizeof report};
  OK(martlet_job_report(job, &report, &error));
  CHECK_INT(report.records_in, BATCHES * ROWS);
  CHECK_INT(report.batches_in, BATCHES);
  CHECK_INT(report.records_out, rows);
  CHECK_INT(report.timers_fired, rows);
  CHECK_INT(report.timers_pending, 0);
  CHECK_INT(report.keys, 0);
  CHECK_INT(report.late, 0);
  CHECK_INT(report.watermark, MARTLET_MAX_TIME);
  CHECK(self.calls.open == 1 && self.calls.close == 1 && self.calls.begin == self.calls.end);
  CHECK_INT(self.calls.event, BATCHES * ROWS);
  CHECK_INT(self.calls.timer, rows);
  OK(martlet_job_close(job, &error));
  martlet_job_free(job);
  CHECK(self.calls.close == 1 && self.calls.destroyed == 1 && source.destroyed == 1);
  CHECK_INT(live_arrays, 0);
  CHECK_INT(live_schemas, 0);
  puts("counting: ok");
  return 0;
}
