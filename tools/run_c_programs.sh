#!/usr/bin/env bash
# Compiles C programs against libmartlet under AddressSanitizer, with the clang that comes with Swift, and runs them.
# A file with a `main` is a program; the other .c files of its folder are linked to each program of that folder.
# Usage: run_c_programs.sh FOLDER_OF_LIBMARTLET OUTPUT_FOLDER SOURCE_FOLDER...
set -euo pipefail
shopt -s nullglob
library=$(realpath "$1")
output=$2
shift 2

swift=$(realpath "$(command -v "${SWIFT:-swift}")")
clang=$(dirname "$swift")/clang
[ -x "$clang" ] || clang=clang
mkdir -p "$output"

programs=0
for folder in "$@"; do
  shared=()
  mains=()
  for source in "$folder"/*.c; do
    if grep -qE '^int main\(' "$source"; then mains+=("$source"); else shared+=("$source"); fi
  done
  for source in "${mains[@]}"; do
    program=$output/$(basename "$folder")-$(basename "$source" .c)
    echo "--- $source"
    "$clang" -std=c11 -g -O1 -Wall -Wextra -Werror -fno-omit-frame-pointer -fsanitize=address,undefined \
      -fno-sanitize-recover=undefined -I Sources/CMartlet/include -I "$folder" "$source" "${shared[@]}" \
      -L "$library" -lmartlet -fuse-ld=lld -Wl,-rpath,"$library" -lm -o "$program"
    LSAN_OPTIONS=suppressions=$PWD/tools/leak_suppressions.txt:print_suppressions=0 \
      ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1 "$program"
    programs=$((programs + 1))
  done
done
echo "$programs C programs passed"
