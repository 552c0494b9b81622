#include "temporal.h"

#include "errors.h"

/* datetime.h would define a static pointer to its C interface in each file that includes it: a global variable, shared
 * by all interpreters. This name keeps only the types and the field accessors; the pointer is in the module state. */
#define _PY_DATETIME_IMPL
#include <datetime.h>

#define MICROS_PER_SECOND INT64_C(1000000)
#define SECONDS_PER_DAY INT64_C(86400)

static PyDateTime_CAPI *api_of(engine_state *st) { return st->datetime; }

int temporal_init(engine_state *st) {
  PyObject *module = NULL;
  st->datetime = PyCapsule_Import("datetime.datetime_CAPI", 0);
  if (!st->datetime) return -1;
  if (!(module = PyImport_ImportModule("datetime"))) return -1;
  st->timezone = PyObject_GetAttrString(module, "timezone");
  Py_DECREF(module);
  if (!st->timezone) return -1;
  if (!(module = PyImport_ImportModule("zoneinfo"))) return -1;
  st->zone_info = PyObject_GetAttrString(module, "ZoneInfo");
  Py_DECREF(module);
  if (!st->zone_info) return -1;
  st->zones = PyDict_New();
  return st->zones ? 0 : -1;
}

static int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* Days since 1970-01-01 of a proleptic Gregorian date, and back (H. Hinnant, "chrono-compatible low-level date
 * algorithms"). */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  int64_t era = floor_divide(year, 400);
  int64_t of_era = year - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day) {
  days += 719468;
  int64_t era = floor_divide(days, 146097);
  int64_t of_era = days - era * 146097;
  int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted = (5 * of_year + 2) / 153;
  *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
  *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

/* Days that datetime can show: 0001-01-01 to 9999-12-31. */
static bool days_in_range(int64_t days) { return days >= -719162 && days <= 2932896; }

static PyObject *out_of_python_range(engine_state *st, const martlet_column *field, int64_t raw) {
  PyErr_Format(errors_class(st, MARTLET_VALUE_RANGE),
               "column '%s': %s value %lld lies outside of what Python's datetime can show (years 1 to 9999); cast the "
               "column to int64",
               field->name ? field->name : "", field->type_name ? field->type_name : "", (long long)raw);
  return NULL;
}

/* Fixed offsets such as "+01:00" and "-0330". */
static PyObject *fixed_offset(engine_state *st, const char *name) {
  size_t length = strlen(name);
  int hours, minutes, digits = 0;
  char text[8];
  if ((name[0] != '+' && name[0] != '-') || length > 6) return NULL;
  for (size_t i = 1; i < length; i++) {
    if (name[i] == ':' && i == 3) continue;
    if (name[i] < '0' || name[i] > '9' || digits >= 4) return NULL;
    text[digits++] = name[i];
  }
  if (digits != 2 && digits != 4) return NULL;
  hours = (text[0] - '0') * 10 + (text[1] - '0');
  minutes = digits == 4 ? (text[2] - '0') * 10 + (text[3] - '0') : 0;
  int seconds = (hours * 60 + minutes) * 60;
  PyDateTime_CAPI *api = api_of(st);
  PyObject *delta = api->Delta_FromDelta(0, name[0] == '-' ? -seconds : seconds, 0, 1, api->DeltaType);
  if (!delta) return NULL;
  PyObject *zone = PyObject_CallOneArg(st->timezone, delta);
  Py_DECREF(delta);
  return zone;
}

/* The tzinfo of an Arrow time zone name; borrowed from the cache. */
static PyObject *zone_named(engine_state *st, const char *name) {
  PyObject *key = PyUnicode_FromString(name);
  if (!key) return NULL;
  PyObject *zone = PyDict_GetItemWithError(st->zones, key);
  if (zone || PyErr_Occurred()) {
    Py_DECREF(key);
    return zone;
  }
  PyDateTime_CAPI *api = api_of(st);
  if (!strcmp(name, "UTC") || !strcmp(name, "Z") || !strcmp(name, "Etc/UTC") || !strcmp(name, "+00:00"))
    zone = Py_NewRef(api->TimeZone_UTC);
  else {
    zone = fixed_offset(st, name);
    if (!zone && !PyErr_Occurred()) zone = PyObject_CallOneArg(st->zone_info, key);
  }
  if (!zone) {
    PyErr_Clear();
    PyErr_Format(errors_class(st, MARTLET_VALUE_RANGE),
                 "time zone '%s' is not known to Python; install the package tzdata or cast the column to UTC", name);
  } else {
    if (PyDict_SetItem(st->zones, key, zone) < 0) Py_CLEAR(zone);
    else Py_DECREF(zone); /* the cache keeps it */
  }
  Py_DECREF(key);
  return zone;
}

static int64_t units_per_second(int32_t unit) {
  switch (unit) {
    case MARTLET_UNIT_SECOND: return 1;
    case MARTLET_UNIT_MILLI: return 1000;
    case MARTLET_UNIT_MICRO: return MICROS_PER_SECOND;
    default: return INT64_C(1000000000);
  }
}

/* Whole seconds (floored) and the microseconds beyond them. */
static void split(int64_t raw, int32_t unit, int64_t *seconds, int64_t *micros) {
  int64_t per_second = units_per_second(unit);
  *seconds = floor_divide(raw, per_second);
  int64_t rest = raw - *seconds * per_second;
  *micros =
    per_second > MICROS_PER_SECOND ? rest / (per_second / MICROS_PER_SECOND) : rest * (MICROS_PER_SECOND / per_second);
}

static PyObject *timestamp_to_python(engine_state *st, const martlet_column *field, int64_t raw) {
  PyDateTime_CAPI *api = api_of(st);
  int64_t seconds, micros;
  int year, month, day;
  split(raw, field->unit, &seconds, &micros);
  int64_t days = floor_divide(seconds, SECONDS_PER_DAY), of_day = seconds - days * SECONDS_PER_DAY;
  if (!days_in_range(days)) return out_of_python_range(st, field, raw);
  civil_from_days(days, &year, &month, &day);
  PyObject *zone = Py_None;
  if (field->timezone && !(zone = zone_named(st, field->timezone))) return NULL;
  PyObject *value =
    api->DateTime_FromDateAndTime(year, month, day, (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60),
                                  (int)micros, field->timezone ? api->TimeZone_UTC : Py_None, api->DateTimeType);
  if (!value || zone == Py_None || zone == api->TimeZone_UTC) return value;
  PyObject *local = PyObject_CallMethod(value, "astimezone", "O", zone);
  Py_DECREF(value);
  return local;
}

PyObject *temporal_to_python(engine_state *st, const martlet_column *field, int64_t raw) {
  PyDateTime_CAPI *api = api_of(st);
  int64_t seconds, micros;
  int year, month, day;
  switch (field->type) {
    case MARTLET_TYPE_DATE64:
      raw = floor_divide(raw, SECONDS_PER_DAY * 1000);
      /* fall through */
    case MARTLET_TYPE_DATE32:
      if (!days_in_range(raw)) return out_of_python_range(st, field, raw);
      civil_from_days(raw, &year, &month, &day);
      return api->Date_FromDate(year, month, day, api->DateType);
    case MARTLET_TYPE_TIME32:
    case MARTLET_TYPE_TIME64:
      split(raw, field->unit, &seconds, &micros);
      if (seconds < 0 || seconds >= SECONDS_PER_DAY) return out_of_python_range(st, field, raw);
      return api->Time_FromTime((int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60), (int)micros,
                                Py_None, api->TimeType);
    case MARTLET_TYPE_TIMESTAMP: return timestamp_to_python(st, field, raw);
    default: {
      split(raw, field->unit, &seconds, &micros);
      int64_t days = floor_divide(seconds, SECONDS_PER_DAY);
      if (days < -999999999 || days > 999999999) return out_of_python_range(st, field, raw);
      return api->Delta_FromDelta((int)days, (int)(seconds - days * SECONDS_PER_DAY), (int)micros, 1, api->DeltaType);
    }
  }
}

bool temporal_is_datetime(engine_state *st, PyObject *value) {
  return PyObject_TypeCheck(value, api_of(st)->DateTimeType);
}
bool temporal_is_date(engine_state *st, PyObject *value) { return PyObject_TypeCheck(value, api_of(st)->DateType); }
bool temporal_is_time(engine_state *st, PyObject *value) { return PyObject_TypeCheck(value, api_of(st)->TimeType); }
bool temporal_is_timedelta(engine_state *st, PyObject *value) {
  return PyObject_TypeCheck(value, api_of(st)->DeltaType);
}
bool temporal_is_aware(PyObject *datetime) {
  return ((_PyDateTime_BaseTZInfo *)datetime)->hastzinfo && ((PyDateTime_DateTime *)datetime)->tzinfo != Py_None;
}

static temporal_result join(int64_t seconds, int64_t micros, int32_t unit, int64_t *raw) {
  int64_t per_second = units_per_second(unit), scaled;
  int64_t rest = per_second > MICROS_PER_SECOND ? micros * (per_second / MICROS_PER_SECOND)
                                                : micros / (MICROS_PER_SECOND / per_second);
  /* A negative number of seconds may lie just below the range while the sum lies in it. */
  if (seconds < 0) {
    seconds += 1;
    rest -= per_second;
  }
  if (__builtin_mul_overflow(seconds, per_second, &scaled) || __builtin_add_overflow(scaled, rest, raw))
    return TEMPORAL_OUT_OF_RANGE;
  return TEMPORAL_OK;
}

static temporal_result datetime_from_python(engine_state *st, const martlet_column *field, PyObject *value,
                                            int64_t *raw) {
  PyDateTime_CAPI *api = api_of(st);
  if (!temporal_is_datetime(st, value)) return TEMPORAL_MISMATCH;
  bool aware = temporal_is_aware(value);
  if (aware && !field->timezone) return TEMPORAL_AWARE;
  if (!aware && field->timezone) return TEMPORAL_NAIVE;
  int64_t seconds =
    days_from_civil(PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value)) *
      SECONDS_PER_DAY +
    PyDateTime_DATE_GET_HOUR(value) * 3600 + PyDateTime_DATE_GET_MINUTE(value) * 60 + PyDateTime_DATE_GET_SECOND(value);
  int64_t micros = PyDateTime_DATE_GET_MICROSECOND(value);
  if (aware && ((PyDateTime_DateTime *)value)->tzinfo != api->TimeZone_UTC) {
    PyObject *offset = PyObject_CallMethod(value, "utcoffset", NULL);
    if (!offset) return TEMPORAL_FAILED;
    if (offset == Py_None) {
      Py_DECREF(offset);
      return TEMPORAL_NAIVE;
    }
    seconds -= PyDateTime_DELTA_GET_DAYS(offset) * SECONDS_PER_DAY + PyDateTime_DELTA_GET_SECONDS(offset);
    micros -= PyDateTime_DELTA_GET_MICROSECONDS(offset);
    if (micros < 0) {
      micros += MICROS_PER_SECOND;
      seconds -= 1;
    }
    Py_DECREF(offset);
  }
  return join(seconds, micros, field->unit, raw);
}

temporal_result temporal_from_python(engine_state *st, const martlet_column *field, PyObject *value, int64_t *raw) {
  switch (field->type) {
    case MARTLET_TYPE_DATE32:
    case MARTLET_TYPE_DATE64:
      /* A datetime is a date in Python, but its time of day would be lost. */
      if (!temporal_is_date(st, value) || temporal_is_datetime(st, value)) return TEMPORAL_MISMATCH;
      *raw = days_from_civil(PyDateTime_GET_YEAR(value), PyDateTime_GET_MONTH(value), PyDateTime_GET_DAY(value));
      if (field->type == MARTLET_TYPE_DATE64) *raw *= SECONDS_PER_DAY * 1000;
      return TEMPORAL_OK;
    case MARTLET_TYPE_TIME32:
    case MARTLET_TYPE_TIME64:
      if (!temporal_is_time(st, value)) return TEMPORAL_MISMATCH;
      if (((_PyDateTime_BaseTZInfo *)value)->hastzinfo) return TEMPORAL_AWARE;
      return join(PyDateTime_TIME_GET_HOUR(value) * 3600 + PyDateTime_TIME_GET_MINUTE(value) * 60 +
                    PyDateTime_TIME_GET_SECOND(value),
                  PyDateTime_TIME_GET_MICROSECOND(value), field->unit, raw);
    case MARTLET_TYPE_TIMESTAMP: return datetime_from_python(st, field, value, raw);
    default:
      if (!temporal_is_timedelta(st, value)) return TEMPORAL_MISMATCH;
      return join(PyDateTime_DELTA_GET_DAYS(value) * SECONDS_PER_DAY + PyDateTime_DELTA_GET_SECONDS(value),
                  PyDateTime_DELTA_GET_MICROSECONDS(value), field->unit, raw);
  }
}
