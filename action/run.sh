#!/usr/bin/env bash
# What action.yml runs: installs gpucheck into a folder of its own, and asks `gpucheck require`, whose exit code it has.
# What goes wrong before that is exit code 2. The inputs come as variables INPUT_…: nothing in them is read as shell.
#
# GPUCHECK_COMMAND, the path of an installed gpucheck, is run instead of installing one: for runners without a network.
#
# Needs no more than bash 3.2, which is what macOS has: no mapfile, and no empty array may be expanded.
set -euo pipefail

fail() {
  printf '::error title=gpucheck did not run::%s\n' "$1"
  exit 2
}

words=(require --format github)

# Add the words of a text to `words`: quotes and backslashes as in a shell, and nothing else that a shell would do.
add_words() {
  local list="$work/words" word
  case "$1" in *[![:space:]]*) ;; *) return 0 ;; esac
  printf '%s\n' "$1" | xargs printf '%s\0' > "$list" 2> /dev/null || fail "input $2: a quote is not closed"
  while IFS= read -r -d '' word; do words+=("$word"); done < "$list"
}

# The first Python that can run gpucheck and make an environment for it (Debian's has ensurepip in a package of its own).
interpreter() {
  local candidate
  for candidate in "${INPUT_PYTHON:-python3}" python3 python python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' > /dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  return 1
}

# Install into $work/venv, and set `program`. It runs once, so only what it imports is worth compiling.
install() {
  local python what bin
  python=$(interpreter) || fail "no Python from 3.11 on with venv and ensurepip: add actions/setup-python before this"
  what=${INPUT_VERSION:+gpucheck-inspector==$INPUT_VERSION}
  "$python" -m venv "$work/venv" || fail "the environment for gpucheck could not be made"
  bin="$work/venv/bin"
  [ -d "$bin" ] || bin="$work/venv/Scripts" # Windows
  "$bin/python" -m pip install --quiet --no-compile --disable-pip-version-check "${what:-$GITHUB_ACTION_PATH}" ||
    fail "pip could not install gpucheck"
  program="$bin/gpucheck"
}

work=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/gpucheck.XXXXXX")

case "${INPUT_FAIL_ON_UNKNOWN:-true}" in
  true) ;;
  false) words+=(--unknown-ok) ;;
  *) fail "input fail-on-unknown: expected true or false" ;;
esac
[ -z "${INPUT_FILE:-}" ] || words+=(--file "$INPUT_FILE")
[ -z "${INPUT_PROFILE:-}" ] || words+=(--profile "$INPUT_PROFILE")

# gpucheck looks at the active environment, and without one at its own, of which the job knows nothing.
inspected=${INPUT_PYTHON:-}
if [ -z "$inspected" ] && [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
  inspected=$(command -v python3 || command -v python || true)
fi
[ -z "$inspected" ] || words+=(--python "$inspected")

add_words "${INPUT_REQUIRE:-}" require
add_words "${INPUT_ARGS:-}" args

if [ -n "${GPUCHECK_COMMAND:-}" ]; then
  program=$GPUCHECK_COMMAND
  command -v "$program" > /dev/null || fail "GPUCHECK_COMMAND is no command that can be run"
else
  install
fi
exec "$program" "${words[@]}"
