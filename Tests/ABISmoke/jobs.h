/* Sources and functions that count how often they are called and destroyed. */
#ifndef ABISMOKE_JOBS_H
#define ABISMOKE_JOBS_H

#include "support.h"

/* A source of int64 columns: `n_batches` batches of `rows` rows, the cells computed from the row's number. */
typedef struct counted_source {
  const char *const *names;
  int64_t n_columns;
  int64_t (*cell)(int64_t column, int64_t row);
  int64_t rows;
  int64_t n_batches;
  int64_t fail_at; /* the batch instead of which it fails, or -1 */
  int64_t given;
  int destroyed;
} counted_source;

martlet_source source_over(counted_source *source);

/* How often each callback of a function was called. */
typedef struct call_counts {
  int open, begin, event, timer, end, close, destroyed;
} call_counts;

/* A job over that source with one function, keyed by "k", with these states. */
martlet_job *job_over(counted_source *source, const char *timestamp, const martlet_process_function *function, const martlet_state_spec *states, int64_t n_states);

int64_t row_number(int64_t column, int64_t row); /* a cell */

/* Runs a function that emits nothing over ten records with the keys 0 to 9, to the end, and gives the report. */
martlet_report run_over_ten_keys(const martlet_process_function *function, const martlet_state_spec *states, int64_t n_states);

#endif
