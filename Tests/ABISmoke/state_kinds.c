/* Lists, maps and reducing states from C: every function, typed and encoded, and what is refused. */
#include "jobs.h"

typedef struct probe {
  martlet_state *list, *texts, *map, *encoded, *sum, *count;
  int events;
} probe;

typedef struct seen {
  martlet_state *state;
  int64_t keys[8];
  int64_t values[8];
  char texts[8][16];
  int n;
  int stop_at;
} seen;

static int32_t see_element(void *context, const martlet_value *element) {
  seen *self = context;
  martlet_error error = {0};
  int64_t length;
  FAILS(martlet_list_len(self->state, &length, &error), MARTLET_BUSY, "while its content");
  self->values[self->n] = element->integer;
  if (element->bytes) memcpy(self->texts[self->n], element->bytes, element->length);
  return ++self->n == self->stop_at;
}

static int32_t see_entry(void *context, const martlet_value *key, const martlet_value *value) {
  seen *self = context;
  self->keys[self->n] = key->integer;
  self->values[self->n] = value->integer;
  if (key->bytes) memcpy(self->texts[self->n], key->bytes, key->length);
  return ++self->n == self->stop_at;
}

static martlet_value integer(int64_t value) { return (martlet_value){.integer = value}; }
static martlet_value text(const char *value) { return (martlet_value){.bytes = (const uint8_t *)value, .length = strlen(value)}; }

static int32_t probe_open(void *context, martlet_context *call, martlet_error *unused) {
  (void)unused;
  probe *self = context;
  martlet_state **states[] = {&self->list, &self->texts, &self->map, &self->encoded, &self->sum, &self->count};
  martlet_error error = {0};
  int64_t length;
  for (int i = 0; i < 6; i++) CHECK((*states[i] = martlet_context_state(call, i)) != NULL);
  FAILS(martlet_list_len(self->list, &length, &error), MARTLET_STATE_ACCESS, "no current key");
  FAILS(martlet_map_len(self->map, &length, &error), MARTLET_STATE_ACCESS, "no current key");
  return 0;
}

static void check_lists(probe *self) {
  martlet_error error = {0};
  int64_t length = 0;
  martlet_value one = integer(1), several[] = {integer(2), integer(3)}, bad[] = {integer(4), integer(1000)};
  OK(martlet_list_add(self->list, &one, &error));
  OK(martlet_list_extend(self->list, several, 2, &error));
  FAILS(martlet_list_extend(self->list, bad, 2, &error), MARTLET_VALUE_RANGE, "1000");
  FAILS(martlet_list_set(self->list, bad, 2, &error), MARTLET_VALUE_RANGE, "'list'");
  FAILS(martlet_list_add(self->list, NULL, &error), MARTLET_INVALID_ARGUMENT, "NULL");
  OK(martlet_list_len(self->list, &length, &error));
  CHECK_INT(length, 3);
  seen all = {.state = self->list};
  OK(martlet_list_visit(self->list, see_element, &all, &error));
  CHECK(all.n == 3 && all.values[0] == 1 && all.values[2] == 3);
  seen first = {.state = self->list, .stop_at = 1};
  FAILS(martlet_list_visit(self->list, see_element, &first, &error), MARTLET_CALLBACK_FAILED, "visitor");
  OK(martlet_list_set(self->list, several, 1, &error));
  OK(martlet_list_len(self->list, &length, &error));
  CHECK_INT(length, 1);
  martlet_value words[] = {text("short"), text("longer than 12")};
  OK(martlet_list_extend(self->texts, words, 2, &error));
  seen both = {.state = self->texts};
  OK(martlet_list_visit(self->texts, see_element, &both, &error));
  CHECK(both.n == 2 && strcmp(both.texts[1], "longer than 12") == 0);
  OK(martlet_list_set(self->texts, NULL, 0, &error));
  FAILS(martlet_map_len(self->list, &length, &error), MARTLET_SCHEMA_MISMATCH, "is a list state");
}

static void check_maps(probe *self) {
  martlet_error error = {0};
  int64_t length = 0;
  int32_t answer = 0;
  martlet_value found = {0};
  for (int64_t key = 5; key > 0; key--) {
    martlet_value k = integer(key), v = integer(-key);
    OK(martlet_map_put(self->map, &k, &v, &error));
  }
  martlet_value two = integer(2), four = integer(4), nine = integer(9);
  OK(martlet_map_get(self->map, &two, &found, &answer, &error));
  CHECK(answer == 1 && found.integer == -2);
  OK(martlet_map_get(self->map, &nine, &found, &answer, &error));
  CHECK_INT(answer, 0);
  OK(martlet_map_contains(self->map, &four, &answer, &error));
  CHECK_INT(answer, 1);
  seen range = {0};
  OK(martlet_map_visit(self->map, &two, &four, see_entry, &range, &error));
  CHECK(range.n == 2 && range.keys[0] == 2 && range.values[1] == -3);
  OK(martlet_map_remove(self->map, &two, &answer, &error));
  CHECK_INT(answer, 1);
  OK(martlet_map_remove(self->map, &two, &answer, &error));
  CHECK_INT(answer, 0);
  OK(martlet_map_len(self->map, &length, &error));
  CHECK_INT(length, 4);
  martlet_value b = text("b"), a = text("a"), value = text("\xFF");
  OK(martlet_map_put(self->encoded, &b, &value, &error));
  OK(martlet_map_put(self->encoded, &a, &value, &error));
  seen ordered = {0};
  OK(martlet_map_visit(self->encoded, NULL, NULL, see_entry, &ordered, &error));
  CHECK(ordered.n == 2 && ordered.texts[0][0] == 'a');
  FAILS(martlet_map_visit(self->encoded, NULL, NULL, NULL, NULL, &error), MARTLET_INVALID_ARGUMENT, "visit");
}

static int32_t see_stored(void *context, const martlet_value *key, const martlet_value *value, int64_t stamp) {
  seen *self = context;
  self->keys[self->n] = stamp;
  if (key) memcpy(self->texts[self->n], key->bytes, key->length);
  else memcpy(self->texts[self->n], value->bytes, value->length);
  return ++self->n == self->stop_at;
}

static void check_stored(probe *self) {
  martlet_error error = {0};
  martlet_value word = text("stored"), a = text("a"), value = text("\xFF");
  const int64_t late = INT64_C(1) << 60; /* does not expire while this runs */
  seen texts = {0}, entries = {0}, first = {.stop_at = 1};
  OK(martlet_list_add(self->texts, &word, &error));
  OK(martlet_stored_put(self->texts, NULL, &word, late, &error));
  OK(martlet_stored_visit(self->texts, see_stored, &texts, &error));
  CHECK(texts.n == 2 && texts.keys[1] == late && strcmp(texts.texts[1], "stored") == 0);
  FAILS(martlet_stored_visit(self->texts, see_stored, &first, &error), MARTLET_CALLBACK_FAILED, "visitor");
  OK(martlet_list_set(self->texts, NULL, 0, &error));
  OK(martlet_stored_put(self->encoded, &a, &value, late, &error));
  OK(martlet_stored_visit(self->encoded, see_stored, &entries, &error));
  CHECK(entries.n == 2 && entries.keys[0] == late && entries.keys[1] != late && entries.texts[0][0] == 'a');
  FAILS(martlet_stored_put(self->encoded, NULL, &value, late, &error), MARTLET_SCHEMA_MISMATCH, "'encoded'");
  FAILS(martlet_stored_put(self->sum, NULL, &value, late, &error), MARTLET_INVALID_ARGUMENT, "no TTL");
  FAILS(martlet_stored_visit(self->list, see_stored, &texts, &error), MARTLET_INVALID_ARGUMENT, "no TTL");
  FAILS(martlet_stored_visit(self->texts, NULL, NULL, &error), MARTLET_INVALID_ARGUMENT, "visit");
}

static int32_t probe_event(void *context, martlet_context *call, martlet_error *unused) {
  (void)call, (void)unused;
  probe *self = context;
  martlet_error error = {0};
  int64_t value = 0;
  int32_t present = 0;
  self->events++;
  check_lists(self);
  check_maps(self);
  check_stored(self);
  martlet_value hundred = integer(100), more = integer(28);
  OK(martlet_reduce_add(self->sum, &hundred, &error));
  FAILS(martlet_reduce_add(self->sum, &more, &error), MARTLET_VALUE_RANGE, "sum of 100 and 28");
  OK(martlet_value_get_int64(self->sum, &value, &present, &error));
  CHECK(present == 1 && value == 100);
  OK(martlet_reduce_add(self->count, &more, &error));
  OK(martlet_reduce_merge(self->count, &more, &error));
  OK(martlet_value_get_int64(self->count, &value, &present, &error));
  CHECK_INT(value, 29);
  martlet_state *all[] = {self->list, self->texts, self->map, self->encoded, self->sum, self->count};
  if (self->events % 2)
    for (int i = 0; i < 6; i++) OK(martlet_value_clear(all[i], &error));
  return 0;
}

int main(void) {
  probe self = {0};
  martlet_process_function function = {.struct_size = sizeof function, .context = &self, .open = probe_open, .on_event = probe_event};
  martlet_state_spec states[] = {
    {.name = "list", .kind = MARTLET_STATE_LIST, .format = "c"},
    {.name = "texts", .kind = MARTLET_STATE_LIST, .format = "u", .ttl_ms = 1000, .ttl_flags = MARTLET_TTL_EVENT_TIME},
    {.name = "map", .kind = MARTLET_STATE_MAP, .format = "l", .key_format = "l"},
    {.name = "encoded", .kind = MARTLET_STATE_MAP, .ttl_ms = 3600000, .ttl_flags = MARTLET_TTL_REFRESH_ON_READ},
    {.name = "sum", .kind = MARTLET_STATE_REDUCING, .format = "c", .reducer = MARTLET_REDUCE_SUM},
    {.name = "count", .kind = MARTLET_STATE_REDUCING, .format = "l", .reducer = MARTLET_REDUCE_COUNT},
  };
  for (int i = 0; i < 6; i++) states[i].struct_size = sizeof states[i];
  martlet_report report = run_over_ten_keys(&function, states, 6);
  CHECK_INT(self.events, 10);
  CHECK_INT(report.keys, 5);
  /* A list of one, maps of four and of two, a sum and a count. */
  CHECK_INT(report.state_entries, 5 * 9);
  puts("state_kinds: ok");
  return 0;
}
