/* What the C programs share: checks, Arrow schemas and batches made by hand, and counts of what was released. */
#ifndef ABISMOKE_SUPPORT_H
#define ABISMOKE_SUPPORT_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "martlet.h"

/* Stops the program with the place and both values. */
#define CHECK(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      _Exit(1); \
    } \
  } while (0)

#define CHECK_INT(actual, expected) check_int(__FILE__, __LINE__, #actual, (int64_t)(actual), (int64_t)(expected))

/* Runs a call that takes `&error` and has to succeed. */
#define OK(call) check_ok(__FILE__, __LINE__, #call, (call), &error)

/* Runs a call that has to fail with that status and a message that contains `text`. */
#define FAILS(call, status, text) check_fails(__FILE__, __LINE__, #call, (call), (status), &error, (text))

void check_int(const char *file, int line, const char *what, int64_t actual, int64_t expected);
void check_ok(const char *file, int line, const char *what, int32_t status, const martlet_error *error);
void check_fails(const char *file, int line, const char *what, int32_t status, int32_t expected, const martlet_error *error, const char *text);

/* A column of a schema made by hand. `children` is for nested types and dictionaries. */
typedef struct column_spec {
  const char *name;
  const char *format;
  const struct column_spec *children;
  int64_t n_children;
  const struct column_spec *dictionary;
} column_spec;

/* Schemas and arrays made here that were not released yet. */
extern int live_schemas;
extern int live_arrays;

/* A struct schema with these columns, all nullable. */
struct ArrowSchema make_schema(const column_spec *columns, int64_t n_columns);

/* A struct array of int64 columns, column after column in `values`. */
struct ArrowArray make_int64_array(const int64_t *values, int64_t n_columns, int64_t n_rows);

/* The same as a batch, with columns of those names. */
martlet_batch *make_int64_batch(const char *const *names, const int64_t *values, int64_t n_columns, int64_t n_rows);

/* The cell of an int64 column. */
int64_t int64_at(const martlet_batch *batch, int64_t column, int64_t row);

#endif
