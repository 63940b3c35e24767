#!/bin/sh
# Behaves towards `cargo xtask bench` as a bench program does. The lines of "$0.txt" are its benchmarks with their medians.
echo "${0##*/} $*" >>calls
while read -r name median; do
    case "$2 $3" in
    "--list "*) echo "$name: benchmark" ;;
    "--exact $name")
        mkdir -p "$CRITERION_HOME/x/new"
        echo "{\"full_id\":\"$name\"}" >"$CRITERION_HOME/x/new/benchmark.json"
        echo "{\"median\":{\"point_estimate\":$median}}" >"$CRITERION_HOME/x/new/estimates.json"
        ;;
    esac
done <"$0.txt"
