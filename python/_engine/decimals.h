/* decimals.h: Arrow decimals (128 and 256 bit two's complement) as decimal.Decimal, and back, exactly. */
#ifndef MARTLET_PY_DECIMALS_H
#define MARTLET_PY_DECIMALS_H

#include "engine.h"

#define DECIMAL_MAX_BYTES 32

/* `bytes`: `width` (16 or 32) bytes, little-endian. New, or NULL with an exception. */
PyObject *decimal_to_python(engine_state *st, const uint8_t *bytes, int32_t width, int32_t scale);

typedef enum decimal_result {
  DECIMAL_OK,
  DECIMAL_MISMATCH,     /* neither Decimal nor int */
  DECIMAL_NOT_FINITE,   /* NaN or infinity */
  DECIMAL_INEXACT,      /* more decimal places than the scale holds */
  DECIMAL_OUT_OF_RANGE, /* more digits than the precision holds */
  DECIMAL_FAILED        /* an exception is set */
} decimal_result;

decimal_result decimal_from_python(engine_state *st, PyObject *value, int32_t precision, int32_t scale, int32_t width,
                                   uint8_t out[DECIMAL_MAX_BYTES]);
/* Digits before and after the point of a finite Decimal; false when it is not finite or on an exception. */
bool decimal_shape(PyObject *value, int64_t *integer_digits, int64_t *scale);

#endif
