#include "interim.h"
#include <stdlib.h>
struct martlet_state_dir { martlet_checkpoint_folder *folder; martlet_checkpoint *from; martlet_checkpoint *pending; };
int32_t martlet_state_dir_open(const char *path, const martlet_state_dir_options *options, martlet_state_dir **out, martlet_error *error) {
  martlet_state_dir *d = calloc(1, sizeof *d);
  int32_t s = martlet_checkpoint_folder_open(path, options->retained, &d->folder, error);
  if (s) { free(d); return s; }
  *out = d;
  return 0;
}
int32_t martlet_state_dir_attach(martlet_state_dir *dir, martlet_job *job, const char *from, const martlet_resume_options *options, int64_t *checkpoint_id, char *damaged, size_t capacity, martlet_error *error) {
  *checkpoint_id = 0;
  int32_t s = martlet_checkpoint_folder_newest(dir->folder, &dir->from, damaged, capacity, error);
  if (s) return s;
  if (dir->from) *checkpoint_id = martlet_checkpoint_id(dir->from);
  else if (from && (s = martlet_checkpoint_read(from, &dir->from, error))) return s;
  return dir->from ? martlet_job_restore(job, dir->from, options, error) : 0;
}
const uint8_t *martlet_state_dir_sink(const martlet_state_dir *dir, size_t *length) {
  *length = 0;
  return dir->from ? martlet_checkpoint_sink(dir->from, length) : NULL;
}
int64_t martlet_state_dir_next_id(const martlet_state_dir *dir) { return martlet_checkpoint_folder_last_id(dir->folder) + 1; }
int32_t martlet_state_dir_begin(martlet_state_dir *dir, martlet_job *job, int64_t id, const uint8_t *sink, size_t sink_length, martlet_error *error) {
  return martlet_job_checkpoint(job, id, sink, sink_length, &dir->pending, error);
}
int32_t martlet_state_dir_finish(martlet_state_dir *dir, martlet_job *job, int32_t wait, int32_t *done, martlet_error *error) {
  (void)job; (void)wait;
  *done = 0;
  if (!dir->pending) return 0;
  int32_t s = martlet_checkpoint_folder_add(dir->folder, dir->pending, error);
  martlet_checkpoint_free(dir->pending);
  dir->pending = NULL;
  if (s) return s;
  *done = 1;
  return martlet_checkpoint_folder_remove_old(dir->folder, error);
}
void martlet_state_dir_free(martlet_state_dir *dir) {
  if (!dir) return;
  if (dir->from) martlet_checkpoint_free(dir->from);
  if (dir->pending) martlet_checkpoint_free(dir->pending);
  martlet_checkpoint_folder_free(dir->folder);
  free(dir);
}
