#!/bin/sh
# The linker for partial links, without options that only a compiler driver knows.
for argument; do
  shift
  case "$argument" in
    -nostdlib | -static) continue ;;
  esac
  set -- "$@" "$argument"
done
exec "$WASM_LD" "$@"
