/* failures.h: what a swallowed failure leaves: a line in the log, and the texts of a dead letter. */
#ifndef MARTLET_PY_FAILURES_H
#define MARTLET_PY_FAILURES_H

#include "operator.h"

void on_failure(void *context, martlet_context *call, martlet_failure *details);

#endif
