# Sourced by scripts/demo and scripts/test: one virtual environment for both, made when it is missing.
#
#   TAPEGRAD_VENV     where it is (default: .venv beside this repository's README)
#   TAPEGRAD_PYTHON   the Python to make it with (default: the first of 3.10-3.13 that runs)

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${TAPEGRAD_VENV:-$root/.venv}
python=$venv/bin/python
cd "$root" || exit 1

say() { printf '\n== %s\n' "$*"; }

# A Python can be on the PATH and not run (pyenv's shims), be too old or too new, or lack venv (Debian).
suitable() {
    "$1" -c "import sys, $2; raise SystemExit(not (3, 10) <= sys.version_info < (3, 14))" >/dev/null 2>&1
}

make_venv() {
    suitable "$python" pip && return
    local candidate
    for candidate in ${TAPEGRAD_PYTHON:-python3 python3.13 python3.12 python3.11 python3.10 python}; do
        suitable "$candidate" "venv, ensurepip" || continue
        say "Making a virtual environment in $venv with $("$candidate" --version)"
        # --clear only where an environment was: the variable could name any folder.
        "$candidate" -m venv $([ -f "$venv/pyvenv.cfg" ] && echo --clear) "$venv" && return
    done
    echo "No usable Python found: tapegrad needs Python 3.10 to 3.13 with its venv and ensurepip modules" \
        "(Debian, Ubuntu: apt install python3-venv). Set TAPEGRAD_PYTHON to name one." >&2
    exit 1
}

# install EXTRA: the package in editable mode with one of its extras. Does nothing when pyproject.toml
# and the repository's place are as they were at the last time; returns pip's exit status of that time.
install() {
    local stamp=$venv/tapegrad-$1.stamp log=$venv/tapegrad-$1.log key status
    key=$({ pwd; cat pyproject.toml; } | cksum)
    if [ "$(head -n 1 "$stamp" 2>/dev/null)" != "$key" ]; then
        say "Installing tapegrad[$1] (this time only; log in $log)"
        "$python" -m pip install --disable-pip-version-check --editable ".[$1]" 2>&1 | tee "$log" |
            sed -n -u -e 's/^ *\(Collecting [^ ]*\).*/   \1/p' -e 's/^ *\(Downloading .*\)/   \1/p' \
                -e 's/^ *\(Installing collected packages\).*/   \1 .../p'
        status=${PIPESTATUS[0]}
        printf '%s\n%s\n' "$key" "$status" >"$stamp"
    fi
    return "$(tail -n 1 "$stamp")"
}

# require EXTRA: install it or stop.
require() {
    install "$1" && return
    rm -f "$venv/tapegrad-$1.stamp"
    tail -n 20 "$venv/tapegrad-$1.log" >&2
    exit 1
}

# install_beside EXTRA: the same in an environment of its own beside the others, with pytest; for what does not go
# together with them. A failed installation is tried again the next time.
install_beside() {
    local own=$venv-$1 log=$venv-$1.log key
    key=$({ pwd; cat pyproject.toml; } | cksum)
    [ "$(cat "$own/tapegrad.stamp" 2>/dev/null)" = "$key" ] && return
    say "Installing tapegrad[$1] in $own (this time only; log in $log)"
    { [ -x "$own/bin/python" ] || "$python" -m venv "$own"; } >"$log" 2>&1 &&
        "$own/bin/python" -m pip install --disable-pip-version-check --editable ".[$1,scipy]" 'pytest>=8.2' >>"$log" 2>&1 &&
        printf '%s\n' "$key" >"$own/tapegrad.stamp"
}
