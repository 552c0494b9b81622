/* Batches in and out, builders and appenders. */
#include "support.h"

static void check_versions(void) {
  CHECK_INT(martlet_abi_version(), MARTLET_ABI_VERSION);
  CHECK(strchr(martlet_version(), '.') != NULL);
  CHECK(strchr(martlet_rocksdb_version(), '.') != NULL && martlet_rocksdb_version() == martlet_rocksdb_version());
}

static void check_import_and_export(void) {
  martlet_error error = {0};
  const char *names[] = {"k", "v"};
  const int64_t values[] = {1, 2, 3, 4, 10, 20, 30, 40};
  martlet_batch *batch = make_int64_batch(names, values, 2, 4);
  CHECK_INT(martlet_batch_num_rows(batch), 4);
  CHECK_INT(martlet_batch_num_columns(batch), 2);
  CHECK(strcmp(martlet_batch_columns(batch)[1].name, "v") == 0);
  CHECK_INT(int64_at(batch, 1, 2), 30);

  CHECK(martlet_batch_retain(batch) == batch);
  martlet_batch_release(batch);

  struct ArrowSchema schema = {0};
  struct ArrowArray array = {0};
  OK(martlet_batch_export_schema(batch, &schema, &error));
  OK(martlet_batch_export(batch, 1, 2, &array, &error));
  CHECK_INT(schema.n_children, 2);
  CHECK_INT(array.length, 2);
  martlet_batch *slice = NULL;
  OK(martlet_batch_import(&array, &schema, &slice, &error));
  CHECK_INT(int64_at(slice, 0, 0), 2);
  CHECK_INT(int64_at(slice, 1, 1), 30);

  struct ArrowArray column = {0};
  OK(martlet_batch_export_column(batch, 1, 2, 2, &column, &schema, &error));
  CHECK_INT(column.length, 2);
  CHECK(strcmp(schema.format, "l") == 0);
  column.release(&column);
  schema.release(&schema);

  /* The slice shares the buffers, so it keeps them. */
  martlet_batch_release(batch);
  CHECK(live_arrays > 0);
  CHECK_INT(int64_at(slice, 1, 0), 20);
  martlet_batch_release(slice);
  martlet_batch_release(NULL);
  CHECK_INT(live_arrays, 0);
  CHECK_INT(live_schemas, 0);
}

static void check_ranges(void) {
  martlet_error error = {0};
  const char *names[] = {"k"};
  const int64_t values[] = {1, 2};
  martlet_batch *batch = make_int64_batch(names, values, 1, 2);
  struct ArrowArray array = {0};
  struct ArrowSchema schema = {0};
  FAILS(martlet_batch_export(batch, 1, 2, &array, &error), MARTLET_INVALID_ARGUMENT, "");
  FAILS(martlet_batch_export(batch, -1, 1, &array, &error), MARTLET_INVALID_ARGUMENT, "");
  FAILS(martlet_batch_export(batch, INT64_MAX, INT64_MAX, &array, &error), MARTLET_INVALID_ARGUMENT, "");
  FAILS(martlet_batch_export_column(batch, 1, 0, 1, &array, &schema, &error), MARTLET_INVALID_ARGUMENT, "");
  CHECK(array.release == NULL && schema.release == NULL);
  CHECK_INT(martlet_batch_export(batch, 0, 1, NULL, NULL), MARTLET_INVALID_ARGUMENT);
  martlet_batch_release(batch);
}

static void check_builder(void) {
  martlet_error error = {0};
  const column_spec item = {.name = "item", .format = "i"};
  const column_spec text = {.name = "value", .format = "u"};
  const column_spec columns[] = {
    {.name = "flag", .format = "b"}, {.name = "n", .format = "c"}, {.name = "big", .format = "L"}, {.name = "x", .format = "g"},
    {.name = "s", .format = "u"}, {.name = "l", .format = "+l", .children = &item, .n_children = 1},
    {.name = "d", .format = "i", .dictionary = &text},
  };
  struct ArrowSchema schema = make_schema(columns, 7);
  martlet_builder *builder = NULL;
  OK(martlet_builder_create(&schema, &builder, &error));
  CHECK(schema.release == NULL);
  martlet_appender *cells[7];
  for (int64_t i = 0; i < 7; i++) cells[i] = martlet_builder_appender(builder, i);
  CHECK(martlet_builder_appender(builder, 7) == NULL && martlet_builder_appender(builder, -1) == NULL);
  CHECK_INT(martlet_appender_field(cells[1])->type, MARTLET_TYPE_INT8);
  martlet_appender *items = martlet_appender_child(cells[5], 0);
  CHECK(items != NULL && martlet_appender_child(cells[5], 1) == NULL && martlet_appender_child(cells[0], 0) == NULL);

  OK(martlet_append_bool(cells[0], 1, &error));
  OK(martlet_append_int64(cells[1], -128, &error));
  OK(martlet_append_uint64(cells[2], UINT64_MAX, &error));
  OK(martlet_append_double(cells[3], 0.5, &error));
  OK(martlet_append_bytes(cells[4], "martlet", 7, &error));
  OK(martlet_append_int64(items, 4, &error));
  OK(martlet_append_int64(items, 5, &error));
  OK(martlet_append_end_nested(cells[5], &error));
  OK(martlet_append_bytes(cells[6], "word", 4, &error));
  OK(martlet_builder_end_row(builder, &error));

  /* What does not fit leaves the row as it was; a cancelled row leaves nothing. */
  FAILS(martlet_append_int64(cells[1], 128, &error), MARTLET_VALUE_RANGE, "128");
  FAILS(martlet_append_bytes(cells[1], "x", 1, &error), MARTLET_SCHEMA_MISMATCH, "'n'");
  FAILS(martlet_append_bytes(cells[4], "\xFF", 1, &error), MARTLET_VALUE_RANGE, "UTF-8");
  FAILS(martlet_append_bytes(cells[4], NULL, 1, &error), MARTLET_INVALID_ARGUMENT, "NULL");
  OK(martlet_append_bytes(cells[4], NULL, 0, &error));
  OK(martlet_append_int64(items, 6, &error));
  martlet_builder_cancel_row(builder);
  CHECK_INT(martlet_builder_num_rows(builder), 1);

  /* Columns without a cell get a null. */
  OK(martlet_append_null(cells[0], &error));
  OK(martlet_builder_end_row(builder, &error));
  martlet_batch *batch = NULL;
  OK(martlet_builder_finish(builder, &batch, &error));
  CHECK_INT(martlet_builder_num_rows(builder), 0);
  CHECK_INT(martlet_batch_num_rows(batch), 2);
  const martlet_column *column = martlet_batch_columns(batch);
  for (int i = 0; i < 7; i++) CHECK_INT(column[i].null_count, 1);
  CHECK_INT(((const int8_t *)column[1].values)[column[1].offset], -128);
  CHECK(((const uint64_t *)column[2].values)[column[2].offset] == UINT64_MAX);
  CHECK_INT(column[5].children[0].length, 2);
  CHECK(column[6].dictionary != NULL && memcmp(column[6].dictionary->data, "word", 4) == 0);

  /* Cells are copied from batches, into the builder that made them too. */
  for (int64_t row = 1; row >= 0; row--) {
    for (int64_t i = 0; i < 7; i++) OK(martlet_append_cell(cells[i], column + i, row, &error));
    OK(martlet_builder_end_row(builder, &error));
  }
  FAILS(martlet_append_cell(cells[0], column + 1, 0, &error), MARTLET_SCHEMA_MISMATCH, "'flag'");
  martlet_builder_cancel_row(builder);
  martlet_batch *copy = NULL;
  OK(martlet_builder_finish(builder, &copy, &error));
  martlet_batch_release(batch);
  column = martlet_batch_columns(copy);
  CHECK_INT(((const double *)column[3].values)[column[3].offset + 1] * 2, 1);
  CHECK(column[4].data != NULL && memcmp(column[4].data, "martlet", 7) == 0);
  martlet_batch_release(copy);
  martlet_builder_free(builder);
  martlet_builder_free(NULL);
  CHECK_INT(live_schemas, 0);
}

static void check_hash(void) {
  CHECK(martlet_stable_hash(NULL, 0) == 0xEF46DB3751D8E999u);
  CHECK(martlet_stable_hash("a", 1) == 0xD24EC4F1A98C6E5Bu);
  CHECK_INT(martlet_key_group(130, 128), 2);
  CHECK_INT(martlet_key_group(UINT64_MAX, 0), 0);
}

int main(void) {
  check_versions();
  check_import_and_export();
  check_ranges();
  check_builder();
  check_hash();
  puts("batches: ok");
  return 0;
}
