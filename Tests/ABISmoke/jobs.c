#include "jobs.h"

static int32_t next_batch(void *context, struct ArrowArray *array, struct ArrowSchema *schema, martlet_error *error) {
  counted_source *source = context;
  if (source->given == source->fail_at) {
    snprintf(error->message, sizeof error->message, "the disk is on fire");
    return 5;
  }
  if (source->given == source->n_batches) return 0;
  int64_t size = source->rows * source->n_columns;
  int64_t *values = malloc((size_t)size * sizeof *values);
  for (int64_t i = 0; i < size; i++) values[i] = source->cell(i / source->rows, source->given * source->rows + i % source->rows);
  *array = make_int64_array(values, source->n_columns, source->rows);
  free(values);
  if (source->given == 0) {
    column_spec columns[8] = {0};
    for (int64_t i = 0; i < source->n_columns; i++) columns[i] = (column_spec){.name = source->names[i], .format = "l"};
    *schema = make_schema(columns, source->n_columns);
  }
  source->given++;
  return 0;
}

static void destroy_source(void *context) { ((counted_source *)context)->destroyed++; }

martlet_source source_over(counted_source *source) {
  return (martlet_source){.struct_size = sizeof(martlet_source), .context = source, .next = next_batch, .destroy = destroy_source};
}

martlet_job *job_over(counted_source *source, const char *timestamp, const martlet_process_function *function, const martlet_state_spec *states, int64_t n_states) {
  martlet_error error = {0};
  martlet_job *job = NULL;
  martlet_job_options options = {.struct_size = sizeof options, .name = "smoke"};
  OK(martlet_job_create(&options, &job, &error));
  martlet_source input = source_over(source);
  martlet_stream_options stream = {.struct_size = sizeof stream, .name = "numbers", .timestamp = timestamp};
  OK(martlet_job_add_source(job, &input, &stream, &error));
  const char *keys[] = {"k"};
  martlet_process_options process = {
    .struct_size = sizeof process, .name = "function", .key_columns = keys, .n_key_columns = 1, .states = states, .n_states = n_states};
  OK(martlet_job_add_process(job, function, &process, &error));
  return job;
}

int64_t row_number(int64_t column, int64_t row) {
  (void)column;
  return row;
}

martlet_report run_over_ten_keys(const martlet_process_function *function, const martlet_state_spec *states, int64_t n_states) {
  martlet_error error = {0};
  const char *names[] = {"k"};
  counted_source source = {.names = names, .n_columns = 1, .cell = row_number, .rows = 10, .n_batches = 1, .fail_at = -1};
  martlet_job *job = job_over(&source, NULL, function, states, n_states);
  martlet_batch *batch = NULL;
  OK(martlet_job_next(job, 1, &batch, &error));
  CHECK(batch == NULL);
  martlet_report report = {.struct_size = sizeof report};
  OK(martlet_job_report(job, &report, &error));
  CHECK_INT(report.records_in, 10);
  martlet_job_free(job);
  return report;
}
