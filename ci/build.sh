#!/bin/sh
# Runs `winslim build` for a CI system, and tells the system what came of it: a summary, annotations for warnings and errors,
# and the result for later steps. The action for GitHub and the templates for Azure Pipelines and GitLab run this; it also
# works without any of them.
#
# It reads these variables, of which none is required:
#   WINSLIM            the program (default: `winslim` of the PATH)
#   WINSLIM_IMAGE      the base image; without one, `winslim build` reads ./winslim.toml
#   WINSLIM_PROFILES   profiles, separated by blanks or line breaks
#   WINSLIM_TARGET     where the result goes
#   WINSLIM_ARGUMENTS  more arguments of `winslim build`, separated by blanks
#   WINSLIM_OUTPUT     the directory for ledger, summary and log (default: winslim-output); what an earlier run left there goes
# and ends with the exit code of winslim.
set -euf

winslim=${WINSLIM:-winslim}
directory=${WINSLIM_OUTPUT:-winslim-output}
mkdir -p "$directory"
set +f
rm -f "$directory"/ledger*.json "$directory"/summary*.md "$directory/log.txt" "$directory/image.txt" "$directory/image.env"
set -f

system=none
if [ -n "${GITHUB_ACTIONS:-}" ]; then system=github; fi
if [ -n "${TF_BUILD:-}" ]; then system=azure; fi
if [ -n "${GITLAB_CI:-}" ]; then system=gitlab; fi

set -- build
if [ -n "${WINSLIM_IMAGE:-}" ]; then
    set -- "$@" "$WINSLIM_IMAGE" --ledger "$directory/ledger.json" --summary "$directory/summary.md"
else
    # A build file may have several bases, each with a ledger and a summary.
    set -- "$@" --ledger "$directory/ledger-{build}.json" --summary "$directory/summary-{build}.md"
fi
for profile in ${WINSLIM_PROFILES:-}; do set -- "$@" --profile "$profile"; done
if [ -n "${WINSLIM_TARGET:-}" ]; then set -- "$@" --target "$WINSLIM_TARGET"; fi
for argument in ${WINSLIM_ARGUMENTS:-}; do set -- "$@" "$argument"; done

# Names of files in an image must not be taken for commands to the CI system. Runners end a line at CR, too, and skip every
# blank of Unicode in front of `::`; the letters behind `##` can be anywhere in a line. winslim escapes what others wrote, but
# programs that it calls, such as credential helpers, do not.
harmless() {
    LC_ALL=C tr '\r' '\n' | LC_ALL=C tr -d '\000-\010\013\014\016-\037\177' |
        LC_ALL=C sed -e ':again' -e 's/##/# #/' -e 'tagain' -e 's/^\([^!-~]*\)::/\1: :/'
}

status=$(mktemp)
trap 'rm -f "$status"' EXIT
{
    code=0
    "$winslim" "$@" 2>&1 >"$directory/image.txt" || code=$?
    echo "$code" >"$status"
} | harmless | tee "$directory/log.txt" >&2
code=$(cat "$status")

# The lines of standard input as one line; $1 is what stands for a percent sign.
one_line() {
    sed "s/%/$1/g" | awk '{ printf "%s%s", separator, $0; separator = "%0A" }'
}

# Marks the run with the message on standard input; $1 is `error` or `warning`.
annotate() {
    case $system in
        github) printf '::%s title=winslim::%s\n' "$1" "$(one_line %25)" ;;
        azure) printf '##vso[task.logissue type=%s]%s\n' "$1" "$(one_line %AZP25)" ;;
        *) cat >/dev/null ;;
    esac
}

# GitHub shows ten annotations of a kind.
sed -n 's/^warning: //p' "$directory/log.txt" | head -n 10 | while IFS= read -r line; do
    printf '%s\n' "$line" | annotate warning
done

if [ "$code" -ne 0 ]; then
    # What the message says is in the lines from `error:` to the end.
    message=$(sed -n '/^error: /,$p' "$directory/log.txt")
    if [ -z "$message" ]; then message="winslim ended with exit code $code"; fi
    printf '%s\n' "$message" | sed 's/^error: //' | annotate error
    # An indented block, because a line of backquotes would end a fenced one.
    {
        printf '**winslim failed** (exit code %s)\n\n' "$code"
        printf '%s\n' "$message" | sed 's/^/    /'
    } >"$directory/summary.md"
fi

# Names in one line, without those of patterns that match nothing.
names() {
    for name in "$@"; do
        if [ -e "$name" ]; then printf '%s ' "$name"; fi
    done | sed 's/ $//'
}

image=$(tr '\n' ' ' <"$directory/image.txt" | sed 's/ *$//')
set +f
case $system in
    github)
        cat "$directory"/summary*.md >>"$GITHUB_STEP_SUMMARY"
        {
            printf 'image=%s\n' "$image"
            printf 'ledger=%s\n' "$(names "$directory"/ledger*.json)"
            printf 'directory=%s\n' "$directory"
        } >>"$GITHUB_OUTPUT"
        ;;
    azure)
        for summary in "$directory"/summary*.md; do
            printf '##vso[task.uploadsummary]%s/%s\n' "$(cd "$directory" && pwd)" "${summary##*/}"
        done
        printf '##vso[task.setvariable variable=image;isOutput=true]%s\n' "$image"
        ;;
    gitlab)
        printf 'WINSLIM_RESULT=%s\n' "$image" >"$directory/image.env"
        ;;
esac
exit "$code"
