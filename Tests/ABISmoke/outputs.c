/* Several outputs of one job, slices, and failures that a policy swallows. */
#include "jobs.h"

typedef struct splitter {
  call_counts calls;
  int64_t failures;
  int64_t slices;
} splitter;

/* Keys in runs of four. */
static int64_t cell(int64_t column, int64_t row) { return column == 0 ? row / 4 % 3 : row; }

static const char *const names[] = {"k", "v"};

static counted_source numbers(void) {
  return (counted_source){.names = names, .n_columns = 2, .cell = cell, .rows = 10, .n_batches = 2, .fail_at = -1};
}

/* Even records go to the main output, odd ones to the side output "odd"; every seventh fails after that. */
static int32_t split(void *context, martlet_context *call, martlet_error *error) {
  splitter *self = context;
  martlet_output *odd = NULL;
  self->calls.event++;
  CHECK_INT(martlet_context_side_output(call, "", &odd, error), MARTLET_INVALID_ARGUMENT);
  CHECK_INT(martlet_context_side_output(call, "errors", &odd, error), MARTLET_INVALID_ARGUMENT);
  CHECK(odd == NULL && strstr(error->message, "filled by the engine") != NULL);
  CHECK_INT(martlet_context_side_output(call, "odd", &odd, error), MARTLET_OK);
  martlet_output *output = call->record % 2 ? odd : martlet_context_output(call);
  CHECK_INT(martlet_output_rows(output, call->batch, call->row, 11, error), MARTLET_INVALID_ARGUMENT);
  CHECK_INT(martlet_output_rows(output, call->batch, call->row, -1, error), MARTLET_INVALID_ARGUMENT);
  int32_t status = martlet_output_rows(output, call->batch, call->row, 1, error);
  if (status != MARTLET_OK || call->record % 7 != 6) return status;
  snprintf(error->message, sizeof error->message, "seven");
  return MARTLET_CALLBACK_FAILED;
}

static void note_failure(void *context, martlet_context *call, martlet_failure *details) {
  splitter *self = context;
  CHECK_INT(call->record % 7, 6);
  self->failures++;
  *details = (martlet_failure){.error_type = "Seventh", .error_type_length = 7};
}

static void destroy(void *context) { ((splitter *)context)->calls.destroyed++; }

static martlet_job *make_job(counted_source *source, martlet_process_function *function, int32_t on_error) {
  martlet_error error;
  martlet_job *job = NULL;
  martlet_job_options options = {.struct_size = sizeof options, .name = "outputs", .on_error = on_error};
  OK(martlet_job_create(&options, &job, &error));
  martlet_source input = source_over(source);
  OK(martlet_job_add_source(job, &input, NULL, &error));
  const char *keys[] = {"k"};
  const column_spec columns[] = {{.name = "k", .format = "l"}, {.name = "v", .format = "l"}};
  struct ArrowSchema schema = make_schema(columns, 2);
  martlet_side_output side = {.tag = "odd", .schema = &schema};
  martlet_process_options process = {.struct_size = sizeof process, .name = "split", .key_columns = keys, .n_key_columns = 1, .side_outputs = &side, .n_side_outputs = 1};
  OK(martlet_job_add_process(job, function, &process, &error));
  CHECK(schema.release == NULL);
  return job;
}

static int64_t drain(martlet_job *job, int64_t output, int64_t *sum) {
  martlet_error error;
  int64_t rows = 0;
  for (;;) {
    martlet_batch *batch = NULL;
    OK(martlet_job_next_from(job, output, 3, &batch, &error));
    if (!batch) return rows;
    for (int64_t row = 0; sum && row < martlet_batch_num_rows(batch); row++) *sum += int64_at(batch, 1, row);
    rows += martlet_batch_num_rows(batch);
    martlet_batch_release(batch);
  }
}

static void check_outputs(void) {
  martlet_error error;
  counted_source source = numbers();
  splitter self = {.failures = 0};
  martlet_process_function function = {.struct_size = sizeof function, .context = &self, .on_event = split, .destroy = destroy, .on_failure = note_failure};
  martlet_job *job = make_job(&source, &function, MARTLET_ERRORS_DEAD_LETTER);
  int64_t odd = -1, main_output = -1, errors = -1, again = -1, none = -1;
  OK(martlet_job_add_output(job, 1, "odd", &odd, &error));
  OK(martlet_job_add_output(job, 0, NULL, &main_output, &error));
  OK(martlet_job_add_output(job, 1, "errors", &errors, &error));
  OK(martlet_job_add_output(job, 1, "odd", &again, &error));
  CHECK_INT(odd, 0);
  CHECK_INT(main_output, 1);
  CHECK_INT(errors, 2);
  CHECK_INT(again, odd);
  FAILS(martlet_job_add_output(job, 2, NULL, &none, &error), MARTLET_INVALID_ARGUMENT, "none numbered 1");
  FAILS(martlet_job_add_output(job, -1, NULL, &none, &error), MARTLET_INVALID_ARGUMENT, "from 1");
  FAILS(martlet_job_add_output(job, 1, "", &none, &error), MARTLET_INVALID_ARGUMENT, "empty");
  /* Records 6 and 13 are taken back, whichever output they went to. */
  int64_t sum = 0;
  CHECK_INT(drain(job, main_output, &sum), 9);
  CHECK_INT(drain(job, odd, &sum), 9);
  CHECK_INT(sum, 19 * 20 / 2 - 6 - 13);
  struct ArrowSchema schema;
  OK(martlet_job_schema_of(job, errors, &schema, &error));
  CHECK_INT(schema.n_children, 10);
  CHECK(strcmp(schema.children[6]->name, "error_type") == 0);
  schema.release(&schema);
  FAILS(martlet_job_schema_of(job, 3, &schema, &error), MARTLET_INVALID_ARGUMENT, "no output numbered 3");
  martlet_batch *batch = NULL;
  OK(martlet_job_next_from(job, errors, 1, &batch, &error));
  CHECK_INT(martlet_batch_num_rows(batch), 2);
  CHECK_INT(int64_at(batch, 1, 0), 6);
  CHECK_INT(int64_at(batch, 1, 1), 13);
  const martlet_column *type = &martlet_batch_columns(batch)[6], *message = &martlet_batch_columns(batch)[7];
  CHECK(memcmp(type->data, "Seventh", 7) == 0);
  CHECK(memcmp(message->data, "seven", 5) == 0);
  martlet_batch_release(batch);
  CHECK_INT(drain(job, errors, NULL), 0);
  FAILS(martlet_job_next_from(job, errors, 1, &batch, &error), MARTLET_CLOSED, "closed");
  martlet_report report = {.struct_size = sizeof report};
  OK(martlet_job_report(job, &report, &error));
  CHECK_INT(report.errors, 2);
  CHECK_INT(report.records_out, 9);
  CHECK_INT(report.side_records, 11);
  martlet_job_free(job);
  CHECK_INT(self.failures, 2);
  CHECK_INT(self.calls.destroyed, 1);
}

/* Every slice goes on as it is; a fatal failure passes every policy. */
static int32_t pass_slice(void *context, martlet_context *call, martlet_error *error) {
  splitter *self = context;
  self->slices++;
  CHECK(call->rows >= 1 && call->row + call->rows <= martlet_batch_num_rows(call->batch));
  if (self->failures == self->slices) return MARTLET_CALLBACK_FATAL;
  return martlet_output_rows(martlet_context_output(call), call->batch, call->row, call->rows, error);
}

static void check_slices(void) {
  martlet_error error;
  counted_source source = numbers();
  splitter self = {.failures = -1};
  martlet_process_function function = {.struct_size = sizeof function, .context = &self, .destroy = destroy, .on_batch = pass_slice};
  martlet_job *job = make_job(&source, &function, MARTLET_ERRORS_RAISE);
  CHECK_INT(drain(job, 0, NULL), 20);
  CHECK_INT(self.slices, 6);
  martlet_job_free(job);

  source = numbers();
  self = (splitter){.failures = 3};
  job = make_job(&source, &function, MARTLET_ERRORS_SKIP);
  martlet_batch *batch = NULL;
  OK(martlet_job_next(job, 100, &batch, &error));
  CHECK_INT(martlet_batch_num_rows(batch), 8);
  martlet_batch_release(batch);
  FAILS(martlet_job_next(job, 100, &batch, &error), MARTLET_CALLBACK_FAILED, "without a message");
  martlet_job_free(job);

  martlet_process_function empty = {.struct_size = sizeof empty};
  OK(martlet_job_create(NULL, &job, &error));
  martlet_process_options process = {.struct_size = sizeof process};
  FAILS(martlet_job_add_process(job, &empty, &process, &error), MARTLET_INVALID_ARGUMENT, "on_batch");
  martlet_job_free(job);
}

int main(void) {
  check_outputs();
  check_slices();
  CHECK_INT(live_schemas, 0);
  CHECK_INT(live_arrays, 0);
  return 0;
}
