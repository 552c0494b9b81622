/* errors.h: engine statuses as exceptions of martlet.errors. */
#ifndef MARTLET_PY_ERRORS_H
#define MARTLET_PY_ERRORS_H

#include "engine.h"

int errors_init(engine_state *st);
/* The class of a status; borrowed. */
PyObject *errors_class(engine_state *st, int32_t status);
/* Raises what the engine reported. Returns -1. */
int errors_raise(engine_state *st, int32_t status, const martlet_error *error);
/* Gives the current exception, when it is a MartletError without a place, its operator, record and key (each may be
 * NULL). */
void errors_locate(engine_state *st, PyObject *operator_name, PyObject *record, PyObject *key);
/* The current exception, normalised and with its traceback; the indicator is cleared. New. */
PyObject *errors_take(void);
/* The reverse: `exception` is stolen. */
void errors_restore(PyObject *exception);
/* Adds a PEP 678 note to `exception`; `note` is stolen and may be NULL (an error that is dropped). */
void errors_add_note(PyObject *exception, PyObject *note);
/* Writes the current exception's text into `error` and keeps the exception set. */
void errors_describe(martlet_error *error);
/* A short repr for messages: at most 80 characters. New; never fails. */
PyObject *errors_preview(PyObject *value);

#endif
