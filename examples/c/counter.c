/* Counts per key in C: a process function that the engine calls for every record.
 *
 *   cc counter.c -lmartlet && ./a.out
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "martlet.h"

enum { KEYS = 3, ROWS = 1000 };

/* ---- the process function ---------------------------------------------------------------------- */

typedef struct counter {
  martlet_state *count;   /* how often the current key was seen */
  martlet_output *output;
} counter;

static int32_t counter_open(void *context, martlet_context *call, martlet_error *error) {
  (void)error;
  counter *self = context;
  self->count = martlet_context_state(call, 0);
  self->output = martlet_context_output(call);
  return MARTLET_OK;
}

/* Emits the record whenever its key was seen another hundred times. A status other than 0 stops the job. */
static int32_t counter_on_event(void *context, martlet_context *call, martlet_error *error) {
  counter *self = context;
  int64_t count = 0;
  int32_t present;
  int32_t status = martlet_value_get_int64(self->count, &count, &present, error);
  if (status == MARTLET_OK) status = martlet_value_set_int64(self->count, ++count, error);
  if (status == MARTLET_OK && count % 100 == 0) status = martlet_output_row(self->output, call->batch, call->row, error);
  return status;
}

/* ---- the input: one batch with a column "user" -------------------------------------------------- */

typedef struct users {
  int64_t values[ROWS];
  const void *buffers[2];
  struct ArrowArray column, *columns[1];
  struct ArrowSchema field, *fields[1];
  int given;
} users;

/* The memory belongs to `main` and outlives the job, so there is nothing to free. */
static void release_array(struct ArrowArray *array) { array->release = NULL; }
static void release_schema(struct ArrowSchema *schema) { schema->release = NULL; }

static int32_t next_users(void *context, struct ArrowArray *array, struct ArrowSchema *schema, martlet_error *error) {
  (void)error;
  users *self = context;
  if (self->given++) return MARTLET_OK; /* the end: `array` stays empty */
  for (int64_t row = 0; row < ROWS; row++) self->values[row] = row % KEYS;
  self->buffers[1] = self->values;
  self->column = (struct ArrowArray){.length = ROWS, .n_buffers = 2, .buffers = self->buffers, .release = release_array};
  self->columns[0] = &self->column;
  static const void *no_validity[1];
  *array = (struct ArrowArray){
    .length = ROWS, .n_buffers = 1, .buffers = no_validity, .n_children = 1, .children = self->columns, .release = release_array};
  self->field = (struct ArrowSchema){.format = "l", .name = "user", .release = release_schema};
  self->fields[0] = &self->field;
  *schema = (struct ArrowSchema){.format = "+s", .name = "", .n_children = 1, .children = self->fields, .release = release_schema};
  return MARTLET_OK;
}

/* ---- the job ----------------------------------------------------------------------------------- */

static void check(int32_t status, const martlet_error *error) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s\n", error->message);
  exit(1);
}

int main(void) {
  assert(martlet_abi_version() == MARTLET_ABI_VERSION);
  martlet_error error;
  martlet_job *job = NULL;
  check(martlet_job_create(NULL, &job, &error), &error);

  static users input;
  martlet_source source = {.struct_size = sizeof source, .context = &input, .next = next_users};
  check(martlet_job_add_source(job, &source, NULL, &error), &error);

  counter self = {0};
  martlet_process_function function = {
    .struct_size = sizeof function, .context = &self, .open = counter_open, .on_event = counter_on_event};
  const char *key[] = {"user"};
  martlet_state_spec count = {.struct_size = sizeof count, .kind = MARTLET_STATE_VALUE, .name = "count", .format = "l"};
  martlet_process_options options = {
    .struct_size = sizeof options, .name = "counter", .key_columns = key, .n_key_columns = 1, .states = &count, .n_states = 1};
  check(martlet_job_add_process(job, &function, &options, &error), &error);

  int64_t rows = 0;
  for (;;) {
    martlet_batch *batch = NULL;
    check(martlet_job_next(job, 1, &batch, &error), &error);
    if (batch == NULL) break;
    rows += martlet_batch_num_rows(batch);
    martlet_batch_release(batch);
  }
  martlet_report report = {.struct_size = sizeof report};
  check(martlet_job_report(job, &report, &error), &error);
  printf("%lld records of %lld users, %lld times another hundred\n", (long long)report.records_in, (long long)report.keys, (long long)rows);
  martlet_job_free(job);

  assert(report.records_in == ROWS && report.keys == KEYS);
  assert(rows == KEYS * (ROWS / KEYS / 100));
  return 0;
}
