#include "support.h"

int live_schemas = 0;
int live_arrays = 0;

void check_int(const char *file, int line, const char *what, int64_t actual, int64_t expected) {
  if (actual == expected) return;
  fprintf(stderr, "%s:%d: %s is %" PRId64 ", not %" PRId64 "\n", file, line, what, actual, expected);
  _Exit(1);
}

void check_ok(const char *file, int line, const char *what, int32_t status, const martlet_error *error) {
  if (status == MARTLET_OK) return;
  fprintf(stderr, "%s:%d: %s failed with %d: %s\n", file, line, what, status, error->message);
  _Exit(1);
}

void check_fails(const char *file, int line, const char *what, int32_t status, int32_t expected, const martlet_error *error, const char *text) {
  if (status == expected && error->status == expected && strstr(error->message, text) != NULL) return;
  fprintf(stderr, "%s:%d: %s gave %d (%s), not %d with '%s'\n", file, line, what, status, status ? error->message : "", expected, text);
  _Exit(1);
}

/* ---- schemas ----------------------------------------------------------------------------------- */

static void release_schema(struct ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
    free(schema->children[i]);
  }
  if (schema->dictionary) {
    if (schema->dictionary->release) schema->dictionary->release(schema->dictionary);
    free(schema->dictionary);
  }
  free(schema->children);
  schema->release = NULL;
  live_schemas--;
}

static struct ArrowSchema schema_of(const column_spec *spec) {
  struct ArrowSchema schema = {.format = spec->format, .name = spec->name, .flags = ARROW_FLAG_NULLABLE, .n_children = spec->n_children, .release = release_schema};
  if (spec->n_children) schema.children = calloc((size_t)spec->n_children, sizeof *schema.children);
  for (int64_t i = 0; i < spec->n_children; i++) {
    schema.children[i] = malloc(sizeof *schema.children[i]);
    *schema.children[i] = schema_of(&spec->children[i]);
  }
  if (spec->dictionary) {
    schema.dictionary = malloc(sizeof *schema.dictionary);
    *schema.dictionary = schema_of(spec->dictionary);
  }
  live_schemas++;
  return schema;
}

struct ArrowSchema make_schema(const column_spec *columns, int64_t n_columns) {
  return schema_of(&(column_spec){"", "+s", columns, n_columns, NULL});
}

/* ---- arrays ------------------------------------------------------------------------------------ */

static void release_array(struct ArrowArray *array) {
  for (int64_t i = 0; i < array->n_children; i++) {
    if (array->children[i]->release) array->children[i]->release(array->children[i]);
    free(array->children[i]);
  }
  free(array->children);
  free(array->private_data);
  free(array->buffers);
  array->release = NULL;
  live_arrays--;
}

struct ArrowArray make_int64_array(const int64_t *values, int64_t n_columns, int64_t n_rows) {
  struct ArrowArray array = {.length = n_rows, .n_buffers = 1, .n_children = n_columns, .release = release_array};
  array.buffers = calloc(1, sizeof *array.buffers);
  array.children = calloc((size_t)n_columns, sizeof *array.children);
  live_arrays++;
  for (int64_t i = 0; i < n_columns; i++) {
    struct ArrowArray *child = malloc(sizeof *child);
    *child = (struct ArrowArray){.length = n_rows, .n_buffers = 2, .release = release_array};
    size_t size = (size_t)n_rows * sizeof *values;
    child->private_data = malloc(size + 1);
    memcpy(child->private_data, values + i * n_rows, size);
    child->buffers = calloc(2, sizeof *child->buffers);
    child->buffers[1] = child->private_data;
    array.children[i] = child;
    live_arrays++;
  }
  return array;
}

martlet_batch *make_int64_batch(const char *const *names, const int64_t *values, int64_t n_columns, int64_t n_rows) {
  column_spec columns[8] = {0};
  CHECK(n_columns <= 8);
  for (int64_t i = 0; i < n_columns; i++) columns[i] = (column_spec){.name = names[i], .format = "l"};
  struct ArrowSchema schema = make_schema(columns, n_columns);
  struct ArrowArray array = make_int64_array(values, n_columns, n_rows);
  martlet_batch *batch = NULL;
  martlet_error error = {0};
  OK(martlet_batch_import(&array, &schema, &batch, &error));
  CHECK(array.release == NULL && schema.release == NULL);
  return batch;
}

int64_t int64_at(const martlet_batch *batch, int64_t column, int64_t row) {
  const martlet_column *cells = martlet_batch_columns(batch) + column;
  CHECK_INT(cells->type, MARTLET_TYPE_INT64);
  return ((const int64_t *)cells->values)[cells->offset + row];
}
