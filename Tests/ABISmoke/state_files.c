/* State that is written from tables, begun with, and read again. */
#define _GNU_SOURCE /* mkdtemp under -std=c11 */
#include <unistd.h>

#include "jobs.h"

static int32_t nothing(void *context, martlet_context *call, martlet_error *error) {
  (void)context, (void)call, (void)error;
  return 0;
}

/* Adds 1 to the count of a key, and remembers the greatest. */
typedef struct counter {
  martlet_state *count;
  int64_t greatest;
} counter;

static int32_t on_open(void *context, martlet_context *call, martlet_error *error) {
  (void)error;
  ((counter *)context)->count = martlet_context_state(call, 0);
  return 0;
}

static int32_t on_event(void *context, martlet_context *call, martlet_error *error) {
  (void)call;
  counter *self = context;
  int64_t count = 0;
  int32_t present;
  int32_t status = martlet_value_get_int64(self->count, &count, &present, error);
  if (count + 1 > self->greatest) self->greatest = count + 1;
  return status ? status : martlet_value_set_int64(self->count, count + 1, error);
}

static martlet_job *job(counted_source *source, counter *self) {
  static const char *const names[] = {"k"};
  *source = (counted_source){.names = names, .n_columns = 1, .cell = row_number, .rows = 10, .n_batches = 1, .fail_at = -1};
  martlet_process_function function = {
    .struct_size = sizeof function, .context = self, .open = on_open, .on_event = on_event, .on_timer = nothing};
  martlet_state_spec states[] = {
    {.struct_size = sizeof *states, .kind = MARTLET_STATE_VALUE, .name = "count", .format = "l"},
    {.struct_size = sizeof *states, .kind = MARTLET_STATE_MAP, .name = "seen", .format = "l", .ttl_ms = 1000}};
  return job_over(source, NULL, &function, states, 2);
}

static void write_tables(const char *path) {
  martlet_error error = {0};
  counted_source source;
  counter self = {0};
  martlet_job *template = job(&source, &self);
  martlet_state_writer *writer = NULL;
  FAILS(martlet_state_writer_create(NULL, template, &writer, &error), MARTLET_INVALID_ARGUMENT, "path");
  OK(martlet_state_writer_create(path, template, &writer, &error));
  const char *const names[] = {"k", "value"};
  const int64_t cells[] = {5, 3, 4, 50, 30, 40};
  martlet_batch *batch = make_int64_batch(names, cells, 2, 3);
  OK(martlet_state_writer_add(writer, NULL, "count", batch, &error));
  martlet_batch_release(batch);
  OK(martlet_state_writer_finish(writer, &error));
  FAILS(martlet_state_writer_finish(writer, &error), MARTLET_CLOSED, "was written");
  martlet_state_writer_free(writer);
  FAILS(martlet_state_writer_create(path, template, &writer, &error), MARTLET_INVALID_ARGUMENT, "something of that name");

  char other[600];
  snprintf(other, sizeof other, "%s-2", path);
  const struct { const char *table, *column; int64_t second; int32_t status; const char *text; } bad[] = {
    {"cout", "value", 1, MARTLET_INVALID_ARGUMENT, "there is no state 'cout' (did you mean 'count'?)"},
    {"count", "valu", 1, MARTLET_MISSING_COLUMN, "there is no column 'value'"},
    {"count", "value", 5, MARTLET_INVALID_ARGUMENT, "row 1: the key comes twice"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    OK(martlet_state_writer_create(other, template, &writer, &error));
    const char *const columns[] = {"k", bad[i].column};
    const int64_t both[] = {5, bad[i].second, 1, 1};
    batch = make_int64_batch(columns, both, 2, 2);
    FAILS(martlet_state_writer_add(writer, NULL, bad[i].table, batch, &error), bad[i].status, bad[i].text);
    FAILS(martlet_state_writer_add(writer, NULL, "count", batch, &error), MARTLET_CLOSED, "begin anew");
    martlet_batch_release(batch);
    martlet_state_writer_free(writer);
  }
  OK(martlet_job_close(template, &error));
  martlet_job_free(template);
  CHECK_INT(source.destroyed, 1);
  CHECK_INT(self.greatest, 0);
}

static void begin_with(const char *path) {
  martlet_error error = {0};
  counted_source source;
  counter self = {0};
  martlet_job *one = job(&source, &self);
  martlet_checkpoint *checkpoint = NULL;
  OK(martlet_checkpoint_read(path, &checkpoint, &error));
  CHECK(!martlet_checkpoint_not_replayable(checkpoint, 0));
  size_t length = 9;
  martlet_checkpoint_sink(checkpoint, &length);
  CHECK(martlet_checkpoint_id(checkpoint) == 1 && martlet_checkpoint_time(checkpoint) > 0 && length == 0);
  OK(martlet_job_restore(one, checkpoint, NULL, &error));
  martlet_checkpoint_free(checkpoint);
  martlet_batch *batch = NULL;
  OK(martlet_job_next(one, 1, &batch, &error));
  CHECK(!batch);
  CHECK_INT(self.greatest, 51);
  martlet_job_free(one);
}

static void read_again(const char *path) {
  martlet_error error = {0};
  martlet_state_reader *reader = NULL;
  FAILS(martlet_state_reader_open("/nowhere", &reader, &error), MARTLET_STORAGE_FAILED, "/nowhere");
  OK(martlet_state_reader_open(path, &reader, &error));
  martlet_checkpoint_info info = {.struct_size = 4};
  FAILS(martlet_state_reader_info(reader, &info, &error), MARTLET_INVALID_ARGUMENT, "struct_size");
  info.struct_size = sizeof info;
  OK(martlet_state_reader_info(reader, &info, &error));
  CHECK_INT(info.n_operators, 1);
  CHECK_INT(info.n_sources, 1);
  CHECK(!strcmp(info.path, path) && !*info.damaged && info.id == 1 && info.max_parallelism == 128);
  martlet_source_info source = {.struct_size = sizeof source};
  OK(martlet_state_reader_source(reader, 0, &source, &error));
  CHECK(!source.offset && source.records == 0 && source.watermark == MARTLET_MIN_TIME && !source.has_ended);
  FAILS(martlet_state_reader_source(reader, 1, &source, &error), MARTLET_INVALID_ARGUMENT, "there is no source 1");

  int64_t number = 9, state = 9;
  OK(martlet_state_reader_find(reader, NULL, "seen", &number, &state, &error));
  CHECK(number == 0 && state == 1);
  FAILS(martlet_state_reader_find(reader, NULL, "sen", &number, &state, &error), MARTLET_INVALID_ARGUMENT, "did you mean 'seen'");
  martlet_operator_info one = {.struct_size = sizeof one};
  OK(martlet_state_reader_operator(reader, 0, &one, &error));
  CHECK(one.kind == MARTLET_PROCESS && one.n_states == 2 && one.records == 0);
  martlet_state_spec spec = {.struct_size = sizeof spec};
  OK(martlet_state_reader_state(reader, 0, 1, &spec, &error));
  CHECK(!strcmp(spec.name, "seen") && spec.kind == MARTLET_STATE_MAP && !strcmp(spec.format, "l") && !spec.key_format);
  CHECK_INT(spec.ttl_ms, 1000);
  int64_t keys = 0, timers = 9, state_keys[2], entries[2];
  OK(martlet_state_reader_count(reader, 0, &keys, &timers, state_keys, entries, &error));
  CHECK(keys == 3 && timers == 0 && state_keys[0] == 3 && entries[0] == 3 && state_keys[1] == 0 && entries[1] == 0);

  struct ArrowSchema schema = {0};
  OK(martlet_state_reader_key_schema(reader, 0, &schema, &error));
  CHECK(schema.n_children == 1 && !strcmp(schema.children[0]->name, "k"));
  schema.release(&schema);
  OK(martlet_state_reader_schema(reader, 0, 1, &schema, &error));
  CHECK(schema.n_children == 4 && !strcmp(schema.children[3]->name, "expires_at"));
  schema.release(&schema);
  OK(martlet_state_reader_schema(reader, 0, -1, &schema, &error));
  CHECK(schema.n_children == 4 && !strcmp(schema.children[1]->name, "domain"));
  schema.release(&schema);

  const char *const names[] = {"k"};
  const int64_t four = 4;
  martlet_batch *wanted = make_int64_batch(names, &four, 1, 1), *batch = NULL;
  martlet_state_rows *rows = NULL;
  OK(martlet_state_reader_rows(reader, 0, 0, wanted, &rows, &error));
  martlet_state_reader_free(reader); /* which the table needs no more */
  OK(martlet_state_rows_next(rows, 10, &batch, &error));
  CHECK_INT(martlet_batch_num_rows(batch), 1);
  CHECK_INT(int64_at(batch, 1, 0), 40);
  martlet_batch_release(batch);
  martlet_batch_release(wanted);
  OK(martlet_state_rows_next(rows, 10, &batch, &error));
  CHECK(!batch);
  martlet_state_rows_free(rows);

  OK(martlet_state_reader_open(path, &reader, &error));
  OK(martlet_state_reader_rows(reader, 0, 0, NULL, &rows, &error));
  for (int64_t key = 3; key < 6; key++) { /* in the order of keys, a row at a time */
    OK(martlet_state_rows_next(rows, 1, &batch, &error));
    CHECK_INT(int64_at(batch, 0, 0), key);
    CHECK_INT(int64_at(batch, 1, 0), 10 * key);
    martlet_batch_release(batch);
  }
  martlet_state_rows_free(rows);
  FAILS(martlet_state_reader_rows(reader, 0, 2, NULL, &rows, &error), MARTLET_INVALID_ARGUMENT, "there is no state 2");
  martlet_state_reader_free(reader);
}

int main(void) {
  char folder[] = "/tmp/martlet-XXXXXX", path[512], command[600];
  CHECK(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/state", folder);
  write_tables(path);
  begin_with(path);
  read_again(path);
  martlet_state_reader_free(NULL);
  martlet_state_rows_free(NULL);
  martlet_state_writer_free(NULL);
  snprintf(command, sizeof command, "rm -r '%s'", folder);
  CHECK_INT(system(command), 0);
  CHECK_INT(live_arrays, 0);
  CHECK_INT(live_schemas, 0);
  puts("state_files: ok");
  return 0;
}
