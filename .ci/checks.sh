# What the gate and the nightly run share; to be sourced. A checkout is copied, a wheel is built of
# it, and each check keeps its output to itself and is one line of the summary.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venvs=$root/.ci/venv
work=$(mktemp -d)
fresh=$work/fresh # what a clone has
stage=$work/stage # the same without the source of the package
wheels=$work/wheels

passed=0
failed=0
complete=0
summary=()

finish() {
    local status=$?
    if ((!complete && failed == 0)); then failed=1; fi
    if ((failed && status == 0)); then status=1; fi
    rm -rf "$work"
    printf '\n%s\n' "Checks:"
    if ((${#summary[@]})); then printf '  %s\n' "${summary[@]}"; fi
    printf '%4d s in all\n\n' "$SECONDS"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# check NAME COMMAND...: run a command, keep its output to itself, and end the run if it fails, or
# go on to the next check where keep_going is set.
check() {
    local name=$1 began=$SECONDS log=$work/log status line
    shift
    set +e
    (
        set -euo pipefail
        "$@"
    ) >"$log" 2>&1 </dev/null
    status=$?
    set -e
    if ((status == 0)); then
        passed=$((passed + 1))
        line=$(printf '%4d s  %s' $((SECONDS - began)) "$name")
        printf '%s\n' "$line"
        summary+=("$line")
    else
        failed=$((failed + 1))
        summary+=("FAILED  $name")
        printf '\nFAILED: %s (status %d). Its output:\n\n' "$name" "$status"
        cat "$log"
        if [[ -z ${keep_going:-} ]]; then exit 1; fi
    fi
}

skip() {
    summary+=("     -  $1: $2")
    printf '     -  %s: %s\n' "$1" "$2"
}

copy_checkout() {
    mkdir -p "$1"
    tar -C "$root" -c --exclude=./.git --exclude=./.ci/venv --exclude=./.venv --exclude=./build \
        --exclude=./dist --exclude=./docs/_build --exclude=__pycache__ --exclude='.*_cache' \
        --exclude=.hypothesis --exclude='*.egg-info' . | tar -C "$1" -x
}

# A test that hangs is to fail the run, not to stop it; after two minutes pytest shows where it is.
limit() {
    if command -v timeout >/dev/null; then timeout -k 5 "${seconds:-240}" "$@"; else "$@"; fi
}

# environment NAME PYTHON REQUIREMENT...: make a virtual environment, as .ci/venv/NAME.
environment() {
    local venv=$venvs/$1 python=$2
    shift 2
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install -q --no-compile "$@"
    "$venv/bin/python" -m pip list
}

wheel() { printf '%s[tests]' "$wheels"/*.whl; }

find_python() { # VERSION
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" \
            >/dev/null 2>&1; then
            printf '%s' "$candidate"
            return
        fi
    done
}

# prepare: make the copies of the checkout; every environment is made anew.
prepare() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10) and "python3 is too old: 3.10 or newer")'
    python3 --version
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
    rm -rf "$venvs"
    copy_checkout "$fresh"
    copy_checkout "$stage"
    rm -rf "$stage/pytest_flask_stream"
}

# rounds ENVIRONMENT NUMBER: every claim that applies of every correct twin and every example, so
# many times, in random order and in parallel.
rounds() {
    local python=$venvs/$1/bin/python
    local options=(-q -n 2 -p every_claim -p no:cacheprovider --rounds "$2" --rounds-seed "$RANDOM")
    export PYTHONPATH=$stage/tests
    printf '%s\n' "${options[*]}"
    cd "$stage"
    limit "$python" -m pytest "${options[@]}" -k every_claim tests/test_broken_apps.py
    cd "$stage/examples"
    limit "$python" -m pytest "${options[@]}"
}

rounds_of_httpbin() { # NUMBER
    environment httpbin python3 "$(wheel)"
    cd "$stage/examples/httpbin"
    "$venvs/httpbin/bin/python" -m pip install -q -r requirements.txt
    export PYTHONPATH=$stage/tests
    limit "$venvs/httpbin/bin/python" -m pytest -q -n 2 -p every_claim --rounds "$1" \
        --rounds-seed "$RANDOM"
    limit "$venvs/httpbin/bin/python" -m pytest -q -n 2 --flask-stream-live
}
