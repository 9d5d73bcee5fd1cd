#!/bin/sh
# `docker run IMAGE run --input …` is `maskmill run …`; a program passes through: `docker run IMAGE /bin/bash`.
# No command of maskmill is the name of a program in the image; tests/unit/test_compose.py looks after that.
case "${1:-}" in
    '' | -*) exec maskmill "$@" ;;
    */*) exec "$@" ;;
esac
old_ifs=$IFS
IFS=:
for folder in $PATH; do
    if [ -f "$folder/$1" ] && [ -x "$folder/$1" ]; then
        IFS=$old_ifs
        exec "$@"
    fi
done
IFS=$old_ifs
exec maskmill "$@"
