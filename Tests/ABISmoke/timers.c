/* Processing time in C: a clock set by hand, named timers, the end of keys, and a source that is read in the background. */
#include <threads.h>

#include "jobs.h"

static int64_t cell(int64_t column, int64_t row) { return column == 0 ? row : 0; }

/* ---- a clock that is set by hand ----------------------------------------------------------------------- */

/* As OK, inside of a callback. */
#define DONE(call) check_ok(__FILE__, __LINE__, #call, (call), error)

typedef struct alarm_function {
  martlet_clock *clock;
  int64_t fired[16];
  int n_fired;
  int64_t ended;
} alarm_function;

static int32_t alarm_event(void *context, martlet_context *call, martlet_error *error) {
  alarm_function *self = context;
  martlet_timer timers[4];
  int64_t n = 0, row = call->key->integer;
  if (row == 0) {
    CHECK_INT(martlet_processing_time(call), 100);
    DONE(martlet_register_processing_time_timer(call, 101, error));
    DONE(martlet_register_processing_time_timer(call, 102, error));
    DONE(martlet_delete_processing_time_timer(call, 102, error));
    DONE(martlet_register_named_timer(call, MARTLET_EVENT_TIME, "one", 3, 7, error));
    DONE(martlet_register_named_timer(call, MARTLET_PROCESSING_TIME, "one", 3, 103, error));
    DONE(martlet_register_named_timer(call, MARTLET_PROCESSING_TIME, "two", 3, 500, error));
    DONE(martlet_register_named_timer(call, MARTLET_EVENT_TIME, "three", 5, 9, error));
    DONE(martlet_delete_named_timer(call, "three", 5, error));
    DONE(martlet_delete_named_timer(call, "four", 4, error));
    int64_t time_ms = -1;
    int32_t domain = 0, found = 0;
    DONE(martlet_named_timer(call, "one", 3, &domain, &time_ms, &found, error));
    CHECK(found == 1 && time_ms == 103 && domain == MARTLET_PROCESSING_TIME);
    DONE(martlet_named_timer(call, "three", 5, NULL, &time_ms, &found, error));
    CHECK(found == 0 && time_ms == 103);
    CHECK_INT(martlet_named_timer(call, NULL, 5, NULL, &time_ms, &found, error), MARTLET_INVALID_ARGUMENT);
    CHECK_INT(martlet_named_timer(call, "one", 3, NULL, NULL, &found, error), MARTLET_INVALID_ARGUMENT);
    CHECK_INT(martlet_named_timer(call, "one", 3, NULL, &time_ms, NULL, error), MARTLET_INVALID_ARGUMENT);
    DONE(martlet_timers(call, timers, 4, &n, error));
    CHECK_INT(n, 3);
    CHECK(timers[0].domain == MARTLET_PROCESSING_TIME && timers[0].time_ms == 101 && timers[0].name == NULL);
    CHECK(timers[1].time_ms == 103 && strcmp(timers[1].name, "one") == 0 && timers[2].time_ms == 500);
    DONE(martlet_timers(call, NULL, 0, &n, error));
    CHECK_INT(n, 3);
    CHECK_INT(martlet_register_named_timer(call, MARTLET_NOT_A_TIMER, "x", 1, 1, error), MARTLET_INVALID_ARGUMENT);
    CHECK_INT(martlet_register_named_timer(call, MARTLET_EVENT_TIME, NULL, 1, 1, error), MARTLET_INVALID_ARGUMENT);
    CHECK_INT(martlet_register_named_timer(call, MARTLET_EVENT_TIME, "", 0, 1, error), MARTLET_INVALID_ARGUMENT);
  }
  return martlet_clock_advance(self->clock, martlet_clock_now(self->clock) + 1, error);
}

static int32_t alarm_timer(void *context, martlet_context *call, martlet_error *error) {
  alarm_function *self = context;
  (void)error;
  CHECK(call->timer_domain == MARTLET_PROCESSING_TIME && call->timestamp == MARTLET_NO_TIMESTAMP);
  CHECK(martlet_processing_time(call) >= call->fire_time);
  CHECK((call->timer_name != NULL) == (call->fire_time != 101));
  self->fired[self->n_fired++] = call->fire_time;
  return 0;
}

static int32_t alarm_end(void *context, martlet_context *call, martlet_error *error) {
  alarm_function *self = context;
  (void)error;
  CHECK_INT(call->watermark, MARTLET_MAX_TIME);
  CHECK_INT(call->key->integer, 0);
  self->ended++;
  return 0;
}

static void by_hand(int32_t at_end) {
  martlet_error error = {0};
  martlet_clock *clock = NULL;
  martlet_job *job = NULL;
  martlet_batch *batch = NULL;
  OK(martlet_clock_create(99, &clock, &error));
  OK(martlet_clock_advance(clock, 100, &error));
  FAILS(martlet_clock_advance(clock, 99, &error), MARTLET_INVALID_ARGUMENT, "cannot go back");
  CHECK_INT(martlet_clock_now(clock), 100);
  const char *names[] = {"k", "v"};
  counted_source source = {.names = names, .n_columns = 2, .cell = cell, .rows = 6, .n_batches = 1, .fail_at = -1};
  alarm_function self = {.clock = clock};
  martlet_process_function function = {
    .struct_size = sizeof function, .context = &self, .on_event = alarm_event, .on_timer = alarm_timer, .on_end = alarm_end};
  martlet_job_options options = {.struct_size = sizeof options, .clock = clock, .timers_at_end = 9};
  FAILS(martlet_job_create(&options, &job, &error), MARTLET_INVALID_ARGUMENT, "timers_at_end");
  options.timers_at_end = at_end;
  OK(martlet_job_create(&options, &job, &error));
  martlet_source input = source_over(&source);
  OK(martlet_job_add_source(job, &input, NULL, &error));
  const char *keys[] = {"k"};
  martlet_process_options process = {.struct_size = sizeof process, .name = "alarm", .key_columns = keys, .n_key_columns = 1};
  OK(martlet_job_add_process(job, &function, &process, &error));
  OK(martlet_job_next(job, 1, &batch, &error));
  CHECK(batch == NULL);
  martlet_report report = {.struct_size = sizeof report};
  OK(martlet_job_report(job, &report, &error));
  CHECK(self.n_fired >= 2 && self.fired[0] == 101 && self.fired[1] == 103);
  CHECK_INT(self.n_fired, at_end == MARTLET_TIMERS_FIRE ? 3 : 2);
  CHECK_INT(report.processing_timers_fired, self.n_fired);
  CHECK_INT(report.processing_timers_pending, at_end == MARTLET_TIMERS_KEEP ? 1 : 0);
  CHECK_INT(self.ended, at_end == MARTLET_TIMERS_KEEP ? 1 : 0);
  martlet_job_free(job);
  martlet_clock_free(clock);
  martlet_clock_free(NULL);
  CHECK_INT(source.destroyed, 1);
}

/* ---- a source that waits ------------------------------------------------------------------------------- */

/* Gives one batch, then waits until it is told to go on. */
typedef struct gate {
  counted_source source;
  _Atomic int may_pass, is_waiting, was_abandoned, destroyed;
  int polls_until_stop;
} gate;

static int32_t gate_next(void *context, struct ArrowArray *array, struct ArrowSchema *schema, martlet_error *error) {
  gate *self = context;
  if (self->source.given == 1) {
    self->is_waiting = 1;
    while (!self->may_pass) thrd_yield();
  }
  return source_over(&self->source).next(&self->source, array, schema, error);
}

static void gate_abandon(void *context) { ((gate *)context)->was_abandoned = 1; }
static void gate_destroy(void *context) { ((gate *)context)->destroyed = 1; }

static int32_t gate_poll(void *context, martlet_error *error) {
  gate *self = context;
  /* On a busy machine the other thread may not have come to the source yet. */
  if (self->polls_until_stop == 0 || !self->is_waiting || --self->polls_until_stop > 0) return 0;
  snprintf(error->message, sizeof error->message, "stop here");
  return 1;
}

static int32_t soon_event(void *context, martlet_context *call, martlet_error *error) {
  (void)context;
  return martlet_register_processing_time_timer(call, martlet_processing_time(call) + 5, error);
}

static int32_t soon_timer(void *context, martlet_context *call, martlet_error *error) {
  (void)call, (void)error;
  gate *self = context;
  if (self->polls_until_stop == 0) self->may_pass = 1;
  return 0;
}

static void in_background(int polls_until_stop) {
  martlet_error error = {0};
  martlet_job *job = NULL;
  martlet_batch *batch = NULL;
  const char *names[] = {"k", "v"};
  gate *self = calloc(1, sizeof *self);
  self->source = (counted_source){.names = names, .n_columns = 2, .cell = cell, .rows = 3, .n_batches = 2, .fail_at = -1};
  self->polls_until_stop = polls_until_stop;
  martlet_process_function function = {.struct_size = sizeof function, .context = self, .on_event = soon_event, .on_timer = soon_timer};
  martlet_job_options options = {
    .struct_size = sizeof options, .timers_at_end = MARTLET_TIMERS_DROP, .poll = gate_poll, .poll_context = self};
  OK(martlet_job_create(&options, &job, &error));
  martlet_source input = {.struct_size = sizeof input, .context = self, .next = gate_next, .destroy = gate_destroy,
                          .next_background = gate_next, .abandon = gate_abandon};
  OK(martlet_job_add_source(job, &input, NULL, &error));
  const char *keys[] = {"k"};
  martlet_process_options process = {.struct_size = sizeof process, .name = "soon", .key_columns = keys, .n_key_columns = 1};
  OK(martlet_job_add_process(job, &function, &process, &error));
  if (polls_until_stop == 0) OK(martlet_job_next(job, 1, &batch, &error));
  else FAILS(martlet_job_next(job, 1, &batch, &error), MARTLET_CALLBACK_FAILED, "stop here");
  CHECK(batch == NULL && self->is_waiting);
  CHECK_INT(self->was_abandoned, polls_until_stop != 0);
  martlet_job_free(job);
  CHECK_INT(self->destroyed, polls_until_stop == 0);
  self->may_pass = 1;
  while (!self->destroyed) thrd_yield();
  free(self);
}

int main(void) {
  by_hand(MARTLET_TIMERS_FIRE);
  by_hand(MARTLET_TIMERS_DROP);
  by_hand(MARTLET_TIMERS_KEEP);
  in_background(0);
  in_background(2);
  puts("timers: ok");
  return 0;
}
