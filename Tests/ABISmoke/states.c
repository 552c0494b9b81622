/* Every kind of state access from C, with and without a current key. */
#include "jobs.h"

typedef struct probe {
  martlet_state *states[5]; /* "c": int8, "L": uint64, "g": float64, "u": utf8, NULL: encoded */
  int events;
} probe;

static int32_t probe_open(void *context, martlet_context *call, martlet_error *unused) {
  (void)unused;
  probe *self = context;
  martlet_error error = {0};
  int64_t value = 0;
  int32_t present = 0;
  for (int i = 0; i < 5; i++) {
    self->states[i] = martlet_context_state(call, i);
    CHECK(self->states[i] != NULL);
    FAILS(martlet_value_exists(self->states[i], &present, &error), MARTLET_STATE_ACCESS, "no current key");
    FAILS(martlet_value_clear(self->states[i], &error), MARTLET_STATE_ACCESS, "no current key");
  }
  FAILS(martlet_value_get_int64(self->states[0], &value, &present, &error), MARTLET_STATE_ACCESS, "'s0'");
  FAILS(martlet_register_event_time_timer(call, 1, &error), MARTLET_STATE_ACCESS, "no current key");
  FAILS(martlet_delete_event_time_timer(call, 1, &error), MARTLET_STATE_ACCESS, "no current key");
  return 0;
}

static int32_t probe_event(void *context, martlet_context *call, martlet_error *unused) {
  (void)call, (void)unused;
  probe *self = context;
  martlet_error error = {0};
  int64_t integer = 77;
  double real = 77;
  const uint8_t *bytes = NULL;
  size_t length = 77;
  int32_t present = 77;
  martlet_state **s = self->states;
  self->events++;

  for (int i = 0; i < 5; i++) {
    OK(martlet_value_exists(s[i], &present, &error));
    CHECK_INT(present, 0);
  }
  OK(martlet_value_get_int64(s[0], &integer, &present, &error));
  CHECK(present == 0 && integer == 77);
  OK(martlet_value_get_double(s[2], &real, &present, &error));
  CHECK(present == 0 && real == 77);
  OK(martlet_value_get_bytes(s[3], &bytes, &length, &present, &error));
  CHECK(present == 0 && length == 77);

  OK(martlet_value_set_int64(s[0], -128, &error));
  OK(martlet_value_get_int64(s[0], &integer, &present, &error));
  CHECK(present == 1 && integer == -128);
  FAILS(martlet_value_set_int64(s[0], 128, &error), MARTLET_VALUE_RANGE, "128");
  FAILS(martlet_value_set_uint64(s[0], UINT64_MAX, &error), MARTLET_VALUE_RANGE, "18446744073709551615");
  OK(martlet_value_set_uint64(s[1], UINT64_MAX, &error));
  OK(martlet_value_get_int64(s[1], &integer, &present, &error));
  CHECK((uint64_t)integer == UINT64_MAX);
  FAILS(martlet_value_set_int64(s[1], -1, &error), MARTLET_VALUE_RANGE, "'s1'");

  OK(martlet_value_set_double(s[2], 0.25, &error));
  OK(martlet_value_get_double(s[2], &real, &present, &error));
  CHECK(present == 1 && real == 0.25);

  /* Short and long bytes, one over the other; none at all is a value too. */
  char text[200];
  memset(text, 'x', sizeof text);
  for (size_t size = 0; size <= sizeof text; size += 25) {
    OK(martlet_value_set_bytes(s[3], text, size, &error));
    OK(martlet_value_get_bytes(s[3], &bytes, &length, &present, &error));
    CHECK(present == 1 && length == size && memcmp(bytes, text, size) == 0);
  }
  OK(martlet_value_set_bytes(s[4], NULL, 0, &error));
  OK(martlet_value_get_bytes(s[4], &bytes, &length, &present, &error));
  CHECK(present == 1 && length == 0);
  FAILS(martlet_value_set_bytes(s[4], NULL, 3, &error), MARTLET_INVALID_ARGUMENT, "NULL");
  FAILS(martlet_value_set_bytes(s[3], "\xC3\x28", 2, &error), MARTLET_VALUE_RANGE, "UTF-8");
  OK(martlet_value_set_bytes(s[4], "\xC3\x28", 2, &error));

  /* The wrong storage, without an error buffer too. */
  FAILS(martlet_value_get_double(s[0], &real, &present, &error), MARTLET_SCHEMA_MISMATCH, "'s0'");
  FAILS(martlet_value_set_int64(s[3], 1, &error), MARTLET_SCHEMA_MISMATCH, "utf8");
  CHECK_INT(martlet_value_set_double(s[4], 1, NULL), MARTLET_SCHEMA_MISMATCH);

  /* Every other key keeps a value. */
  for (int i = 0; i < 5; i++)
    if (i != 2 || self->events % 2) OK(martlet_value_clear(s[i], &error));
  return 0;
}

/* A key column that is not there, with what may have been meant. */
static void missing_column(void) {
  martlet_error error = {0};
  const char *names[] = {"K"};
  counted_source source = {.names = names, .n_columns = 1, .cell = row_number, .rows = 1, .n_batches = 1, .fail_at = -1};
  probe self = {0};
  martlet_process_function function = {.struct_size = sizeof function, .context = &self, .on_event = probe_event};
  martlet_job *job = job_over(&source, NULL, &function, NULL, 0);
  martlet_batch *batch = NULL;
  FAILS(martlet_job_next(job, 1, &batch, &error), MARTLET_MISSING_COLUMN, "no key column 'k' (did you mean 'K'?)");
  CHECK(strcmp(error.operator_name, "function") == 0);
  martlet_job_free(job);
}

int main(void) {
  missing_column();
  const char *formats[] = {"c", "L", "g", "u", NULL};
  const char *state_names[] = {"s0", "s1", "s2", "s3", "s4"};
  probe self = {0};
  martlet_process_function function = {.struct_size = sizeof function, .context = &self, .open = probe_open, .on_event = probe_event};
  martlet_state_spec states[5];
  for (int i = 0; i < 5; i++)
    states[i] = (martlet_state_spec){.struct_size = sizeof states[i], .kind = MARTLET_STATE_VALUE, .name = state_names[i], .format = formats[i]};
  martlet_report report = run_over_ten_keys(&function, states, 5);
  CHECK_INT(self.events, 10);
  CHECK_INT(report.keys, 5);
  CHECK_INT(report.state_entries, 5);
  CHECK(report.state_bytes > 0);
  martlet_job_free(NULL);
  puts("states: ok");
  return 0;
}
